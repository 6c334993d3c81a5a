package org.outrigger.claims.calibrate;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.calibrate.conformal.ConformalEvaluation;
import org.outrigger.calibrate.conformal.CovariateShiftConformal;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.NoisyDigits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Label sets hold the true label as often as promised, under a known shift too. */
public final class ConformalOnDigits implements Claim {
  private static final double ALPHA = 0.1;
  private static final int HELD = 300;
  private static final double TILT = -4;
  private static final List<String> PLAIN = List.of("lac", "aps", "raps:kReg=2:lambda=0.1");

  @Override
  public String slug() {
    return "conformal-prediction";
  }

  @Override
  public Room room() {
    return Room.CALIBRATE;
  }

  @Override
  public String title() {
    return "Conformal sets hold the true label in 90 % of cases";
  }

  @Override
  public String promise() {
    return "Sets of labels with a threshold from held-out rows hold the true label as often as was"
        + " asked for, whatever the model; weights keep that promise where inputs shift.";
  }

  @Override
  public String paper() {
    return "Sadinle et al., JASA 2019 (LAC); Romano et al., NeurIPS 2020 (APS); Angelopoulos et al.,"
        + " ICLR 2021 (RAPS); Tibshirani et al., NeurIPS 2019 (weights)";
  }

  @Override
  public List<Inequality> statement() {
    List<Inequality> all = new ArrayList<>();
    for (String name : List.of("LAC", "APS", "RAPS")) {
      all.add(Inequality.atLeast("coverage " + name, 0.89));
      all.add(new Inequality("coverage " + name, Relation.AT_MOST, 0.93, null));
    }
    all.add(new Inequality("mean size RAPS", Relation.AT_MOST, 1, "mean size APS"));
    all.add(Inequality.below("coverage LAC, shifted", 0.87));
    all.add(Inequality.atLeast("coverage weighted LAC, shifted", 0.87));
    all.add(new Inequality("coverage weighted LAC, shifted", Relation.AT_MOST, 0.93, null));
    return all;
  }

  @Override
  public List<String> baselines() {
    return List.of("LAC without weights, on the same shifted rows");
  }

  @Override
  public String protocol() {
    return "An MLP (64-128-10) is trained on 250 of the 8x8 digits with normal noise of 0.2 on"
        + " values in [0, 1] (60 epochs, Adam 1e-3, batches of 32). The other 1,547 digits, with"
        + " noise alike, are split 200 times at random: 300 rows fit the predictors with alpha ="
        + " 0.1, the others are measured. APS and RAPS are randomised, RAPS has k_reg = 2 and lambda"
        + " = 0.1. The shift draws as many of the measured rows again, with replacement and"
        + " probabilities that go with exp(-4 p), p being the top probability; the weighted"
        + " predictor knows these weights.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (NoisyDigits digits = NoisyDigits.open(scale.pick(60, 3), seed);
        TensorDataset noisy =
            NoisyDigits.noisy(
                digits.rest(), digits.rest().inputs(), NoisyDigits.NOISE, seed, "noise");
        RecordedOutputs outputs =
            RecordedOutputs.record(digits.model(), noisy, RecordedOutputs.Options.defaults())) {
      return Scopes.scoped(
          () -> {
            Tensor p = torch.softmax(outputs.logits().to(ScalarType.Double), 1);
            return splits(p, outputs.labels("Coverage"), scale.pick(200, 3), seed);
          });
    }
  }

  private static Map<String, Double> splits(Tensor p, Tensor labels, int splits, long seed) {
    Map<String, Double> sums = new LinkedHashMap<>();
    try (Rng rng = Rng.named(seed, "splits")) {
      for (int split = 0; split < splits; split++) {
        Scopes.run(
            () -> {
              Tensor order = rng.permutation(p.size(0));
              Rows held = rows(p, labels, order.narrow(0, 0, HELD));
              Rows fresh = rows(p, labels, order.narrow(0, HELD, p.size(0) - HELD));
              Tensor draw =
                  torch.multinomial(fresh.weights(), fresh.labels.size(0), true, rng.generator());
              measure(sums, held, fresh, rows(fresh.p, fresh.labels, draw));
            });
      }
    }
    sums.replaceAll((name, sum) -> sum / splits);
    return sums;
  }

  private static void measure(Map<String, Double> sums, Rows held, Rows fresh, Rows shifted) {
    for (String name : PLAIN) {
      try (ConformalPredictor predictor =
          Methods.parse(ConformalPredictor.class, name + ":alpha=" + ALPHA).get(0)) {
        predictor.fit(held.p, held.labels, null);
        String title = predictor.card().name();
        ConformalEvaluation here = evaluate(predictor.sets(fresh.p, null), fresh);
        add(sums, "coverage " + title, here.coverage().estimate());
        add(sums, "mean size " + title, here.meanSize());
        ConformalEvaluation there = evaluate(predictor.sets(shifted.p, null), shifted);
        add(sums, "coverage " + title + ", shifted", there.coverage().estimate());
      }
    }
    try (CovariateShiftConformal weighted =
        Methods.create(
            CovariateShiftConformal.class, "covariate-shift-conformal", Map.of("alpha", ALPHA))) {
      weighted.fitWith(held.p, held.labels, held.weights());
      ConformalEvaluation there =
          evaluate(weighted.setsWith(shifted.p, shifted.weights()), shifted);
      add(sums, "coverage weighted LAC, shifted", there.coverage().estimate());
      add(sums, "mean size weighted LAC, shifted", there.meanSize());
      add(sums, "effective rows of " + HELD, weighted.effectiveSize());
    }
  }

  private static ConformalEvaluation evaluate(Tensor sets, Rows rows) {
    return ConformalEvaluation.of(sets, rows.labels, 1 - ALPHA);
  }

  private static void add(Map<String, Double> sums, String name, double value) {
    sums.merge(name, value, Double::sum);
  }

  private record Rows(Tensor p, Tensor labels) {
    Tensor weights() {
      return p.amax(new long[] {1}, false).mul(new Scalar(TILT)).exp();
    }
  }

  private static Rows rows(Tensor p, Tensor labels, Tensor index) {
    return new Rows(p.index_select(0, index), labels.index_select(0, index));
  }
}
