package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallConvNet;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
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
import org.outrigger.detect.Msp;
import org.outrigger.detect.OutlierExposure;

/** Training with outliers makes unknown inputs that resemble them stand out. */
public final class OutlierExposureOnFarOutliers implements Claim {
  private static final int[] CLASSES = {0, 1, 3, 5, 8};
  private static final double LAMBDA = 1;

  @Override
  public String slug() {
    return "outlier-exposure";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "Outlier exposure detects far unknown inputs that resemble the outliers";
  }

  @Override
  public String promise() {
    return "Fine-tuning with auxiliary outliers, on which predictions are pushed towards uniform,"
        + " raises the share of unknown inputs that the top softmax probability detects.";
  }

  @Override
  public String paper() {
    return "Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure, ICLR 2019";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above("far TNR95 outlier exposure", "far TNR95 base"),
        Inequality.above("far TNR95 outlier exposure", "far TNR95 fine-tuned without outliers"));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the base model", "the base model fine-tuned just as long and alike, without outliers");
  }

  @Override
  public String protocol() {
    return "Known: Fashion-MNIST classes 0, 1, 3, 5, 8 at 14x14 pixels, 3,000 images to train and"
        + " 2,000 to test. A small convolutional network (16, 32/2, 32, 64/2, global pooling) learns"
        + " them (6 epochs, SGD 0.05, Nesterov momentum 0.9, cosine, batches of 32), then is"
        + " fine-tuned from the same weights for 3 epochs at 0.01, with lambda = 1 and 64 outliers a"
        + " batch from 4,000 MNIST digits, or without. Far unknown: 600 images of uniform noise and"
        + " 1,000 unseen digits, mirrored and shifted. Near unknown: the other five classes. Score:"
        + " MSP. TNR95 is the share of unknown inputs detected where 95 % of known ones are"
        + " accepted.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset most = SmallImages.half(FashionMnist::train, scale.pick(8000, 300), seed);
        TensorDataset rest = SmallImages.half(FashionMnist::test, scale.pick(2000, 100), seed);
        TensorDataset digits = SmallImages.half(Mnist::train, scale.pick(4000, 100), seed);
        TensorDataset far = far(seed, scale);
        NeuralModel base =
            SmallConvNet.create(
                List.of(new Block(16, 1), new Block(32, 2), new Block(32, 1), new Block(64, 2)),
                new GlobalAvgPool(),
                64,
                CLASSES.length,
                seed)) {
      IndexedDataset all = IndexedDataset.concat(most, rest);
      Splits known = all.keepClasses(CLASSES).splitStratified(0.6, seed);
      IndexedDataset near = all.onlyUnknown(2, 4, 6, 7, 9);
      train(base, known.first(), null, scale.pick(6, 1), 0.05, seed);
      Map<String, Double> figures = new LinkedHashMap<>();
      try (NeuralModel tuned = base.deepCopy();
          NeuralModel exposed = base.deepCopy()) {
        train(tuned, known.first(), null, scale.pick(3, 1), 0.01, seed + 1);
        train(exposed, known.first(), digits, scale.pick(3, 1), 0.01, seed + 1);
        measure("base", base, known.second(), near, far, figures);
        measure("fine-tuned without outliers", tuned, known.second(), near, far, figures);
        measure("outlier exposure", exposed, known.second(), near, far, figures);
      }
      return figures;
    }
  }

  /** Noise, and digits that were no training outliers, mirrored and shifted by up to 2 pixels. */
  private static TensorDataset far(long seed, Scale scale) {
    return Scopes.scoped(
        () -> {
          int half = scale.pick(500, 20);
          try (Rng rng = Rng.named(seed, "far");
              TensorDataset digits = SmallImages.half(Mnist::test, 2 * half, seed)) {
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

  private static void train(
      Model model,
      IndexedDataset known,
      @Nullable IndexedDataset outliers,
      int epochs,
      double rate,
      long seed) {
    Trainer trainer =
        Trainer.of(model)
            .settings(
                Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(32).withSeed(seed))
            .optimiser(p -> new Sgd(p, new Sgd.Settings(rate, 0.9, 0, 0, true)));
    if (outliers != null) {
      trainer
          .objective(new OutlierExposure(new OutlierExposure.Settings(LAMBDA, false)))
          .outliers(outliers, 2);
    }
    trainer.fit(known);
  }

  private static void measure(
      String name,
      Model model,
      IndexedDataset test,
      IndexedDataset near,
      IndexedDataset far,
      Map<String, Double> figures) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs id = RecordedOutputs.record(model, test, options);
        RecordedOutputs nearby = RecordedOutputs.record(model, near, options);
        RecordedOutputs away = RecordedOutputs.record(model, far, options);
        Msp msp = new Msp()) {
      Tensor known = msp.score(id.output());
      DetectionMetrics farMetrics = DetectionMetrics.of(known, msp.score(away.output()));
      DetectionMetrics nearMetrics = DetectionMetrics.of(known, msp.score(nearby.output()));
      figures.put("far TNR95 " + name, 1 - farMetrics.fprIdPositive());
      figures.put("far AUROC " + name, farMetrics.auroc());
      figures.put("near TNR95 " + name, 1 - nearMetrics.fprIdPositive());
      figures.put("near AUROC " + name, nearMetrics.auroc());
      Tensor probabilities = torch.softmax(id.output().logits().to(ScalarType.Double), 1);
      figures.put(
          "ID accuracy " + name, 1 - TopLabel.of(probabilities, id.labels("Accuracy")).error());
    }
  }
}
