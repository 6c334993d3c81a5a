package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.calibrate.AdaptiveTemperature;
import org.outrigger.calibrate.CorrectnessCalibration.Weighting;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;

/** Golden cases of correctness-aware calibration: one batch through a given network. */
public final class CorrectnessCalibrationGolden implements GoldenSuite {
  private static final List<String> NETWORK = List.of("W1", "b1", "W2", "b2");

  @Override
  public String slug() {
    return "correctness-calibration";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("logits") || !golden.hasInput("W1") || !golden.hasInput("view1_logits")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Tensor logits = golden.input("logits");
    List<Tensor> views = new ArrayList<>();
    for (int v = 1; golden.hasInput("view" + v + "_logits"); v++) {
      views.add(golden.input("view" + v + "_logits"));
    }
    List<Tensor> w = NETWORK.stream().map(name -> golden.input(name).requires_grad_(true)).toList();
    Tensor features = AdaptiveTemperature.features(logits, views, (int) golden.param("k"));
    Tensor temperatures =
        AdaptiveTemperature.temperatures(
            features,
            w.get(0),
            w.get(1),
            w.get(2),
            w.get(3),
            golden.param("temperature_min"),
            golden.param("temperature_max"));
    Tensor confidence = AdaptiveTemperature.confidence(logits, temperatures);
    Tensor correct = AdaptiveTemperature.correct(logits, golden.labels("labels"));
    Tensor balanced = AdaptiveTemperature.loss(confidence, correct, Weighting.BALANCED);
    List<Tensor> gradients = Gradients.of(balanced, w, false);
    for (String output : golden.outputs()) {
      switch (output) {
        case "features" -> golden.expect(output, features);
        case "temperature" -> golden.expect(output, temperatures);
        case "calibrated_logits" -> golden.expect(output, logits.div(temperatures.unsqueeze(1)));
        case "confidence" -> golden.expect(output, confidence);
        case "correct" -> golden.expect(output, correct);
        case "sample_weights" -> golden.expect(output, AdaptiveTemperature.weights(correct));
        case "loss_unweighted" ->
            golden.expect(output, AdaptiveTemperature.loss(confidence, correct, Weighting.NONE));
        case "loss_released_code_weighted" -> golden.expect(output, balanced);
        case "grad_W1" -> golden.expect(output, gradients.get(0));
        case "grad_b1" -> golden.expect(output, gradients.get(1));
        case "grad_W2" -> golden.expect(output, gradients.get(2));
        case "grad_b2" -> golden.expect(output, gradients.get(3));
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }
}
