package org.outrigger.stream;

import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Permutation tests: if reference and batch come from one distribution, any split of the pooled
 * rows into two sets of the same sizes gives as good a statistic. Exact at every sample size.
 */
public final class Permutations {
  private Permutations() {}

  /** Refuses fewer permutations than a decision at that level needs. */
  static void enough(int permutations, double alpha) {
    HyperParameter.require(
        permutations >= 1 && permutations >= 1 / alpha - 1e-9,
        "permutations",
        permutations,
        "at least 1 / alpha = " + 1 / alpha + ", or no p-value could be below alpha");
  }

  /**
   * Orders of the pooled rows.
   *
   * @return int64 [count, rows], owned by the enclosing scope or the caller
   */
  public static Tensor draw(int count, long rows, long seed, String purpose) {
    return Scopes.tensor(
        () -> {
          try (Rng rng = Rng.named(seed, purpose);
              TensorVector orders = new TensorVector()) {
            for (int i = 0; i < count; i++) {
              orders.push_back(rng.permutation(rows));
            }
            return torch.stack(orders, 0);
          }
        });
  }

  /**
   * The share of permuted statistics that are at least the observed one; can be 0.
   *
   * @param observed []
   * @param permuted [N]
   */
  public static double share(double observed, double[] permuted) {
    return beyond(observed, permuted) / (double) permuted.length;
  }

  /**
   * The p-value {@code (1 + b) / (1 + N)}, b permuted statistics being at least the observed one:
   * valid at any N, never 0.
   */
  public static double pValue(double observed, double[] permuted) {
    return (1.0 + beyond(observed, permuted)) / (1.0 + permuted.length);
  }

  private static int beyond(double observed, double[] permuted) {
    int count = 0;
    for (double value : permuted) {
      count += value >= observed ? 1 : 0;
    }
    return count;
  }

  /**
   * Permutation p-values of a statistic that is taken of each feature by itself.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @param orders int64 [N, n + m]
   * @param statistic of two samples, [d]
   * @return [d]
   */
  static double[] featureValues(
      Tensor reference, Tensor batch, Tensor orders, Function<Tensor[], Tensor> statistic) {
    return Scopes.scoped(
        () -> {
          long n = reference.size(0);
          long m = batch.size(0);
          Tensor pooled = torch.cat(new TensorVector(reference, batch), 0);
          Tensor observed = statistic.apply(new Tensor[] {reference, batch});
          // Rounding must not turn a tie into a difference.
          Tensor bound = observed.sub(observed.abs().mul(new Scalar(1e-12)));
          Tensor beyond = torch.ones(reference.size(1)).to(torch.ScalarType.Double);
          for (long p = 0; p < orders.size(0); p++) {
            try (PointerScope scope = new PointerScope()) {
              Tensor order = orders.select(0, p);
              Tensor first = pooled.index_select(0, order.narrow(0, 0, n));
              Tensor second = pooled.index_select(0, order.narrow(0, n, m));
              Tensor permuted = statistic.apply(new Tensor[] {first, second});
              beyond.add_(permuted.ge(bound));
            }
          }
          return Tensors.doubles(beyond.div(new Scalar(orders.size(0) + 1.0)));
        });
  }
}
