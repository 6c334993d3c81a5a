package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.Rate;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * How good label sets are on labelled rows.
 *
 * @param rows how many
 * @param promised the coverage that was promised
 * @param coverage the share of sets that hold the true label, with its exact 95 % interval
 * @param meanSize labels a set
 * @param stratifiedGap how far coverage is from what was promised in the worst stratum of sets of
 *     like size: up to 1 label, 2 to 3, 4 to 10, 11 to 100, 101 to 1000, more; small strata vary by
 *     chance
 * @param worstClassCoverage the smallest coverage among the classes that occur
 * @param worstClass which class that is
 * @param empty the share of sets without a label
 * @param full the share of sets with all labels
 */
public record ConformalEvaluation(
    long rows,
    double promised,
    Interval coverage,
    double meanSize,
    double stratifiedGap,
    double worstClassCoverage,
    int worstClass,
    double empty,
    double full) {
  private static final double LEVEL = 0.95;
  private static final long[] STRATA = {1, 3, 10, 100, 1000, Long.MAX_VALUE};

  /**
   * Evaluates sets.
   *
   * @param sets bool [N, C]
   * @param labels int64 [N], in 0 .. C-1
   * @param promised in (0, 1)
   */
  public static ConformalEvaluation of(Tensor sets, Tensor labels, double promised) {
    Shapes.check().tensor("sets", sets, "N", "C").tensor("labels", labels, "N");
    Shapes.notEmpty("sets", sets);
    Shapes.labels("labels", labels, sets.size(1), false);
    if (sets.scalar_type().intern() != ScalarType.Bool) {
      throw new OutriggerException(
          "sets have type " + sets.scalar_type().intern() + ", but booleans are needed.");
    }
    return Scopes.scoped(
        () -> {
          long n = sets.size(0);
          Tensor hits = torch.gather(sets, 1, labels.unsqueeze(1)).squeeze(1).to(ScalarType.Double);
          Tensor sizes = sets.sum(1);
          long covered = Math.round(hits.sum().item_double());
          double gap = 0;
          long above = -1;
          for (long upTo : STRATA) {
            Tensor inside = sizes.gt(new Scalar(above)).logical_and(sizes.le(new Scalar(upTo)));
            double count = inside.sum().item_double();
            if (count > 0) {
              double share = hits.mul(inside).sum().item_double() / count;
              gap = Math.max(gap, Math.abs(share - promised));
            }
            above = upTo;
          }
          Tensor hot = torch.one_hot(labels, sets.size(1)).to(ScalarType.Double);
          double[] counts = Tensors.doubles(hot.sum(0));
          double[] held = Tensors.doubles(hits.unsqueeze(0).mm(hot));
          int worst = -1;
          for (int c = 0; c < counts.length; c++) {
            if (counts[c] > 0 && (worst < 0 || held[c] / counts[c] < held[worst] / counts[worst])) {
              worst = c;
            }
          }
          return new ConformalEvaluation(
              n,
              promised,
              Rate.clopperPearson(covered, n, LEVEL),
              sizes.to(ScalarType.Double).mean().item_double(),
              gap,
              held[worst] / counts[worst],
              worst,
              sizes.eq(new Scalar(0L)).to(ScalarType.Double).mean().item_double(),
              sizes.eq(new Scalar(sets.size(1))).to(ScalarType.Double).mean().item_double());
        });
  }
}
