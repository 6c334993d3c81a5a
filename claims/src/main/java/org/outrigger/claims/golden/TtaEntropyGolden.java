package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Delta;
import org.outrigger.adapt.DeltaTbr;
import org.outrigger.adapt.Entropies;
import org.outrigger.adapt.Episodic;
import org.outrigger.adapt.PseudoLabel;
import org.outrigger.adapt.Roid;
import org.outrigger.adapt.Roid.Correction;
import org.outrigger.adapt.Sar;
import org.outrigger.adapt.ShotIm;
import org.outrigger.adapt.Tent;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Tensors;

/** Losses of unlabelled rows, and the baselines TENT, SAR, DELTA and ROID. */
final class TtaEntropyGolden {
  private TtaEntropyGolden() {}

  /** Whether the case is of one of these kinds. */
  static boolean knows(GoldenCase golden) {
    return tentLike(golden)
        || golden.hasOutput("loss_ema")
        || golden.hasOutput("tbr_mean")
        || golden.hasOutput("diversity_weight")
        || golden.hasOutput("soft_likelihood_ratio");
  }

  static void check(GoldenCase golden) {
    if (tentLike(golden)) {
      tent(golden);
    } else if (golden.hasOutput("loss_ema")) {
      sar(golden);
    } else if (golden.hasOutput("tbr_mean")) {
      delta(golden);
    } else if (golden.hasOutput("diversity_weight")) {
      roid(golden);
    } else {
      losses(golden);
    }
  }

  private static boolean tentLike(GoldenCase golden) {
    return TinyNetwork.in(golden) && golden.params().path("episodic").isBoolean();
  }

  private static void tent(GoldenCase golden) {
    Adapter tent = Methods.create(Tent.class, "tent", StreamGolden.descent(golden));
    boolean episodic = golden.params().path("episodic").asBoolean();
    try (NeuralModel model = TinyNetwork.of(golden);
        Adapter adapter = episodic ? new Episodic().over(tent) : tent) {
      adapter.start(model, null);
      StreamGolden.run(golden, adapter, Map.of());
    }
  }

  private static void sar(GoldenCase golden) {
    try (NeuralModel model = TinyNetwork.of(golden)) {
      Map<String, Object> settings = StreamGolden.descent(golden);
      settings.put("rho", golden.param("rho"));
      settings.put("E0", golden.param("margin_e0") / Math.log(model.classes()));
      settings.put("resetConstant", golden.param("reset_constant"));
      try (Adapter sar = Methods.create(Sar.class, "sar", settings)) {
        sar.start(model, null);
        StreamGolden.run(
            golden,
            sar,
            Map.of(
                "loss_ema",
                state ->
                    Tensors.scalar(
                        state.map("memory").get("loss") instanceof Number loss
                            ? loss.doubleValue()
                            : Double.NaN)));
      }
    }
  }

  private static void delta(GoldenCase golden) {
    Map<String, Object> settings = StreamGolden.descent(golden);
    settings.put("dot", golden.param("dot"));
    settings.put("entropyWeight", golden.params().path("entropy_weight").asBoolean(false));
    try (NeuralModel model = TinyNetwork.of(golden);
        Adapter delta =
            Methods.create(Delta.class, "delta", settings)
                .over(
                    Methods.create(
                        DeltaTbr.class, "delta-tbr", Map.of("prior", golden.param("tbr_prior"))))) {
      delta.start(model, null);
      StreamGolden.run(
          golden, delta, Map.of("class_freq", state -> state.tensor("memory/frequency")));
      golden.expect("tbr_mean", delta.state().tensor("moving/bn.running_mean"));
      golden.expect("tbr_std", delta.state().tensor("moving/bn.running_std"));
    }
  }

  private static void roid(GoldenCase golden) {
    Tensor logits = golden.input("logits").requires_grad_(true);
    Tensor fixed = logits.detach();
    Tensor probabilities = torch.softmax(fixed, 1);
    Tensor mean = golden.input("class_probs_ema");
    Tensor diversity = Roid.diversity(probabilities, mean);
    Tensor certainty = Roid.certainty(fixed);
    Tensor keep = Roid.diverse(diversity);
    Tensor weights = Roid.weights(diversity, certainty, keep, golden.param("temperature"));
    Tensor ratio = Roid.likelihoodRatio(logits).mul(weights).sum();
    Tensor consistency =
        Roid.symmetricCrossEntropy(golden.input("logits_aug"), logits).mul(weights).sum();
    Tensor rows = Tensors.scalar(logits.size(0));
    Tensor total = ratio.add(consistency).div(rows);
    golden.expect("diversity_weight", diversity);
    golden.expect("certainty_weight", certainty);
    golden.expect("keep", keep);
    golden.expect("weights", weights);
    golden.expect("slr_loss", ratio.div(rows));
    golden.expect("consistency_loss", consistency.div(rows));
    golden.expect("total_loss", total);
    golden.expect("grad_logits", Gradients.of(total, logits));
    golden.expect(
        "class_probs_ema_after",
        Roid.ensembled(mean, probabilities.mean(0), golden.param("momentum_probs")));
    Tensor smoothed = Roid.prior(fixed);
    golden.expect("prior", Entropies.meanProbabilities(fixed));
    golden.expect("smoothed_prior", smoothed);
    golden.expect("corrected_output_code", Roid.corrected(fixed, smoothed, Correction.LOGITS));
    golden.expect(
        "corrected_probs_paper", Roid.corrected(fixed, smoothed, Correction.PROBABILITIES).exp());
    golden.expect(
        "ensembled_param",
        Roid.ensembled(
            golden.input("adapted_param"),
            golden.input("source_param"),
            golden.param("momentum_src")));
  }

  private static void losses(GoldenCase golden) {
    Tensor logits = golden.input("logits").requires_grad_(true);
    Tensor fixed = logits.detach();
    Tensor views = golden.input("logits_aug").requires_grad_(true);
    Map<String, Tensor> values = new LinkedHashMap<>();
    Tensor all = Tensors.of(new double[(int) fixed.size(0)], fixed.size(0)).eq(Tensors.number(0));
    Tensor im = ShotIm.loss(logits, all);
    Tensor confident = PseudoLabel.confident(fixed, golden.param("threshold"));
    Tensor pseudo = Entropies.masked(PseudoLabel.losses(logits), confident);
    Tensor ratio = Roid.likelihoodRatio(logits);
    Tensor symmetric = Roid.symmetricCrossEntropy(views, fixed);
    values.put("entropy", Entropies.entropy(fixed));
    values.put("shot_im", im);
    values.put("grad_shot_im", Gradients.of(im, logits));
    values.put("pl_mask", confident);
    values.put("pseudo_label_loss", pseudo);
    values.put("grad_pseudo_label", Gradients.of(pseudo, logits));
    values.put("soft_likelihood_ratio", ratio);
    values.put("grad_slr", Gradients.of(ratio.sum(), logits));
    values.put("symmetric_ce", symmetric);
    values.put("grad_sce_aug", Gradients.of(symmetric.sum(), views));
    values.put("generalized_ce", Entropies.generalised(fixed, golden.param("gce_q")));
    values.forEach(golden::expect);
  }
}
