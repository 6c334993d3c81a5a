package org.outrigger.select.data;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A set against a reference set: each point has a ball that reaches to its k-th other point of the
 * same set. Kynkaanniemi et al., NeurIPS 2019; Naeem et al., ICML 2020. Distances are Euclidean and
 * taken block by block.
 *
 * @param precision the share of the set inside any ball of the reference
 * @param recall the share of the reference inside any ball of the set
 * @param density the mean number of reference balls that hold a point of the set, over k
 * @param coverage the share of reference points whose ball holds a point of the set
 */
public record ReferenceCoverage(double precision, double recall, double density, double coverage) {
  private static final int BLOCK = 512;
  private static final double EUCLIDEAN = 2;
  private static final long EXACT = 2;

  /**
   * Compares a set with a reference.
   *
   * @param set [n, d], finite
   * @param reference [m, d], finite
   * @param k 1 or more, below n and m
   */
  public static ReferenceCoverage of(Tensor set, Tensor reference, int k) {
    Shapes.check().tensor("The set", set, "n", "d").tensor("The reference", reference, "m", "d");
    Shapes.finite("The set", set);
    Shapes.finite("The reference", reference);
    long least = Math.min(set.size(0), reference.size(0));
    if (k < 1 || k >= least) {
      throw new OutriggerException(
          "k = "
              + k
              + " is out of range: with "
              + set.size(0)
              + " samples and "
              + reference.size(0)
              + " reference points use 1 to "
              + (least - 1)
              + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = set.detach().to(ScalarType.Double).contiguous();
          Tensor r = reference.detach().to(ScalarType.Double).contiguous();
          Tensor radii = radii(r, k);
          Tensor own = radii(x, k);
          double[] sums = new double[2];
          long n = x.size(0);
          Tensor nearest =
              torch.full(new long[] {r.size(0)}, new Scalar(Double.POSITIVE_INFINITY), r.options());
          Tensor recalled = torch.zeros(new long[] {r.size(0)}, r.options());
          for (long from = 0; from < n; from += BLOCK) {
            long start = from;
            long count = Math.min(BLOCK, n - from);
            Scopes.run(
                () -> {
                  Tensor apart = distances(x.narrow(0, start, count), r);
                  Tensor inside = apart.le(radii).to(ScalarType.Double);
                  sums[0] += inside.amax(new long[] {1}, false).sum().item_double();
                  sums[1] += inside.sum().item_double();
                  nearest.copy_(torch.minimum(nearest, apart.amin(new long[] {0}, false)));
                  Tensor held =
                      apart.le(own.narrow(0, start, count).unsqueeze(1)).to(ScalarType.Double);
                  recalled.copy_(torch.maximum(recalled, held.amax(new long[] {0}, false)));
                });
          }
          return new ReferenceCoverage(
              sums[0] / n,
              recalled.mean().item_double(),
              sums[1] / n / k,
              nearest.le(radii).to(ScalarType.Double).mean().item_double());
        });
  }

  /** The distance of each point to its k-th other point. */
  private static Tensor radii(Tensor points, int k) {
    return NearestNeighbours.kthDistance(
            points, points, NearestNeighbours.halfLengths(points), k + 1)
        .sqrt();
  }

  /** From differences, so that equal points have distance 0. */
  private static Tensor distances(Tensor rows, Tensor columns) {
    return torch.cdist(rows, columns, EUCLIDEAN, new LongOptional(EXACT));
  }
}
