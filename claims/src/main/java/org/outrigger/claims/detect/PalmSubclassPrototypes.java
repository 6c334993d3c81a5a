package org.outrigger.claims.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallConvNet;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.AvgPool2d;
import org.outrigger.core.optim.ColourJitter;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.optim.GaussianNoise;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Knn;
import org.outrigger.detect.Palm;
import org.outrigger.detect.Ssd;

/** Several prototypes a class find the kinds that a class is made of without being told. */
public final class PalmSubclassPrototypes implements Claim {
  /** Digits in the order of their super-classes, two each. */
  private static final int[] DIGITS = {0, 4, 1, 8, 2, 9, 3, 7};

  private static final int KINDS = 2;
  private static final int CLASSES = DIGITS.length / KINDS;
  private static final int PROTOTYPES = 6;
  private static final int FEATURES = 256;
  private static final int BATCH = 128;

  @Override
  public String slug() {
    return "palm";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "PALM's prototypes find the hidden kinds within a class, and far unknowns stand out";
  }

  @Override
  public String promise() {
    return "A mixture of prototypes follows the variety within a class: the prototypes of a class"
        + " that holds two kinds part them without labels, all are used, and the distance to the"
        + " features finds unknown inputs.";
  }

  @Override
  public String paper() {
    return "Lu et al., Learning with Mixture of Prototypes for Out-of-Distribution Detection, ICLR"
        + " 2024";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast("purity PALM K=6", 0.80),
        Inequality.atLeast("prototypes in use PALM K=6", PROTOTYPES * CLASSES),
        Inequality.atLeast("far AUROC SSD+ PALM K=6", 0.98),
        Inequality.below("largest |length - 1| of a prototype", 0.001),
        Inequality.below("loss of the last epoch", 1, "loss of the first epoch"));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the majority rule, which is one prototype a class (purity)",
        "PALM with one prototype a class (K = 1)",
        "cross-entropy, trained as long and with the same augmentation");
  }

  @Override
  public String protocol() {
    return "Known: 4,000 MNIST digits of 14x14 pixels in four classes of two kinds each, {0,4}, {1,8},"
        + " {2,9}, {3,7}; a convolutional network (16, 32/2, 64/2, pooled to 256 features) learns"
        + " them for 8 epochs (batches of 128, SGD 0.1, Nesterov momentum 0.9, decay 1e-4, cosine)"
        + " from images shifted by up to 2 pixels, with brightness 0.6 to 1.4 and noise 0.05. PALM:"
        + " 64 dimensions, K = 6, k = 5, momentum 0.99, two views a step. Purity: each training"
        + " image goes to its class's nearest prototype; the share of images whose kind is their"
        + " prototype's most frequent one. Far unknown: 1,500 Fashion-MNIST images. For comparison,"
        + " without a bound: near unknown (unseen digits 5 and 6), known test digits turned by 90"
        + " degrees, and KNN with k = 50.";
  }

  @Override
  public String tried() {
    return "With three seeds everything holds but the count of prototypes: one of 24 is nobody's"
        + " nearest in seed 2 (24, 24, 23; purity 0.9445, far AUROC 0.9843). The pilot, in which all"
        + " were used, names a learning rate of 0.1 and no schedule. With a constant rate and the"
        + " paper's decay of 1e-6 one was idle in seed 0 (23, 24, 24) and far AUROC was 0.9569, so"
        + " the cosine and 1e-4 stay.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset digits = SmallImages.half(Mnist::train, scale.pick(8000, 300), seed);
        TensorDataset rest = SmallImages.half(Mnist::test, scale.pick(2000, 100), seed);
        TensorDataset far = SmallImages.half(FashionMnist::test, scale.pick(1500, 60), seed);
        TensorDataset known =
            TensorDataset.copyOf(digits.keepClasses(DIGITS).limit(scale.pick(4000, 200)));
        TensorDataset train = superClasses(known);
        TensorDataset test = TensorDataset.copyOf(rest.keepClasses(DIGITS));
        TensorDataset turned = turned(test)) {
      Map<String, IndexedDataset> unknown = new LinkedHashMap<>();
      unknown.put("far", far);
      unknown.put("near", rest.onlyUnknown(5, 6));
      unknown.put("turned", turned);
      Map<String, Double> figures = new LinkedHashMap<>();
      for (int prototypes : new int[] {PROTOTYPES, 1}) {
        palm(prototypes, train, known, test, unknown, seed, scale, figures);
      }
      try (NeuralModel model = network(seed)) {
        trainer(model, seed, scale).fit(train);
        detect("cross-entropy", model, train, test, unknown, figures);
      }
      return figures;
    }
  }

  private static void palm(
      int prototypes,
      TensorDataset train,
      TensorDataset kinds,
      IndexedDataset test,
      Map<String, IndexedDataset> unknown,
      long seed,
      Scale scale,
      Map<String, Double> figures) {
    String name = "PALM K=" + prototypes;
    Palm.Settings settings =
        new Palm.Settings(
            prototypes, Math.min(5, prototypes), 0.99, 0.1, 0.05, 3, 1, 64, true, seed);
    try (NeuralModel model = network(seed);
        Palm palm = new Palm(settings)) {
      palm.prepare(model, train, BATCH, seed);
      double[] furthest = {0};
      TrainingListener.Report report =
          trainer(model, seed, scale)
              .objective(palm)
              .listener(
                  new TrainingListener() {
                    @Override
                    public void stepped(Plan plan, Step step) {
                      furthest[0] = Math.max(furthest[0], offSphere(palm));
                    }
                  })
              .fit(train);
      purity(name, model, palm, train, kinds, figures);
      detect(name, model, train, test, unknown, figures);
      if (prototypes == PROTOTYPES) {
        figures.put("largest |length - 1| of a prototype", furthest[0]);
        figures.put("loss of the first epoch", report.epochs().get(0).loss());
        figures.put(
            "loss of the last epoch", report.epochs().get(report.epochs().size() - 1).loss());
      }
    }
  }

  private static double offSphere(Palm palm) {
    return Scopes.scoped(
        () ->
            palm.prototypes()
                .square()
                .sum(1)
                .sqrt()
                .sub(new Scalar(1.0))
                .abs()
                .amax()
                .item_double());
  }

  private static NeuralModel network(long seed) {
    return SmallConvNet.create(
        List.of(new Block(16, 1), new Block(32, 2), new Block(64, 2)),
        new AvgPool2d(2),
        FEATURES,
        CLASSES,
        seed);
  }

  private static Trainer trainer(NeuralModel model, long seed, Scale scale) {
    return Trainer.of(model)
        .settings(
            Trainer.Settings.defaults()
                .withEpochs(scale.pick(8, 1))
                .withBatchSize(BATCH)
                .withSeed(seed))
        .optimiser(p -> new Sgd(p, new Sgd.Settings(0.1, 0.9, 0, 1e-4, true)))
        .augment(
            new CropAndFlip(2, false)
                .then(ColourJitter.ofBrightness(0.4))
                .then(new GaussianNoise(0.05)));
  }

  /** The same images with their super-class for a label. */
  private static TensorDataset superClasses(TensorDataset kinds) {
    int[] labels = Arrays.stream(kinds.labels()).map(kind -> kind / KINDS).toArray();
    return Scopes.scoped(
        () ->
            TensorDataset.builder(kinds.inputs())
                .labels(Tensors.labels(labels))
                .name("pairs of digits")
                .build());
  }

  private static TensorDataset turned(TensorDataset images) {
    return Scopes.scoped(
        () ->
            TensorDataset.builder(images.inputs().transpose(2, 3).flip(3).contiguous())
                .name("turned digits")
                .build());
  }

  /** Which share of the images lies with a prototype whose most frequent kind is theirs. */
  private static void purity(
      String name,
      NeuralModel model,
      Palm palm,
      TensorDataset train,
      TensorDataset kinds,
      Map<String, Double> figures) {
    try (RecordedOutputs outputs =
        RecordedOutputs.record(model, train, RecordedOutputs.Options.defaults())) {
      Scopes.run(
          () -> {
            Tensor label = Tensors.labels(train.labels());
            Tensor kind = Tensors.labels(kinds.labels());
            Tensor prototypes = palm.prototypes();
            long count = prototypes.size(0);
            Tensor of =
                torch
                    .arange(new Scalar(count), new TensorOptions(ScalarType.Long))
                    .remainder(new Scalar(CLASSES));
            Tensor nearest =
                palm.embed(outputs.features())
                    .detach()
                    .mm(prototypes.t())
                    .masked_fill(
                        label.unsqueeze(1).ne(of.unsqueeze(0)),
                        new Scalar(Double.NEGATIVE_INFINITY))
                    .argmax(new LongOptional(1), false);
            Tensor shares = together(nearest, count, kind);
            figures.put("purity " + name, largest(shares));
            figures.put(
                "prototypes in use " + name, shares.sum(1).gt(new Scalar(0)).sum().item_double());
            figures.put("purity majority rule", largest(together(label, CLASSES, kind)));
          });
    }
  }

  /** The share of rows of each group and kind, [groups, kinds]. */
  private static Tensor together(Tensor group, long groups, Tensor kind) {
    return torch
        .one_hot(group, groups)
        .to(ScalarType.Double)
        .t()
        .mm(torch.one_hot(kind, DIGITS.length).to(ScalarType.Double))
        .div(new Scalar((double) kind.size(0)));
  }

  private static double largest(Tensor shares) {
    return shares.amax(new long[] {1}, false).sum().item_double();
  }

  private static void detect(
      String name,
      NeuralModel model,
      IndexedDataset train,
      IndexedDataset test,
      Map<String, IndexedDataset> unknown,
      Map<String, Double> figures) {
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults();
    try (RecordedOutputs fitted = RecordedOutputs.record(model, train, options);
        RecordedOutputs id = RecordedOutputs.record(model, test, options);
        Ssd ssd = new Ssd();
        Knn knn = new Knn(50)) {
      for (Detector detector : List.of(ssd, knn)) {
        detector.fit(fitted);
        Tensor known = detector.score(id.output());
        unknown.forEach(
            (kind, data) -> {
              try (RecordedOutputs ood = RecordedOutputs.record(model, data, options)) {
                DetectionMetrics metrics = DetectionMetrics.of(known, detector.score(ood.output()));
                figures.put(
                    kind + " AUROC " + detector.card().name() + " " + name, metrics.auroc());
              }
            });
      }
    }
  }
}
