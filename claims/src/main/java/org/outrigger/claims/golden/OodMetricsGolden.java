package org.outrigger.claims.golden;

import org.outrigger.core.metric.Aupr;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.Fpr;
import org.outrigger.core.metric.ScoreTable;

/** The detection metrics among the cases of {@code ood-baselines}. */
final class OodMetricsGolden {
  private OodMetricsGolden() {}

  /** Whether the case is one of metrics. */
  static boolean applies(GoldenCase golden) {
    return golden.hasInput("id_scores")
        && golden.hasInput("ood_scores")
        && golden.hasOutput("auroc");
  }

  static void check(GoldenCase golden) {
    ScoreTable scores = ScoreTable.of(golden.values("id_scores"), golden.values("ood_scores"));
    double tpr = golden.param("tpr");
    for (String output : golden.outputs()) {
      switch (output) {
        case "auroc" -> golden.expect(output, Auroc.of(scores));
        case "aupr_in" -> golden.expect(output, Aupr.in(scores));
        case "aupr_out" -> golden.expect(output, Aupr.out(scores));
        case "fpr95_ood_positive", "fpr95_ood_positive_nodrop" ->
            fpr(golden, output, Fpr.oodPositive(scores, tpr));
        case "fpr95_id_positive", "fpr95_id_positive_nodrop" ->
            fpr(golden, output, Fpr.idPositive(scores, tpr));
        case "fpr95_id_percentile" ->
            golden.deviates(
                output,
                "a strict inequality with an interpolated percentile splits equal scores and is 0"
                    + " for constant ones");
        case "fpr95_id_interp" ->
            golden.deviates(
                output,
                "interpolation on the ROC curve is not defined where it has vertical steps");
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }

  /** Every distinct score is a threshold here; a case may also hold what a thinned curve gives. */
  private static void fpr(GoldenCase golden, String output, double value) {
    String every = output + "_nodrop";
    if (golden.hasOutput(every) && !golden.sameOutputs(output, every)) {
      golden.deviates(
          output, "dropping points on straight pieces of the ROC curve moves the threshold");
    } else {
      golden.expect(output, value);
    }
  }
}
