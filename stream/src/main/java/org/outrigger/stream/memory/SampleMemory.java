package org.outrigger.stream.memory;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;

/**
 * The last events themselves, in a ring. A read is an exact scan: the k events with the largest
 * cosine of their key and the query's. It takes {@code 8 capacity (D + 2)} bytes.
 */
public final class SampleMemory implements ErrorMemory {
  private final int k;
  private final int capacity;
  private final Ring ring;

  public SampleMemory(int k, int capacity, long dimension) {
    this.k = k;
    this.capacity = capacity;
    ring =
        new Ring(capacity)
            .column("keys", ScalarType.Double, dimension)
            .column("labels", ScalarType.Double)
            .column("base", ScalarType.Double);
  }

  /** Rows of unit length; a row of zeros stays one. [N, D]. */
  static Tensor unit(Tensor keys) {
    return Scopes.tensor(
        () -> {
          Tensor norm = keys.square().sum(1).sqrt().unsqueeze(1);
          return keys.div(norm.masked_fill(norm.eq(new Scalar(0.0)), new Scalar(1.0)));
        });
  }

  /**
   * The k nearest by cosine, nearest first; a key of zeros has cosine 0 with all.
   *
   * @param memory float64 [M, D], M above 0; as {@code labels} and {@code base} [M]
   * @param queries float64 [N, D]
   * @param k more than M: all M
   * @return the indices int64 [N, k] first, then the cosines [N, k]; in the enclosing scope
   */
  public static Tensor[] nearest(Tensor memory, Tensor queries, int k) {
    return Scopes.scoped(
        () -> {
          var top = torch.topk(unit(queries).mm(unit(memory).t()), Math.min(k, memory.size(0)));
          return new Tensor[] {
            Scopes.keep(new Tensor(top.get1())), Scopes.keep(new Tensor(top.get0()))
          };
        });
  }

  @Override
  public void write(Tensor keys, Tensor labels, Tensor base) {
    Scopes.run(
        () -> {
          long count = Math.min(keys.size(0), capacity);
          long from = keys.size(0) - count;
          ring.add(
              Map.of(
                  "keys", keys.narrow(0, from, count),
                  "labels", labels.narrow(0, from, count),
                  "base", base.narrow(0, from, count)),
              (int) count);
        });
  }

  @Override
  public Neighbours read(Tensor keys) {
    if (ring.size() == 0) {
      Tensor none = torch.zeros(new long[] {keys.size(0), 1}, new TensorOptions(ScalarType.Double));
      return new Neighbours(none, none, none, none.to(ScalarType.Bool));
    }
    Tensor[] nearest = nearest(ring.column("keys").narrow(0, 0, ring.size()), keys, k);
    Tensor at = nearest[0].flatten();
    long[] shape = nearest[0].shape();
    return new Neighbours(
        nearest[1],
        ring.column("labels").index_select(0, at).view(shape),
        ring.column("base").index_select(0, at).view(shape),
        torch.ones_like(nearest[1]).to(ScalarType.Bool));
  }

  @Override
  public long size() {
    return ring.size();
  }

  @Override
  public long bytes() {
    return ring.bytes();
  }

  @Override
  public void clear() {
    ring.clear();
  }

  @Override
  public Map<String, Tensor> tensors() {
    return ring.tensors();
  }

  @Override
  public Map<String, Object> values() {
    return ring.values();
  }

  @Override
  public void check(State state) {
    ring.check(state);
  }

  @Override
  public void restore(State state) {
    ring.restore(state);
  }

  @Override
  public void close() {
    ring.close();
  }
}
