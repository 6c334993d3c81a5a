package org.outrigger.select.data;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** How many samples each cluster gives. Rounding may give a few too many: see {@link #fit}. */
public final class ClusterBudgets {
  private ClusterBudgets() {}

  /** How a budget is spread over clusters. */
  public enum Rule {
    /** All alike; what small clusters lack is handed on to larger ones. */
    BALANCED,
    /** In proportion to the standard deviation of EL2N inside a cluster. */
    SCORE_WEIGHTED,
    /** In proportion to how wide a cluster is and how far it lies from the others. */
    DENSITY
  }

  /**
   * Water filling: clusters in ascending order of size get {@code b = ceil(M / K)}; one that is
   * smaller gives all it has, and what it lacks raises b for the rest.
   *
   * @param sizes of the clusters, 1 or more each
   * @param total M, 1 or more
   * @return one budget a cluster; their sum may exceed M by rounding
   */
  public static int[] balanced(int[] sizes, int total) {
    check(sizes, total);
    int k = sizes.length;
    if (sum(sizes) <= total) {
      return sizes.clone();
    }
    int[] budgets = new int[k];
    int share = ceil(total, k);
    if ((long) Arrays.stream(sizes).min().orElseThrow() * k >= total) {
      Arrays.fill(budgets, share);
      return budgets;
    }
    int[] order = ascending(sizes);
    for (int i = 0; i < k; i++) {
      int cluster = order[i];
      if (sizes[cluster] < share) {
        budgets[cluster] = sizes[cluster];
        if (i + 1 < k) {
          share += ceil(share - sizes[cluster], k - i - 1);
        }
      } else {
        budgets[cluster] = share;
      }
    }
    return budgets;
  }

  /**
   * In proportion to weights, integer parts; what a small cluster cannot give is handed on in equal
   * parts to the larger ones.
   *
   * @param sizes of the clusters, 1 or more each
   * @param weights not negative; all 0 counts as all alike
   * @param total M, 1 or more
   * @return one budget a cluster; their sum may be below M by rounding
   */
  public static int[] weighted(int[] sizes, double[] weights, int total) {
    check(sizes, total);
    if (weights.length != sizes.length
        || !Arrays.stream(weights).allMatch(w -> w >= 0 && Double.isFinite(w))) {
      throw new OutriggerException(
          "Each of the " + sizes.length + " clusters needs a finite weight of 0 or more.");
    }
    if (sum(sizes) <= total) {
      return sizes.clone();
    }
    int k = sizes.length;
    double all = Arrays.stream(weights).sum();
    double[] share = Arrays.stream(weights).map(w -> all > 0 ? w / all : 1.0 / k).toArray();
    int[] budgets = Arrays.stream(share).mapToInt(p -> (int) (p * total)).toArray();
    int[] order = ascending(sizes);
    for (int i = 0; i < k; i++) {
      int cluster = order[i];
      if (sizes[cluster] >= budgets[cluster]) {
        continue;
      }
      budgets[cluster] = sizes[cluster];
      double rest = (share[cluster] - (double) sizes[cluster] / total) / Math.max(1, k - i - 1);
      for (int j = i + 1; j < k; j++) {
        share[order[j]] += rest;
        budgets[order[j]] = (int) (share[order[j]] * total);
      }
    }
    return budgets;
  }

  /**
   * The standard deviation (divisor n) of a score in each cluster; NaN counts as 0.
   *
   * @param scores [N]
   * @param clusters int64 [N]
   * @param k the number of clusters
   */
  public static double[] spread(Tensor scores, Tensor clusters, int k) {
    Shapes.check().tensor("The scores", scores, "N").tensor("The clusters", clusters, "N");
    return Scopes.scoped(
        () -> {
          Tensor x = torch.nan_to_num(scores.to(ScalarType.Double));
          Tensor ones = torch.ones_like(x);
          Tensor zeros = torch.zeros(new long[] {k}, x.options());
          Tensor n = zeros.index_add(0, clusters, ones);
          Tensor mean = zeros.index_add(0, clusters, x).div(n);
          Tensor apart = x.sub(mean.index_select(0, clusters));
          return Tensors.doubles(zeros.index_add(0, clusters, apart.mul(apart)).div(n).sqrt());
        });
  }

  /**
   * The density-based share of each cluster: mean distance of its samples to its centroid, times
   * the Frobenius norm of all centroids minus its own, normalised to one.
   *
   * @param vectors [N, D]
   * @param clusters int64 [N]
   * @param centroids [K, D]
   * @return [K], not negative; alike where all are 0
   */
  public static double[] densities(Tensor vectors, Tensor clusters, Tensor centroids) {
    Shapes.check()
        .tensor("The vectors", vectors, "N", "D")
        .tensor("The clusters", clusters, "N")
        .tensor("The centroids", centroids, "K", "D");
    return Scopes.scoped(
        () -> {
          Tensor x = torch.nan_to_num(vectors.to(ScalarType.Double));
          Tensor c = torch.nan_to_num(centroids.to(ScalarType.Double));
          long k = c.size(0);
          Tensor apart = x.sub(c.index_select(0, clusters));
          Tensor distance = apart.mul(apart).sum(1).sqrt();
          Tensor zeros = torch.zeros(new long[] {k}, x.options());
          Tensor n = zeros.index_add(0, clusters, torch.ones_like(distance));
          Tensor wide = zeros.index_add(0, clusters, distance).div(n.clamp_min(new Scalar(1)));
          Tensor between = torch.cdist(c, c);
          Tensor far = between.mul(between).sum(1).sqrt();
          double[] raw = Tensors.doubles(wide.mul(far));
          double all = Arrays.stream(raw).sum();
          return Arrays.stream(raw).map(p -> all > 0 ? p / all : 1.0 / k).toArray();
        });
  }

  /**
   * Budgets that add up to the total, or to all there is: none exceeds its cluster's size, the
   * largest ones are trimmed one by one, and what is missing is handed out one by one to the
   * clusters that have most left.
   *
   * @param budgets from one of the rules
   * @param sizes of the clusters
   * @param total M
   */
  public static int[] fit(int[] budgets, int[] sizes, int total) {
    check(sizes, total);
    int[] fitted = new int[sizes.length];
    for (int i = 0; i < fitted.length; i++) {
      fitted[i] = Math.max(0, Math.min(budgets[i], sizes[i]));
    }
    long wanted = Math.min(total, sum(sizes));
    long given = sum(fitted);
    while (given > wanted) {
      fitted[largest(fitted)]--;
      given--;
    }
    while (given < wanted) {
      int[] left = new int[sizes.length];
      Arrays.setAll(left, i -> sizes[i] - fitted[i]);
      fitted[largest(left)]++;
      given++;
    }
    return fitted;
  }

  private static int largest(int[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      if (values[i] > values[best]) {
        best = i;
      }
    }
    return best;
  }

  private static int[] ascending(int[] sizes) {
    return IntStream.range(0, sizes.length)
        .boxed()
        .sorted(Comparator.comparingInt(i -> sizes[i]))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  private static long sum(int[] values) {
    return Arrays.stream(values).asLongStream().sum();
  }

  static int ceil(int value, int parts) {
    return Math.floorDiv(value + parts - 1, parts);
  }

  private static void check(int[] sizes, int total) {
    if (total < 1) {
      throw new OutriggerException("A budget of " + total + " selects nothing: use 1 or more.");
    }
    if (sizes.length == 0 || Arrays.stream(sizes).anyMatch(size -> size < 1)) {
      throw new OutriggerException(
          "Each cluster needs a sample, but the sizes are " + Arrays.toString(sizes) + ".");
    }
  }
}
