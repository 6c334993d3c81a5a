package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** What one gains of one aim for what one loses of another. Larger is better in all of them. */
public final class TradeOffs {
  private static final int DECILES = 9;

  private TradeOffs() {}

  /**
   * A point of the quality-diversity frontier.
   *
   * @param threshold samples of this quality or more
   * @param quality the mean of those measured
   * @param vendi their Vendi score
   * @param nearest their mean cosine distance to the nearest other
   * @param coverage of the reference; NaN without one
   * @param n samples measured, the same in all points
   */
  public record FrontierPoint(
      double threshold, double quality, double vendi, double nearest, double coverage, int n) {}

  /**
   * The frontier: what remains of diversity as the quality that is asked for rises by deciles. Each
   * point is measured on as many samples, those of the smallest.
   *
   * @param quality [n], each in [0, 1]
   * @param embeddings [n, d]
   * @param reference [m, d], or null
   * @param k neighbours for the coverage
   * @param seed of the subsamples
   */
  public static List<FrontierPoint> frontier(
      Tensor quality, Tensor embeddings, @Nullable Tensor reference, int k, long seed) {
    Shapes.check().tensor("quality", quality, "n").tensor("The embeddings", embeddings, "n", "d");
    QualityMeasures.unit("quality", quality);
    double[] q = Tensors.doubles(quality);
    double[] sorted = q.clone();
    Arrays.sort(sorted);
    double[] thresholds =
        IntStream.rangeClosed(0, DECILES)
            .mapToDouble(i -> sorted[i * q.length / (DECILES + 1)])
            .distinct()
            .toArray();
    int n = count(q, thresholds[thresholds.length - 1]);
    if (n < 2 || (reference != null && n <= k)) {
      throw new OutriggerException(
          "Only "
              + n
              + " samples are left at the highest quality: the frontier needs more samples.");
    }
    List<FrontierPoint> points = new ArrayList<>();
    for (double threshold : thresholds) {
      int[] above = IntStream.range(0, q.length).filter(i -> q[i] >= threshold).toArray();
      int[] rows = subsample(above, n, Rng.derive(seed, "frontier " + threshold));
      points.add(
          Scopes.scoped(
              () -> {
                Tensor index = Tensors.labels(rows);
                Tensor e = embeddings.index_select(0, index);
                return new FrontierPoint(
                    threshold,
                    quality.to(ScalarType.Double).index_select(0, index).mean().item_double(),
                    Vendi.ofEmbeddings(e, 1),
                    EmbeddingDiversity.meanNearest(e),
                    reference == null
                        ? Double.NaN
                        : ReferenceCoverage.of(e, reference, k).coverage(),
                    n);
              }));
    }
    return points;
  }

  private static int count(double[] q, double threshold) {
    return (int) Arrays.stream(q).filter(value -> value >= threshold).count();
  }

  /** {@code n} of these rows at random, in their order. */
  static int[] subsample(int[] rows, int n, long seed) {
    if (rows.length <= n) {
      return rows;
    }
    try (Rng rng = new Rng(seed)) {
      return Scopes.scoped(
          () ->
              Arrays.stream(Tensors.ints(rng.permutation(rows.length).narrow(0, 0, n)))
                  .sorted()
                  .map(i -> rows[i])
                  .toArray());
    }
  }

  /**
   * The candidates that no other beats in one aim without losing in another.
   *
   * @param points one row a candidate, one column an aim, finite
   * @return their positions, ascending
   */
  public static int[] pareto(double[][] points) {
    check(points);
    return IntStream.range(0, points.length)
        .filter(i -> Arrays.stream(points).noneMatch(other -> dominates(other, points[i])))
        .toArray();
  }

  private static boolean dominates(double[] a, double[] b) {
    boolean better = false;
    for (int d = 0; d < a.length; d++) {
      if (a[d] < b[d]) {
        return false;
      }
      better |= a[d] > b[d];
    }
    return better;
  }

  /**
   * Each aim scaled to [0, 1] over the candidates; 1 where all are the same.
   *
   * @param points one row a candidate, one column an aim, finite
   */
  public static double[][] scaled(double[][] points) {
    check(points);
    int aims = points[0].length;
    double[][] scaled = new double[points.length][aims];
    for (int d = 0; d < aims; d++) {
      int aim = d;
      double low = Arrays.stream(points).mapToDouble(p -> p[aim]).min().orElseThrow();
      double high = Arrays.stream(points).mapToDouble(p -> p[aim]).max().orElseThrow();
      for (int i = 0; i < points.length; i++) {
        scaled[i][d] = high > low ? (points[i][d] - low) / (high - low) : 1;
      }
    }
    return scaled;
  }

  /**
   * The hypervolume that candidates dominate, against the origin, exactly.
   *
   * @param points one row a candidate, two or three columns, each 0 or more; see {@link #scaled}
   */
  public static double hypervolume(double[][] points) {
    check(points);
    int aims = points[0].length;
    if (aims < 2
        || aims > 3
        || Arrays.stream(points).flatMapToDouble(Arrays::stream).min().orElse(0) < 0) {
      throw new OutriggerException(
          "The hypervolume is exact for two or three aims of 0 or more: scale them first.");
    }
    if (aims == 2) {
      return area(Arrays.asList(points));
    }
    double[][] sorted = points.clone();
    Arrays.sort(sorted, Comparator.comparingDouble((double[] p) -> -p[2]));
    double volume = 0;
    for (int i = 0; i < sorted.length; i++) {
      double below = i + 1 < sorted.length ? sorted[i + 1][2] : 0;
      double height = sorted[i][2] - below;
      if (height > 0) {
        volume += height * area(Arrays.asList(sorted).subList(0, i + 1));
      }
    }
    return volume;
  }

  /** The area under the steps of the first two aims. */
  private static double area(List<double[]> points) {
    List<double[]> sorted = new ArrayList<>(points);
    sorted.sort(Comparator.comparingDouble((double[] p) -> -p[0]));
    double area = 0;
    double top = 0;
    for (double[] p : sorted) {
      if (p[1] > top) {
        area += p[0] * (p[1] - top);
        top = p[1];
      }
    }
    return area;
  }

  private static void check(double[][] points) {
    if (points.length == 0) {
      throw new OutriggerException("There are no candidates to compare.");
    }
    for (double[] point : points) {
      if (point.length != points[0].length
          || point.length == 0
          || !Arrays.stream(point).allMatch(Double::isFinite)) {
        throw new OutriggerException(
            "Each candidate needs the same "
                + points[0].length
                + " aims, all finite, but one is "
                + Arrays.toString(point)
                + ".");
      }
    }
  }
}
