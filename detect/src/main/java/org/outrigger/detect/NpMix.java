package org.outrigger.detect;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.commons.statistics.distribution.BetaDistribution;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Nearest-prototype mixing: outliers in feature space, one a class, between a remembered feature of
 * the class and one of a class nearby. Each class remembers its last features; until all classes
 * have as many as they can hold, nothing is mixed.
 *
 * <p>Of {@link MultiOod}; Dong et al., NeurIPS 2024. Nothing filters outliers by density.
 */
public final class NpMix implements AutoCloseable {
  /** Distances from differences; products would round away what is close. */
  private static final long FROM_DIFFERENCES = 2;

  private final int capacity;
  private Tensor memory;
  private Tensor count;

  /**
   * What chance decides of one outlier a class.
   *
   * @param row which remembered feature of the class, int64 [C]
   * @param neighbour the class nearby, int64 [C]
   * @param neighbourRow which remembered feature of that class, int64 [C]
   * @param lambda the share of the class's own feature, float64 [C] in [0, 1]
   */
  public record Draws(Tensor row, Tensor neighbour, Tensor neighbourRow, Tensor lambda) {}

  /**
   * How full the memory is.
   *
   * @param capacity features a class can hold
   * @param counts features that each class holds
   */
  public record Fill(int capacity, List<Integer> counts) {
    public Fill {
      counts = List.copyOf(counts);
    }

    /** Whether every class is full, so that outliers are made. */
    public boolean full() {
      return counts.stream().allMatch(count -> count >= capacity);
    }

    /** In a sentence, with the classes that hold least. */
    @Override
    public String toString() {
      long open = counts.stream().filter(count -> count < capacity).count();
      if (open == 0) {
        return "all " + counts.size() + " classes hold " + capacity + " features";
      }
      return open
          + " of "
          + counts.size()
          + " classes hold fewer than "
          + capacity
          + " features ("
          + IntStream.range(0, counts.size())
              .filter(c -> counts.get(c) < capacity)
              .boxed()
              .sorted((a, b) -> Integer.compare(counts.get(a), counts.get(b)))
              .limit(3)
              .map(c -> "class " + c + ": " + counts.get(c))
              .collect(Collectors.joining(", "))
          + (open > 3 ? ", ..." : "")
          + ")";
    }
  }

  /**
   * An empty memory.
   *
   * @param classes C
   * @param capacity S, features a class
   * @param dimension D of a feature
   */
  public NpMix(long classes, int capacity, long dimension) {
    this.capacity = capacity;
    Tensor[] made =
        Scopes.scoped(
            () ->
                new Tensor[] {
                  Scopes.own(
                      torch.zeros(
                          new long[] {classes, capacity, dimension},
                          new TensorOptions(ScalarType.Float))),
                  Scopes.own(torch.zeros(new long[] {classes}, new TensorOptions(ScalarType.Long)))
                });
    memory = made[0];
    count = made[1];
  }

  /**
   * A full memory after a batch: each class forgets as many of its oldest features as it gets.
   *
   * @param memory [C, S, D], the oldest first
   * @param features [N, D]
   * @param labels int64 [N], each 0 .. C-1
   * @return [C, S, D]
   */
  public static Tensor push(Tensor memory, Tensor features, Tensor labels) {
    return Scopes.tensor(
        () -> {
          long classes = memory.size(0);
          long size = memory.size(1);
          Tensor order = torch.argsort(labels, true, 0, false);
          Tensor added = torch.one_hot(labels, classes).sum(0);
          Tensor first = added.cumsum(0).sub(added).unsqueeze(1);
          // The place of what is in slot s afterwards: in the memory, or behind it in the batch.
          Tensor slot = torch.arange(new Scalar(size), new TensorOptions(ScalarType.Long));
          Tensor moved = slot.unsqueeze(0).add(added.unsqueeze(1));
          Tensor own = torch.arange(new Scalar(classes), new TensorOptions(ScalarType.Long));
          Tensor kept = own.unsqueeze(1).mul(new Scalar(size)).add(moved);
          Tensor sorted = moved.sub(new Scalar(size)).add(first);
          Tensor inBatch =
              sorted.clamp_min(new Scalar(0)).clamp_max(new Scalar(labels.numel() - 1));
          Tensor fresh =
              order
                  .index_select(0, inBatch.flatten())
                  .view(classes, size)
                  .add(new Scalar(classes * size));
          Tensor place = torch.where(moved.lt(new Scalar(size)), kept, fresh).flatten();
          Tensor pool = torch.cat(new TensorVector(memory.flatten(0, 1), features), 0);
          return pool.index_select(0, place).view(classes, size, -1);
        });
  }

  /** The mean remembered feature of each class, [C, D], of a memory [C, S, D]. */
  public static Tensor prototypes(Tensor memory) {
    return memory.mean(1);
  }

  /**
   * The classes nearby, each class itself left out.
   *
   * @param prototypes [C, D]
   * @param nnK neighbours including the class itself, 2 .. C
   * @return int64 [C, nnK - 1], the nearest first, by Euclidean distance
   */
  public static Tensor neighbours(Tensor prototypes, int nnK) {
    return Scopes.tensor(
        () -> {
          Tensor apart = torch.cdist(prototypes, prototypes, 2, new LongOptional(FROM_DIFFERENCES));
          // Itself comes first also where two prototypes are the same.
          apart.fill_diagonal_(new Scalar(-1.0));
          return apart.topk(nnK, 1, false, true).get1().narrow(1, 1, nnK - 1);
        });
  }

  /**
   * Draws one outlier a class.
   *
   * @param neighbours what {@link #neighbours} gave, [C, nnK - 1]
   * @param capacity S
   * @param alpha both parameters of lambda's beta distribution, above 0
   */
  public static Draws draw(Tensor neighbours, long capacity, double alpha, Rng rng) {
    long classes = neighbours.size(0);
    Tensor row = whole(capacity, classes, rng);
    Tensor which = whole(neighbours.size(1), classes, rng).unsqueeze(1);
    Tensor neighbourRow = whole(capacity, classes, rng);
    double[] lambda = Tensors.doubles(rng.uniform(ScalarType.Double, classes));
    BetaDistribution beta = BetaDistribution.of(alpha, alpha);
    Arrays.setAll(lambda, c -> beta.inverseCumulativeProbability(lambda[c]));
    return new Draws(
        row, neighbours.gather(1, which).squeeze(1), neighbourRow, Tensors.of(lambda, classes));
  }

  /** Whole numbers 0 .. bound-1, int64 [n]. */
  private static Tensor whole(long bound, long n, Rng rng) {
    return rng.uniform(ScalarType.Double, n).mul(new Scalar(bound)).floor().to(ScalarType.Long);
  }

  /**
   * The outliers {@code lambda a + (1 - lambda) b} between a feature a of each class and a feature
   * b of its neighbour.
   *
   * @param memory [C, S, D]
   * @return [C, D], in the memory's type
   */
  public static Tensor mix(Tensor memory, Draws draws) {
    return Scopes.tensor(
        () -> {
          long size = memory.size(1);
          Tensor all = memory.flatten(0, 1);
          Tensor own = torch.arange(new Scalar(memory.size(0)), new TensorOptions(ScalarType.Long));
          Tensor a = all.index_select(0, own.mul(new Scalar(size)).add(draws.row));
          Tensor b =
              all.index_select(0, draws.neighbour.mul(new Scalar(size)).add(draws.neighbourRow));
          Tensor share = draws.lambda.unsqueeze(1);
          return a.mul(share)
              .add(b.mul(share.neg().add(new Scalar(1.0))))
              .to(memory.scalar_type().intern());
        });
  }

  /** How full it is. */
  public Fill fill() {
    return new Fill(capacity, Arrays.stream(Tensors.ints(count)).boxed().toList());
  }

  /** What is remembered, [C, S, D], the oldest first; borrowed until the next change. */
  public Tensor memory() {
    return memory;
  }

  /**
   * Remembers a batch. As long as one class is not full, classes that are keep what they have; once
   * all are, every row goes in and the oldest of its class out.
   *
   * @param features [N, D]
   * @param labels int64 [N], each 0 .. C-1
   */
  public void add(Tensor features, Tensor labels) {
    Shapes.check()
        .size("D", memory.size(2), "the memory")
        .tensor("The features", features, "N", "D")
        .tensor("The labels", labels, "N");
    Scopes.run(
        () -> {
          Tensor rows = features.detach().to(ScalarType.Float);
          if (fill().full()) {
            Tensor old = memory;
            memory = Scopes.own(push(memory, rows, labels));
            Scopes.release(old);
            return;
          }
          Tensor slot =
              count.index_select(0, labels).add(Classes.positions(labels, memory.size(0)));
          Tensor fits = slot.lt(new Scalar(capacity)).nonzero().flatten();
          Tensor place = labels.mul(new Scalar(capacity)).add(slot).index_select(0, fits);
          memory.flatten(0, 1).index_copy_(0, place, rows.index_select(0, fits));
          count.add_(torch.one_hot(labels, memory.size(0)).sum(0)).clamp_max_(new Scalar(capacity));
        });
  }

  /** One outlier a class from what is remembered, [C, D]. */
  public Tensor outliers(int nnK, double alpha, Rng rng) {
    return Scopes.noGrad(
        () -> {
          Tensor nearby = neighbours(prototypes(memory).to(ScalarType.Double), nnK);
          return mix(memory, draw(nearby, capacity, alpha, rng));
        });
  }

  /** Takes over a memory that another one had; nothing has changed if it does not fit. */
  void restore(State state) {
    Tensor savedMemory = state.tensor("memory");
    Tensor savedCount = state.tensor("count");
    Shapes.check()
        .size("C", memory.size(0), "the model")
        .size("S", capacity, "the setting sampleNumber")
        .size("D", memory.size(2), "the model")
        .tensor("The saved memory", savedMemory, "C", "S", "D")
        .tensor("The saved count", savedCount, "C");
    Shapes.finite("The saved memory", savedMemory);
    for (int each : Tensors.ints(savedCount)) {
      if (each < 0 || each > capacity) {
        throw new OutriggerException(
            "The saved count of a class is " + each + " of " + capacity + ": the file is damaged.");
      }
    }
    Scopes.run(
        () -> {
          memory.copy_(savedMemory);
          count.copy_(savedCount);
        });
  }

  Tensor count() {
    return count;
  }

  @Override
  public void close() {
    Scopes.release(memory);
    Scopes.release(count);
  }
}
