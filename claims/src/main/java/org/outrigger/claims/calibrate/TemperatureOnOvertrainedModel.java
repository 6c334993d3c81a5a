package org.outrigger.claims.calibrate;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;

/** One number undoes most of an over-trained network's overconfidence. */
public final class TemperatureOnOvertrainedModel implements Claim {
  private static final int TRAINING = 250;
  private static final double NOISE = 0.3;

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
    return "An MLP (64-128-10) is trained on 250 of the 8x8 digits with normal noise of 0.3 on"
        + " values in [0, 1] until it fits them (200 epochs, Adam 1e-3, batches of 32). The other"
        + " 1,547 digits, with noise alike, are split at random: one half fits the temperature, the"
        + " other is measured. ECE has 15 bins of equal width.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset noisy = noisy(seed);
        NeuralModel model =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(128)), noisy.inputShape(), 10, seed)) {
      Splits parts = noisy.splitStratified(TRAINING / (double) noisy.size(), seed);
      Splits held = parts.second().splitStratified(0.5, seed);
      Trainer.of(model)
          .settings(
              Trainer.Settings.defaults()
                  .withEpochs(scale.pick(200, 3))
                  .withBatchSize(32)
                  .withSeed(seed))
          .optimiser(p -> new Adam(p, Adam.Settings.of(1e-3)))
          .schedule(Schedule.constant())
          .fit(parts.first());
      return measure(model, held.first(), held.second());
    }
  }

  private static Map<String, Double> measure(
      NeuralModel model, IndexedDataset fitting, IndexedDataset testing) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs fit = RecordedOutputs.record(model, fitting, options);
        RecordedOutputs test = RecordedOutputs.record(model, testing, options);
        TemperatureScaling scaling = new TemperatureScaling()) {
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

  private static TensorDataset noisy(long seed) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset digits = Digits.all();
              Rng rng = Rng.named(seed, "noise")) {
            Tensor noise = rng.normal(digits.inputs().shape()).mul(new Scalar(NOISE));
            return TensorDataset.builder(digits.inputs().add(noise))
                .labels(Tensors.labels(digits.labels()))
                .classNames(digits.classNames())
                .name("Digits with noise")
                .build();
          }
        });
  }
}
