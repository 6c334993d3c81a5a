package org.outrigger.claims.setup;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;

/**
 * An over-trained network on few noisy digits, and the rows that are left: the 8 x 8 images in [0,
 * 1] with normal noise of 0.2, an MLP (64-128-10) trained on 250 of them for 60 epochs (Adam 1e-3,
 * batches of 32), and the other 1,547 without noise.
 *
 * @param model the trained network; it takes images [N, 1, 8, 8]
 * @param rest the rows that it was not trained on, clean
 */
public record NoisyDigits(NeuralModel model, TensorDataset rest) implements AutoCloseable {
  /** The noise of what it was trained on. */
  public static final double NOISE = 0.2;

  private static final int TRAINING = 250;

  /**
   * Trains; the caller closes it.
   *
   * @param epochs 60 at full size
   */
  public static NoisyDigits open(int epochs, long seed) {
    try (TensorDataset digits = Digits.images()) {
      Splits parts = digits.splitStratified(TRAINING / (double) digits.size(), seed);
      try (TensorDataset first = TensorDataset.copyOf(parts.first());
          TensorDataset training = noisy(first, first.inputs(), NOISE, seed, "training noise")) {
        NeuralModel model =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(128)), training.inputShape(), 10, seed);
        Trainer.of(model)
            .settings(
                Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(32).withSeed(seed))
            .optimiser(p -> new Adam(p, Adam.Settings.of(1e-3)))
            .schedule(Schedule.constant())
            .fit(training);
        return new NoisyDigits(model, TensorDataset.copyOf(parts.second()));
      }
    }
  }

  /**
   * Images with normal noise, and the labels of {@code data}.
   *
   * @param images [N, 1, 8, 8]
   */
  public static TensorDataset noisy(
      IndexedDataset data, Tensor images, double sigma, long seed, String purpose) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(seed, purpose)) {
            Tensor noise = rng.normal(images.shape()).mul(new Scalar(sigma));
            return TensorDataset.builder(images.add(noise))
                .labels(Tensors.labels(data.labels()))
                .classNames(data.classNames())
                .name("Digits with noise " + sigma)
                .build();
          }
        });
  }

  @Override
  public void close() {
    model.close();
    rest.close();
  }
}
