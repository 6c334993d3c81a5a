package org.outrigger.claims.setup;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.core.data.ClassHoldOut;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.GlobalAvgPool;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Detector;

/**
 * Five kinds of clothes are known, the other five unknown and near; digits serve as outliers to
 * train with, noise and other digits, mirrored and shifted, are unknown and far. A small network
 * learns the known ones and is then fine-tuned in several ways from the same weights.
 */
public final class ClothesAndDigits implements AutoCloseable {
  private static final ClassHoldOut CLASSES = ClassHoldOut.of(10, 2, 4, 6, 7, 9);

  private final Scale scale;
  private final long seed;
  private final TensorDataset most;
  private final TensorDataset rest;
  private final TensorDataset digits;
  private final TensorDataset far;
  private final Splits known;
  private final IndexedDataset near;

  public ClothesAndDigits(long seed, Scale scale) {
    this.scale = scale;
    this.seed = seed;
    most = SmallImages.half(FashionMnist::train, scale.pick(8000, 300), seed);
    rest = SmallImages.half(FashionMnist::test, scale.pick(2000, 100), seed);
    digits = SmallImages.half(Mnist::train, scale.pick(4000, 100), seed);
    far = far(seed, scale);
    IndexedDataset all = IndexedDataset.concat(most, rest);
    known = CLASSES.known(all).splitStratified(0.6, seed);
    near = CLASSES.unknown(all);
  }

  /** Noise, and digits that are no training outliers, mirrored and shifted by up to 2 pixels. */
  private static TensorDataset far(long seed, Scale scale) {
    return Scopes.scoped(
        () -> {
          int half = scale.pick(500, 20);
          try (Rng rng = Rng.named(seed, "far");
              TensorDataset digits = unseenDigits(2 * half, seed)) {
            Tensor noise = rng.uniform(scale.pick(600, 24), 1, 14, 14);
            Tensor mirrored = digits.inputs().flip(3);
            Tensor first = torch.roll(mirrored.narrow(0, 0, half), new long[] {2, -1}, 2, 3);
            Tensor second = torch.roll(mirrored.narrow(0, half, half), new long[] {-1, 2}, 2, 3);
            return TensorDataset.builder(torch.cat(new TensorVector(noise, first, second), 0))
                .name("far unknown")
                .build();
          }
        });
  }

  private static TensorDataset unseenDigits(int rows, long seed) {
    return SmallImages.half(Mnist::test, rows, seed);
  }

  /** Labelled images of the known classes to train on; 3,000 at full scale. */
  public IndexedDataset train() {
    return known.first();
  }

  /** Other labelled images of the known classes; 2,000 at full scale. */
  public IndexedDataset test() {
    return known.second();
  }

  /** Outliers to train with. */
  public TensorDataset outliers() {
    return digits;
  }

  /** Digits that are no outliers to train with, as they are; the caller closes them. */
  public TensorDataset unseenDigits() {
    return unseenDigits(scale.pick(1000, 40), seed);
  }

  /** The network after 6 epochs of cross-entropy at 0.05; the caller closes it. */
  public NeuralModel base() {
    NeuralModel model =
        SmallConvNet.create(
            List.of(new Block(16, 1), new Block(32, 2), new Block(32, 1), new Block(64, 2)),
            new GlobalAvgPool(),
            64,
            CLASSES.known().size(),
            seed);
    trainer(model, scale.pick(6, 1), 0.05, seed).fit(train());
    return model;
  }

  /** Fine-tuning for 3 epochs at 0.01, alike for all that is compared; cross-entropy if not set. */
  public Trainer tuning(Model model) {
    return trainer(model, scale.pick(3, 1), 0.01, seed + 1);
  }

  private static Trainer trainer(Model model, int epochs, double rate, long seed) {
    return Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(32).withSeed(seed))
        .optimiser(p -> new Sgd(p, new Sgd.Settings(rate, 0.9, 0, 0, true)));
  }

  /**
   * What a model with a detector that needs no fit came to.
   *
   * @param accuracy on known test images
   */
  public record Figures(DetectionMetrics far, DetectionMetrics near, double accuracy) {}

  /** Measures on the known test images and both kinds of unknown ones. */
  public Figures measure(Model model, Detector detector) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs id = RecordedOutputs.record(model, test(), options);
        RecordedOutputs nearby = RecordedOutputs.record(model, near, options);
        RecordedOutputs away = RecordedOutputs.record(model, far, options)) {
      Tensor scores = detector.score(id.output());
      Tensor probabilities = torch.softmax(id.output().logits().to(torch.ScalarType.Double), 1);
      return new Figures(
          DetectionMetrics.of(scores, detector.score(away.output())),
          DetectionMetrics.of(scores, detector.score(nearby.output())),
          1 - TopLabel.of(probabilities, id.labels("Accuracy")).error());
    }
  }

  @Override
  public void close() {
    most.close();
    rest.close();
    digits.close();
    far.close();
  }
}
