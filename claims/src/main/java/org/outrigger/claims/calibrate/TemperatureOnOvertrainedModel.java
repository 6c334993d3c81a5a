package org.outrigger.claims.calibrate;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.OvertrainedDigits;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.model.RecordedOutputs;

/** One number undoes most of an over-trained network's overconfidence. */
public final class TemperatureOnOvertrainedModel implements Claim {
  @Override
  public String slug() {
    return "temperature-scaling";
  }

  @Override
  public Room room() {
    return Room.CALIBRATE;
  }

  @Override
  public String title() {
    return "Temperature scaling calibrates an over-trained network";
  }

  @Override
  public String promise() {
    return "One temperature, fitted on held-out data, removes a large part of a network's"
        + " calibration error on data like it and leaves accuracy as it is.";
  }

  @Override
  public String paper() {
    return "Guo et al., On Calibration of Modern Neural Networks, ICML 2017";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(Inequality.below("ECE tempered", 0.7, "ECE uncalibrated"));
  }

  @Override
  public List<String> baselines() {
    return List.of("softmax of the network as it was trained");
  }

  @Override
  public String protocol() {
    return OvertrainedDigits.PROTOCOL + " ECE has 15 bins of equal width.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (OvertrainedDigits digits = OvertrainedDigits.train(seed, scale.pick(200, 3))) {
      return measure(digits.fitting(), digits.fresh());
    }
  }

  private static Map<String, Double> measure(RecordedOutputs fit, RecordedOutputs test) {
    try (TemperatureScaling scaling = new TemperatureScaling()) {
      scaling.fit(fit.logits(), fit.labels("The temperature"));
      Tensor logits = test.logits().to(ScalarType.Double);
      Tensor labels = test.labels("The calibration error");
      CalibrationMetrics before = CalibrationMetrics.of(torch.softmax(logits, 1), labels);
      CalibrationMetrics after = CalibrationMetrics.of(scaling.probabilities(logits), labels);
      Map<String, Double> figures = new LinkedHashMap<>();
      figures.put("ECE uncalibrated", before.ece());
      figures.put("ECE tempered", after.ece());
      figures.put("NLL uncalibrated", before.nll());
      figures.put("NLL tempered", after.nll());
      figures.put("accuracy uncalibrated", before.accuracy());
      figures.put("accuracy tempered", after.accuracy());
      figures.put("temperature", scaling.temperature());
      return figures;
    }
  }
}
