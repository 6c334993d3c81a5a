package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.InstanceDiscrimination;
import org.outrigger.claims.setup.SmallConvNet;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.AvgPool2d;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.LinearProbe;
import org.outrigger.detect.Separability;

/**
 * Two ways to pre-train a backbone: both fool the probe, self-supervision more, neither the bank.
 */
public final class PtOodOnTwoBackbones implements Claim {
  private static final int FEATURES = 256;
  private static final List<String> KINDS = List.of("supervised", "self-supervised");

  @Override
  public String slug() {
    return "pt-ood";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "Pre-trained features detect familiar unknown inputs that the linear probe accepts";
  }

  @Override
  public String promise() {
    return "Unknown inputs from a backbone's own pre-training data pass for known with the scores of"
        + " a linear probe, with a self-supervised backbone even more than with a supervised one,"
        + " while the distance to the nearest known feature detects almost all of them with both.";
  }

  @Override
  public String paper() {
    return "Miyai et al., Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?, 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast("AUROC KNN, supervised", 0.98),
        Inequality.atLeast("AUROC KNN, self-supervised", 0.98),
        Inequality.atLeast("AUROC KNN minus MSP, supervised", 0.25),
        Inequality.atLeast("AUROC KNN minus MSP, self-supervised", 0.25),
        Inequality.atLeast("AUROC MSP, supervised minus self-supervised", 0.05));
  }

  @Override
  public List<String> baselines() {
    return List.of("MSP of the linear probe", "energy of the linear probe");
  }

  /** Ten, since MSP of the probe differs much from seed to seed. */
  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 10).boxed().toList();
  }

  @Override
  public String protocol() {
    return "Two small convolutional networks (16, 32/2, 64/2, 2x2 average pooling, 256 features) are"
        + " pre-trained on 6,000 Fashion-MNIST images of 14x14 pixels (6 epochs, Adam 2e-3, batches"
        + " of 256): one on the ten classes, one on telling images apart by two views of each"
        + " (shifted by up to 2 pixels, mirrored, brightness 0.5 to 1.5, noise 0.1; projection"
        + " 256-128-64, InfoNCE at temperature 0.2). Both are frozen. Known: MNIST digits, 3,000 for"
        + " a linear probe on standardised features (400 full-batch steps, SGD 0.1, momentum 0.9)"
        + " and for the bank of unit features (k = 1), 2,000 to test. Unknown: 1,500 Fashion-MNIST"
        + " images that were held out. Separability: accuracy of a linear classifier that was told"
        + " known from unknown, on held-out halves; it is no proof of a cause.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset fashion =
            SmallImages.half(FashionMnist::train, scale.pick(6000, 300), seed);
        TensorDataset unknown = SmallImages.half(FashionMnist::test, scale.pick(1500, 60), seed);
        TensorDataset known = SmallImages.half(Mnist::train, scale.pick(3000, 200), seed);
        TensorDataset test = SmallImages.half(Mnist::test, scale.pick(2000, 60), seed);
        NeuralModel supervised = network(seed);
        NeuralModel selfSupervised = network(seed);
        InstanceDiscrimination views = new InstanceDiscrimination(FEATURES, 128, 64, seed)) {
      pretrain(supervised, new CrossEntropy(), fashion, seed, scale);
      pretrain(selfSupervised, views, fashion, seed, scale);
      Map<String, Double> figures = new LinkedHashMap<>();
      Separability first = measure(supervised, known, test, unknown, seed, scale);
      Separability second = measure(selfSupervised, known, test, unknown, seed, scale);
      add(figures, KINDS.get(0), first);
      add(figures, KINDS.get(1), second);
      figures.put("AUROC MSP, supervised minus self-supervised", first.minus(second).get(0).msp());
      return figures;
    }
  }

  private static NeuralModel network(long seed) {
    return SmallConvNet.create(
        List.of(new Block(16, 1), new Block(32, 2), new Block(64, 2)),
        new AvgPool2d(2),
        FEATURES,
        10,
        seed);
  }

  private static void pretrain(
      Model network, Objective objective, TensorDataset images, long seed, Scale scale) {
    Trainer.of(network)
        .settings(
            Trainer.Settings.defaults()
                .withEpochs(scale.pick(6, 1))
                .withBatchSize(256)
                .withSeed(seed))
        .objective(objective)
        .optimiser(p -> new Adam(p, Adam.Settings.of(2e-3)))
        .schedule(Schedule.constant())
        .fit(images);
  }

  private static Separability measure(
      Model backbone,
      TensorDataset known,
      TensorDataset test,
      TensorDataset unknown,
      long seed,
      Scale scale) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs fit = RecordedOutputs.record(backbone, known, options);
        RecordedOutputs id = RecordedOutputs.record(backbone, test, options);
        RecordedOutputs ood = RecordedOutputs.record(backbone, unknown, options)) {
      return Separability.of(
          backbone.name(),
          known.name(),
          known.classNames(),
          fit,
          id,
          List.of(new Separability.Unknown("familiar", ood, unknown.classNames(), true)),
          Separability.Settings.defaults()
              .withProbe(LinearProbe.Settings.defaults().withSteps(scale.pick(400, 5)))
              .withSeed(seed));
    }
  }

  private static void add(Map<String, Double> figures, String name, Separability measured) {
    Separability.Kind kind = measured.kinds().get(0);
    double knn = kind.knn().metrics().auroc();
    double msp = kind.msp().metrics().auroc();
    figures.put("AUROC KNN, " + name, knn);
    figures.put("AUROC MSP, " + name, msp);
    figures.put("AUROC energy, " + name, kind.energy().metrics().auroc());
    figures.put("AUROC KNN minus MSP, " + name, knn - msp);
    figures.put("FPR95 KNN (ID positive), " + name, kind.knn().metrics().fprIdPositive());
    figures.put("FPR95 MSP (ID positive), " + name, kind.msp().metrics().fprIdPositive());
    figures.put("FPR95 energy (ID positive), " + name, kind.energy().metrics().fprIdPositive());
    figures.put("linear separability, " + name, kind.separability().estimate());
    figures.put("ID accuracy of the probe, " + name, measured.accuracy());
  }
}
