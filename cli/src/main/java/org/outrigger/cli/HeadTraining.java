package org.outrigger.cli;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.AutoGradMode;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.AdamW;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Trains the last layer alone on features that stay as they are: logistic regression on them. */
final class HeadTraining {
  private static final int EPOCHS = 20;
  private static final double LEARNING_RATE = 0.01;

  private HeadTraining() {}

  /** Replaces the values of the model's head; the model runs once over the data. */
  static void fit(NeuralModel model, IndexedDataset train, int batchSize, long seed) {
    try (RecordedOutputs outputs =
            RecordedOutputs.record(
                model, train, RecordedOutputs.Options.defaults().withBatchSize(batchSize));
        TensorDataset features =
            TensorDataset.of(
                outputs.output().features(), outputs.requireLabels("Training the last layer"));
        NeuralModel head = linear(features.inputShape()[0], model.classes(), seed)) {
      Trainer.of(head)
          .settings(
              Trainer.Settings.defaults()
                  .withEpochs(EPOCHS)
                  .withBatchSize(batchSize)
                  .withSeed(seed))
          .optimiser(p -> new AdamW(p, AdamW.settings(LEARNING_RATE)))
          .fit(features);
      try (AutoGradMode off = new AutoGradMode(false)) {
        Scopes.run(
            () -> {
              LinearHead target = model.head();
              target.weight().copy_(head.head().weight());
              target.bias().copy_(head.head().bias());
            });
      }
    }
  }

  private static NeuralModel linear(long dimension, int classes, long seed) {
    try (Rng rng = Rng.named(seed, "last layer")) {
      return NeuralModel.of(
          "last layer",
          new Sequential(Map.of("fc", new Linear(dimension, classes, rng))),
          "fc",
          new long[] {dimension},
          List.of());
    }
  }
}
