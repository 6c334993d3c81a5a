package org.outrigger.select.data;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Which score tells the samples of a cluster apart: the one whose histogram has the largest
 * entropy. Scores are standardised first, so that their units do not matter.
 */
public final class ScoreChoice {
  /** Standard deviations to both sides that the histogram covers. */
  public static final double RANGE = 4;

  private ScoreChoice() {}

  /**
   * The entropy of one score in one cluster: standardised (divisor n, NaN as 0), counted in cells
   * {@code (lo, hi]} between {@code edges} equally spaced edges from {@code -range} to {@code
   * range}.
   *
   * @param scores [n]
   * @param edges of the histogram, 2 or more
   * @param range above 0
   * @return bits; 0 for a constant score
   */
  public static double entropyBits(Tensor scores, int edges, double range) {
    Shapes.check().tensor("The scores", scores, "n");
    Shapes.notEmpty("The scores", scores);
    if (edges < 2 || !(range > 0)) {
      throw new OutriggerException(
          "A histogram needs 2 edges or more and a range above 0, not "
              + edges
              + " and "
              + range
              + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = torch.nan_to_num(scores.to(ScalarType.Double));
          if (constant(x)) {
            return 0.0;
          }
          Tensor apart = x.sub(x.mean());
          Tensor z = apart.div(apart.mul(apart).mean().sqrt());
          Tensor bounds = torch.linspace(new Scalar(-range), new Scalar(range), edges, z.options());
          // Cell 0 is what lies at or below the first edge, the last what lies above them all.
          Tensor cells = torch.bucketize(z, bounds, false, false);
          Tensor counts =
              torch
                  .bincount(cells, new TensorOptional(), edges + 1L)
                  .narrow(0, 1, edges - 1L)
                  .to(ScalarType.Double);
          double inside = counts.sum().item_double();
          if (inside == 0) {
            return 0.0;
          }
          Tensor p = counts.div(new Scalar(inside));
          Tensor log = p.clamp_min(new Scalar(Double.MIN_NORMAL)).log2();
          return Math.max(0, -p.mul(log).sum().item_double());
        });
  }

  private static boolean constant(Tensor x) {
    return x.amax().item_double() == x.amin().item_double();
  }

  /**
   * The score to use: the largest entropy, the first of equal ones; a constant score only where all
   * are constant.
   *
   * @param scores [n, S], one column a score
   * @param entropies of the columns
   * @return its column
   */
  public static int choose(Tensor scores, double[] entropies) {
    Shapes.check().tensor("The scores", scores, "n", "S");
    boolean[] usable =
        Scopes.scoped(
            () -> {
              Tensor x = torch.nan_to_num(scores.to(ScalarType.Double));
              double[] spread =
                  Tensors.doubles(x.amax(new long[] {0}, false).sub(x.amin(new long[] {0}, false)));
              boolean[] differs = new boolean[spread.length];
              for (int s = 0; s < spread.length; s++) {
                differs[s] = spread[s] > 0;
              }
              return differs;
            });
    if (usable.length != entropies.length || usable.length == 0) {
      throw new OutriggerException(
          "There are " + entropies.length + " entropies for " + usable.length + " scores.");
    }
    int best = -1;
    for (int s = 0; s < entropies.length; s++) {
      if (usable[s] && (best < 0 || entropies[s] > entropies[best])) {
        best = s;
      }
    }
    return Math.max(best, 0);
  }
}
