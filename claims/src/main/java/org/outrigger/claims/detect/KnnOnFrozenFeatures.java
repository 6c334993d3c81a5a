package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallConvNet;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.AvgPool2d;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Knn;
import org.outrigger.detect.Msp;

/** Inputs that a frozen backbone knows from its pre-training fool the probe, not the neighbours. */
public final class KnnOnFrozenFeatures implements Claim {
  private static final int CLASSES = 10;
  private static final int FEATURES = 256;

  @Override
  public String slug() {
    return "ood-knn-frozen-features";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "Nearest neighbours on frozen features detect what the backbone was pre-trained on";
  }

  @Override
  public String promise() {
    return "With a frozen backbone and a linear probe, scores from the probe miss unknown inputs"
        + " that come from the backbone's own pre-training data, while the distance to the nearest"
        + " known feature finds almost all of them.";
  }

  @Override
  public String paper() {
    return "Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022; Miyai"
        + " et al., Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?, 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast("AUROC KNN", 0.995),
        Inequality.below("AUROC MSP", 0.70),
        Inequality.below("AUROC energy", 0.70));
  }

  @Override
  public List<String> baselines() {
    return List.of("MSP of the linear probe", "energy of the linear probe");
  }

  @Override
  public String protocol() {
    return "A small convolutional network (16, 32/2, 64/2, 256 features) learns the ten classes of"
        + " 6,000 Fashion-MNIST images of 14x14 pixels (6 epochs, Adam 2e-3, batches of 256) and is"
        + " frozen. Known: MNIST digits, 3,000 to train a linear probe on standardised features (400"
        + " full-batch steps, SGD 0.1, momentum 0.9), 2,000 to test. Unknown: 1,500 Fashion-MNIST"
        + " images that were held out. KNN takes k = 1 on unit features of the 3,000.";
  }

  /** Ten, since MSP differs so much from seed to seed that three decide nothing. */
  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 10).boxed().toList();
  }

  @Override
  public String tried() {
    return "Seeds 0 to 2 alone give 0.6998 ± 0.053 for MSP, which is no proof either way; 100 instead"
        + " of 400 steps of the probe give 0.711 ± 0.087 on them. KNN was above both baselines in"
        + " every run. The bound on MSP comes from a pilot of two seeds (0.691 and 0.487) whose probe"
        + " reached an accuracy of 0.94, where this one reaches 0.90.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset fashion =
            SmallImages.half(FashionMnist::train, scale.pick(6000, 300), seed);
        TensorDataset unknown = SmallImages.half(FashionMnist::test, scale.pick(1500, 60), seed);
        TensorDataset known = SmallImages.half(Mnist::train, scale.pick(3000, 200), seed);
        TensorDataset test = SmallImages.half(Mnist::test, scale.pick(2000, 60), seed);
        NeuralModel backbone = backbone(seed)) {
      Trainer.of(backbone)
          .settings(
              Trainer.Settings.defaults()
                  .withEpochs(scale.pick(6, 1))
                  .withBatchSize(256)
                  .withSeed(seed))
          .optimiser(p -> new Adam(p, Adam.Settings.of(2e-3)))
          .schedule(Schedule.constant())
          .fit(fashion);
      return measure(backbone, known, test, unknown, seed, scale);
    }
  }

  private static NeuralModel backbone(long seed) {
    return SmallConvNet.create(
        List.of(new Block(16, 1), new Block(32, 2), new Block(64, 2)),
        new AvgPool2d(2),
        FEATURES,
        CLASSES,
        seed);
  }

  private static Map<String, Double> measure(
      Model backbone,
      TensorDataset known,
      TensorDataset test,
      TensorDataset unknown,
      long seed,
      Scale scale) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs train = RecordedOutputs.record(backbone, known, options);
        RecordedOutputs id = RecordedOutputs.record(backbone, test, options);
        RecordedOutputs ood = RecordedOutputs.record(backbone, unknown, options);
        Knn knn = new Knn(1)) {
      knn.fit(train);
      DetectionMetrics neighbours = metrics(knn, id.output(), ood.output());
      Tensor mean = train.features().mean(0).unsqueeze(0);
      Tensor deviation = train.features().std(new long[] {0}, false, true).add(new Scalar(1e-6));
      try (NeuralModel probe =
              probe(standardised(train, mean, deviation), labels(train), seed, scale);
          Output idOutput = probe.predict(standardised(id, mean, deviation));
          Output oodOutput = probe.predict(standardised(ood, mean, deviation));
          Msp msp = new Msp();
          Energy energy = new Energy()) {
        DetectionMetrics confidence = metrics(msp, idOutput, oodOutput);
        DetectionMetrics evidence = metrics(energy, idOutput, oodOutput);
        Map<String, Double> figures = new LinkedHashMap<>();
        figures.put("AUROC KNN", neighbours.auroc());
        figures.put("AUROC MSP", confidence.auroc());
        figures.put("AUROC energy", evidence.auroc());
        figures.put("FPR95 KNN (ID positive)", neighbours.fprIdPositive());
        figures.put("FPR95 MSP (ID positive)", confidence.fprIdPositive());
        figures.put("FPR95 energy (ID positive)", evidence.fprIdPositive());
        Tensor probabilities = idOutput.logits().to(ScalarType.Double).softmax(1);
        figures.put("ID accuracy of the probe", 1 - TopLabel.of(probabilities, labels(id)).error());
        return figures;
      }
    }
  }

  private static Tensor labels(RecordedOutputs outputs) {
    return outputs.labels("The probe");
  }

  private static Tensor standardised(Outputs outputs, Tensor mean, Tensor deviation) {
    return outputs.features().sub(mean).div(deviation);
  }

  private static NeuralModel probe(Tensor features, Tensor labels, long seed, Scale scale) {
    try (Rng rng = Rng.named(seed, "probe")) {
      Sequential layers = new Sequential(Map.of("head", new Linear(FEATURES, CLASSES, rng)));
      NeuralModel probe =
          NeuralModel.of("linear probe", layers, "head", new long[] {FEATURES}, List.of());
      try (TensorDataset rows = TensorDataset.of(features, labels)) {
        Trainer.of(probe)
            .settings(
                Trainer.Settings.defaults()
                    .withEpochs(scale.pick(400, 5))
                    .withBatchSize(Math.toIntExact(rows.size()))
                    .withSeed(seed))
            .optimiser(p -> new Sgd(p, new Sgd.Settings(0.1, 0.9, 0, 0, false)))
            .schedule(Schedule.constant())
            .fit(rows);
      }
      return probe;
    }
  }

  private static DetectionMetrics metrics(Detector detector, Output id, Output ood) {
    return DetectionMetrics.of(detector.score(id), detector.score(ood));
  }
}
