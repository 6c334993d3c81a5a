package org.outrigger.select.data;

import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * K-means on mini-batches: centroids start by k-means++ and move to the running mean of the samples
 * that fell to them. Sculley, Web-Scale K-Means Clustering, WWW 2010. Clusters that end up empty
 * are dropped, so fewer than K may come back.
 */
public final class MiniBatchKMeans {
  private static final int ROWS = 8192;
  private static final int PATIENCE = 10;

  private MiniBatchKMeans() {}

  /**
   * Clusters of rows.
   *
   * @param centroids float64 [k, D], owned by the caller's scope
   * @param assignment the cluster of each row, 0 .. k-1
   * @param sizes of the clusters, none is 0
   * @param within the sum over all rows of the distance to their centroid
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Clusters(Tensor centroids, int[] assignment, int[] sizes, double within) {}

  /**
   * Clusters rows.
   *
   * @param vectors [N, D], finite
   * @param k the number of clusters, at most N
   * @param batch rows of one step, 1 or more
   * @param epochs the most passes over the rows; it stops early when ten steps bring nothing
   * @param rng draws the start and the batches
   */
  public static Clusters fit(Tensor vectors, int k, int batch, int epochs, Rng rng) {
    Shapes.check().tensor("The vectors", vectors, "N", "D");
    Shapes.notEmpty("The vectors", vectors);
    Shapes.finite("The vectors", vectors);
    HyperParameter.atLeast("batch", batch, 1);
    HyperParameter.atLeast("epochs", epochs, 1);
    long n = vectors.size(0);
    if (k < 1 || k > n) {
      throw new OutriggerException(
          "clusters K = "
              + k
              + " is out of range: there are "
              + n
              + " samples, so use 1 to "
              + n
              + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = vectors.detach().to(ScalarType.Double);
          Tensor centroids = start(x, k, batch, rng);
          Tensor counts = torch.zeros(new long[] {k}, x.options());
          double smoothed = Double.NaN;
          double best = Double.POSITIVE_INFINITY;
          int stale = 0;
          long steps = epochs * Math.max(1, (n + batch - 1) / batch);
          for (long step = 0; step < steps && stale < PATIENCE; step++) {
            double loss = step(x, centroids, counts, batch, rng);
            double weight = Math.min(1, 2.0 * batch / (n + 1));
            smoothed = Double.isNaN(smoothed) ? loss : (1 - weight) * smoothed + weight * loss;
            stale = smoothed < best * (1 - 1e-6) ? 0 : stale + 1;
            best = Math.min(best, smoothed);
          }
          return finish(x, centroids);
        });
  }

  /** k-means++ on a few batches: each next centroid far from those before, at random. */
  private static Tensor start(Tensor x, int k, int batch, Rng rng) {
    long n = x.size(0);
    long sample = Math.min(n, Math.max(3L * batch, 3L * k));
    Tensor rows = sample == n ? x : x.index_select(0, rng.permutation(n).narrow(0, 0, sample));
    GeneratorOptional generator = rng.generator();
    Tensor uniform = torch.ones(new long[] {sample}, x.options());
    TensorVector chosen = new TensorVector();
    Tensor distances = uniform;
    for (int i = 0; i < k; i++) {
      Tensor before = distances;
      boolean spread = i > 0 && before.amax().item_double() > 0;
      Tensor pick = torch.multinomial(spread || i == 0 ? before : uniform, 1, true, generator);
      Tensor centroid = rows.index_select(0, pick);
      chosen.push_back(centroid);
      int index = i;
      distances =
          Scopes.tensor(
              () -> {
                Tensor apart = rows.sub(centroid);
                Tensor squares = apart.mul(apart).sum(1);
                return index == 0 ? squares : torch.minimum(before, squares);
              });
    }
    return torch.cat(chosen, 0);
  }

  /** Moves the centroids by one batch, in place; the mean squared distance before. */
  private static double step(Tensor x, Tensor centroids, Tensor counts, int batch, Rng rng) {
    return Scopes.scoped(
        () -> {
          long n = x.size(0);
          Tensor rows = batch >= n ? x : x.index_select(0, rng.permutation(n).narrow(0, 0, batch));
          T_TensorTensor_T near = nearest(rows, centroids);
          Tensor which = near.get1();
          Tensor sums = torch.zeros_like(centroids).index_add(0, which, rows);
          Tensor got =
              torch
                  .zeros_like(counts)
                  .index_add(0, which, torch.ones(new long[] {rows.size(0)}, x.options()));
          counts.add_(got);
          Tensor rate = counts.clamp_min(new Scalar(1)).reciprocal().unsqueeze(1);
          centroids.add_(sums.sub(centroids.mul(got.unsqueeze(1))).mul(rate));
          return near.get0().mean().item_double();
        });
  }

  /** Squared distance to the nearest centroid, and which it is. */
  private static T_TensorTensor_T nearest(Tensor rows, Tensor centroids) {
    Tensor squares =
        rows.mm(centroids.t())
            .mul(new Scalar(-2.0))
            .add(centroids.mul(centroids).sum(1))
            .add(rows.mul(rows).sum(1).unsqueeze(1));
    return squares.clamp_min(new Scalar(0)).min(1, false);
  }

  private static Clusters finish(Tensor x, Tensor centroids) {
    long n = x.size(0);
    int k = Math.toIntExact(centroids.size(0));
    int[] assignment = new int[Math.toIntExact(n)];
    for (int from = 0; from < n; from += ROWS) {
      int start = from;
      int count = (int) Math.min(ROWS, n - from);
      int[] part =
          Scopes.scoped(() -> Tensors.ints(nearest(x.narrow(0, start, count), centroids).get1()));
      System.arraycopy(part, 0, assignment, from, count);
    }
    int[] counts = new int[k];
    for (int cluster : assignment) {
      counts[cluster]++;
    }
    int[] renamed = new int[k];
    int kept = 0;
    for (int c = 0; c < k; c++) {
      renamed[c] = counts[c] == 0 ? -1 : kept++;
    }
    int[] sizes = new int[kept];
    int[] old = new int[kept];
    for (int c = 0; c < k; c++) {
      if (renamed[c] >= 0) {
        sizes[renamed[c]] = counts[c];
        old[renamed[c]] = c;
      }
    }
    for (int i = 0; i < assignment.length; i++) {
      assignment[i] = renamed[assignment[i]];
    }
    Tensor used = centroids.index_select(0, Tensors.labels(old));
    return new Clusters(
        Scopes.keep(new Tensor(used)), assignment, sizes, within(x, used, assignment));
  }

  /** The sum of distances of rows to the centroids that they are assigned to. */
  static double within(Tensor x, Tensor centroids, int[] assignment) {
    double sum = 0;
    for (int from = 0; from < assignment.length; from += ROWS) {
      int start = from;
      int count = Math.min(ROWS, assignment.length - from);
      sum +=
          Scopes.scoped(
              () -> {
                int[] part = java.util.Arrays.copyOfRange(assignment, start, start + count);
                Tensor apart =
                    x.narrow(0, start, count).sub(centroids.index_select(0, Tensors.labels(part)));
                return apart.mul(apart).sum(1).sqrt().sum().item_double();
              });
    }
    return sum;
  }
}
