package org.outrigger.stream.memory;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Counts, label sums and sums of base predictions in K arrays of 2^L buckets. A key falls into one
 * bucket of each array, by the signs of L random projections; keys at angle theta share one with
 * probability (1 - theta / pi)^L. A write and a read touch K buckets, however many events came.
 *
 * <p>Events beyond the capacity leave: their buckets are kept in a ring and taken off again. It
 * takes {@code 24 K 2^L} bytes of buckets, {@code capacity (8 K + 16)} of ring and {@code 8 K L D}
 * of projections.
 */
public final class SketchMemory implements ErrorMemory {
  private static final List<String> SUMS = List.of("count", "sum_labels", "sum_base");

  private final int arrays;
  private final int bits;
  private final int capacity;
  private final Tensor projections;
  private final Ring ring;
  private final Map<String, Tensor> sums = new LinkedHashMap<>();

  /**
   * @param projections float64 [K, L, D]; copied
   */
  public SketchMemory(Tensor projections, int capacity) {
    this.arrays = (int) projections.size(0);
    this.bits = (int) projections.size(1);
    this.capacity = capacity;
    this.projections = Scopes.scoped(() -> Scopes.own(projections.clone()));
    ring =
        new Ring(capacity)
            .column("buckets", ScalarType.Long, arrays)
            .column("labels", ScalarType.Double)
            .column("base", ScalarType.Double);
    for (String name : SUMS) {
      Scopes.run(
          () ->
              sums.put(
                  name,
                  Scopes.own(
                      torch.zeros(
                          new long[] {(long) arrays << bits},
                          new TensorOptions(ScalarType.Double)))));
    }
  }

  /** Projections of standard normal values, float64 [K, L, D]. */
  static Tensor draw(int arrays, int bits, long dimension, long seed) {
    return Scopes.tensor(
        () -> {
          try (Rng rng = Rng.named(seed, "projections")) {
            return rng.normal(ScalarType.Double, arrays, bits, dimension);
          }
        });
  }

  /**
   * The bucket of each key in each array: sum over l of 2^l [w_kl . h > 0].
   *
   * @param keys float64 [N, D]
   * @param projections float64 [K, L, D]
   * @return int64 [N, K], 0 .. 2^L - 1
   */
  public static Tensor buckets(Tensor keys, Tensor projections) {
    return Scopes.tensor(
        () -> {
          long k = projections.size(0);
          long l = projections.size(1);
          Tensor signs =
              keys.mm(projections.reshape(k * l, projections.size(2)).t())
                  .gt(new Scalar(0.0))
                  .view(keys.size(0), k, l)
                  .to(ScalarType.Long);
          return signs.mul(torch.pow(new Scalar(2L), longs(l))).sum(2);
        });
  }

  private static Tensor longs(long count) {
    return torch.arange(new Scalar(count), new TensorOptions(ScalarType.Long));
  }

  /** Numbers of buckets over all arrays, flat. */
  private Tensor flat(Tensor buckets) {
    return buckets.add(longs(arrays).mul(new Scalar(1L << bits))).flatten();
  }

  @Override
  public void write(Tensor keys, Tensor labels, Tensor base) {
    Scopes.run(
        () -> {
          long count = Math.min(keys.size(0), capacity);
          long from = keys.size(0) - count;
          Tensor y = labels.narrow(0, from, count);
          Tensor predicted = base.narrow(0, from, count);
          Tensor buckets = buckets(keys.narrow(0, from, count), projections);
          drop(ring.leaving((int) count));
          add(flat(buckets), y, predicted, 1);
          ring.add(Map.of("buckets", buckets, "labels", y, "base", predicted), (int) count);
        });
  }

  private void add(Tensor flat, Tensor labels, Tensor base, double sign) {
    Scalar factor = new Scalar(sign);
    sum("count").index_add_(0, flat, torch.ones_like(flat).to(ScalarType.Double), factor);
    sum("sum_labels").index_add_(0, flat, each(labels), factor);
    sum("sum_base").index_add_(0, flat, each(base), factor);
  }

  private Tensor each(Tensor values) {
    return values.unsqueeze(1).expand(values.size(0), arrays).flatten();
  }

  private void drop(int count) {
    if (count == 0) {
      return;
    }
    Tensor rows = ring.oldest(count);
    Tensor flat = flat(ring.column("buckets").index_select(0, rows));
    add(
        flat,
        ring.column("labels").index_select(0, rows),
        ring.column("base").index_select(0, rows),
        -1);
    // What rounding left in a bucket goes with its last event.
    Tensor empty = flat.masked_select(sum("count").index_select(0, flat).eq(new Scalar(0.0)));
    sum("sum_labels").index_fill_(0, empty, new Scalar(0.0));
    sum("sum_base").index_fill_(0, empty, new Scalar(0.0));
  }

  private Tensor sum(String name) {
    return java.util.Objects.requireNonNull(sums.get(name), name);
  }

  /**
   * Counts, label sums or sums of base predictions, [K, 2^L], in the enclosing scope.
   *
   * @param name count, sum_labels or sum_base
   */
  public Tensor table(String name) {
    return sum(name).view(arrays, 1L << bits);
  }

  @Override
  public Neighbours read(Tensor keys) {
    Tensor flat = flat(buckets(keys, projections));
    long[] shape = {keys.size(0), arrays};
    Tensor count = sum("count").index_select(0, flat).view(shape);
    Tensor filled = count.gt(new Scalar(0.0));
    Tensor divisor = count.clamp_min(new Scalar(1.0));
    return new Neighbours(
        count.div(new Scalar((double) Math.max(1, ring.size()))),
        sum("sum_labels").index_select(0, flat).view(shape).div(divisor),
        sum("sum_base").index_select(0, flat).view(shape).div(divisor),
        filled);
  }

  @Override
  public long size() {
    return ring.size();
  }

  @Override
  public long bytes() {
    return ring.bytes()
        + projections.nbytes()
        + sums.values().stream().mapToLong(Tensor::nbytes).sum();
  }

  @Override
  public void clear() {
    sums.values().forEach(Tensor::zero_);
    ring.clear();
  }

  @Override
  public Map<String, Tensor> tensors() {
    Map<String, Tensor> all = ring.tensors();
    all.putAll(sums);
    all.put("projections", projections);
    return all;
  }

  @Override
  public Map<String, Object> values() {
    return ring.values();
  }

  @Override
  public void check(State state) {
    ring.check(state);
    sums.forEach((name, own) -> Ring.sameShape(name, state.tensor(name), own));
    Ring.sameShape("projections", state.tensor("projections"), projections);
    boolean inside =
        Scopes.scoped(
            () -> {
              Tensor buckets = state.tensor("buckets");
              return buckets
                  .ge(new Scalar(0L))
                  .logical_and(buckets.lt(new Scalar(1L << bits)))
                  .all()
                  .item_bool();
            });
    if (!inside) {
      throw new org.outrigger.core.OutriggerException(
          "The saved " + state.type() + " names buckets that there are not: the file is damaged.");
    }
  }

  @Override
  public void restore(State state) {
    ring.restore(state);
    sums.forEach((name, own) -> own.copy_(state.tensor(name)));
    projections.copy_(state.tensor("projections"));
  }

  @Override
  public void close() {
    ring.close();
    sums.values().forEach(Scopes::release);
    Scopes.release(projections);
  }
}
