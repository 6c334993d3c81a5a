package org.outrigger.claims.setup;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;

/**
 * A network that was trained too long on too few noisy digits, and what it makes of others: those
 * that calibrators are fitted on, fresh ones, and the fresh ones with twice the noise.
 *
 * @param fitting outputs for half of the other digits
 * @param fresh outputs for the other half
 * @param shifted outputs for the fresh ones with noise of 0.6 instead of 0.3
 */
public record OvertrainedDigits(
    RecordedOutputs fitting, RecordedOutputs fresh, RecordedOutputs shifted)
    implements AutoCloseable {
  /** How it is made, for protocols. */
  public static final String PROTOCOL =
      "An MLP (64-128-10) is trained on 250 of the 8x8 digits with normal noise of 0.3 on"
          + " values in [0, 1] until it fits them (200 epochs, Adam 1e-3, batches of 32). The other"
          + " 1,547 digits, with noise alike, are split at random: one half fits the calibrators,"
          + " the other is measured.";

  private static final int TRAINING = 250;
  private static final double NOISE = 0.3;
  private static final double MORE_NOISE = 0.6;

  /** Trains for some epochs, 200 in earnest. */
  public static OvertrainedDigits train(long seed, int epochs) {
    try (TensorDataset noisy = noisy(seed, NOISE);
        TensorDataset noisier = noisy(seed, MORE_NOISE);
        NeuralModel model =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(128)), noisy.inputShape(), 10, seed)) {
      Splits parts = split(noisy, seed);
      Splits held = parts.second().splitStratified(0.5, seed);
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(32).withSeed(seed))
          .optimiser(p -> new Adam(p, Adam.Settings.of(1e-3)))
          .schedule(Schedule.constant())
          .fit(parts.first());
      // The same split of the same labels, so these are the same digits.
      Dataset shifted = split(noisier, seed).second().splitStratified(0.5, seed).second();
      return new OvertrainedDigits(
          record(model, held.first()), record(model, held.second()), record(model, shifted));
    }
  }

  private static Splits split(TensorDataset digits, long seed) {
    return digits.splitStratified(TRAINING / (double) digits.size(), seed);
  }

  private static RecordedOutputs record(NeuralModel model, Dataset data) {
    return RecordedOutputs.record(model, data, RecordedOutputs.Options.defaults());
  }

  private static TensorDataset noisy(long seed, double strength) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset digits = Digits.all();
              Rng rng = Rng.named(seed, "noise")) {
            Tensor noise = rng.normal(digits.inputs().shape()).mul(new Scalar(strength));
            return TensorDataset.builder(digits.inputs().add(noise))
                .labels(Tensors.labels(digits.labels()))
                .classNames(digits.classNames())
                .name("Digits with noise")
                .build();
          }
        });
  }

  @Override
  public void close() {
    fitting.close();
    fresh.close();
    shifted.close();
  }
}
