package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.conformal.Aps;
import org.outrigger.calibrate.conformal.ConformalQuantile;
import org.outrigger.calibrate.conformal.Lac;
import org.outrigger.calibrate.conformal.Raps;
import org.outrigger.calibrate.conformal.SplitConformal;

/**
 * Scores, quantiles and label sets of a calibration and a test part with recorded u and weights.
 */
final class ConformalGolden {
  private ConformalGolden() {}

  /** How a kind of score is computed from probabilities and u. */
  private interface Score {
    Tensor of(Tensor probabilities, Tensor u);
  }

  static void check(GoldenCase golden) {
    double alpha = golden.param("alpha");
    Tensor held = golden.input("probs_cal");
    Tensor labels = golden.labels("labels_cal");
    Tensor fresh = golden.input("probs_test");
    Tensor one = torch.ones_like(held.select(1, 0));
    Tensor ones = torch.ones_like(fresh.select(1, 0));
    Tensor u = golden.hasInput("u_cal") ? golden.input("u_cal") : one;
    Tensor us = golden.hasInput("u_test") ? golden.input("u_test") : ones;
    for (String output : golden.outputs()) {
      switch (kind(output)) {
        case "lac" -> expect(golden, output, (p, v) -> Lac.scores(p), one, ones);
        case "aps_randomised" -> expect(golden, output, Aps::scores, u, us);
        case "aps_deterministic", "aps" -> expect(golden, output, Aps::scores, one, ones);
        case "raps" -> expect(golden, output, raps(golden), u, us);
        case "raps_deterministic" -> expect(golden, output, raps(golden), one, ones);
        case "weighted_lac" -> {
          Tensor scores = trueLabel(Lac.scores(held), labels);
          Tensor q =
              ConformalQuantile.weighted(
                  scores, golden.input("weight_cal"), golden.input("weight_test"), alpha);
          golden.expect(
              output,
              output.startsWith("q_") ? q : sets(golden, Lac.scores(fresh), q.unsqueeze(1), fresh));
        }
        case "class_conditional_lac", "mondrian_lac" -> {
          Tensor scores = trueLabel(Lac.scores(held), labels);
          Tensor q = ConformalQuantile.byClass(scores, labels, held.size(1), alpha);
          golden.expect(
              output, output.startsWith("q_") ? q : sets(golden, Lac.scores(fresh), q, fresh));
        }
        case "lac_mapie_rule" ->
            golden.deviates(
                output, "another library's quantile, sometimes one order statistic above");
        case "k" -> golden.expect(output, (double) ConformalQuantile.rank(labels.size(0), alpha));
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }

  /** What an output is of: its name without scores_, q_ or set_. */
  private static String kind(String output) {
    return output.replaceFirst("^(scores|q|set)_", "");
  }

  private static Score raps(GoldenCase golden) {
    int kReg = (int) golden.param("k_reg");
    double lambda = golden.param("lambda");
    return (p, u) -> Raps.scores(p, u, kReg, lambda);
  }

  private static void expect(GoldenCase golden, String output, Score score, Tensor u, Tensor us) {
    Tensor scores = trueLabel(score.of(golden.input("probs_cal"), u), golden.labels("labels_cal"));
    if (output.startsWith("scores_")) {
      golden.expect(output, scores);
      return;
    }
    Tensor q = ConformalQuantile.of(scores, golden.param("alpha"));
    if (output.startsWith("q_")) {
      golden.expect(output, q);
      return;
    }
    Tensor fresh = golden.input("probs_test");
    golden.expect(output, sets(golden, score.of(fresh, us), q, fresh));
  }

  private static Tensor sets(GoldenCase golden, Tensor scores, Tensor q, Tensor probabilities) {
    Tensor sets = scores.le(q);
    boolean allowEmpty = golden.params().path("allow_empty").asBoolean(true);
    return (allowEmpty ? sets : SplitConformal.withTop(sets, probabilities)).to(ScalarType.Double);
  }

  private static Tensor trueLabel(Tensor scores, Tensor labels) {
    return torch.gather(scores, 1, labels.unsqueeze(1)).squeeze(1);
  }
}
