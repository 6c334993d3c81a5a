package org.outrigger.claims.adapt;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.FewShotResult;
import org.outrigger.adapt.FewShotSfda;
import org.outrigger.adapt.FewShotSfda.Strategy;
import org.outrigger.adapt.FineTuner.Rule;
import org.outrigger.adapt.OfflineAdapter;
import org.outrigger.adapt.Shot;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BottleneckHead;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.evaluate.shift.Rotation;

/** A few labelled rows do what many unlabelled ones do, and do it still when those are odd. */
public final class FewShotOnRotatedDigits implements Claim {
  private static final int CLASSES = 10;
  private static final int PIXELS = 64;
  private static final List<String> SETTINGS = List.of("vanilla", "label shift", "pollution");

  @Override
  public String slug() {
    return "few-shot-sfda";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "Fine-tuning on one or three labelled rows a class holds where unlabelled data mislead";
  }

  @Override
  public String promise() {
    return "With 1 to 3 labelled target rows of each class, fine-tuning is comparable to"
        + " unsupervised source-free adaptation in the standard setting, and better where the"
        + " unlabelled target data are label-shifted or hold other things.";
  }

  @Override
  public String paper() {
    return "Few-shot Fine-tuning is All You Need for Source-free Domain Adaptation, 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast("FT-1 minus SHOT, vanilla", -0.02),
        greater("FT-1 minus SHOT, label shift", 0.05),
        greater("FT-1 minus SHOT, pollution", 0.05),
        Inequality.above("accuracy FT-3, vanilla", "accuracy FT-1, vanilla"),
        greater("drop of SHOT, label shift", 0.08),
        greater("drop of SHOT, pollution", 0.08),
        Inequality.below("drop of FT-1, label shift", 0.06),
        greater("drop of FT-1, label shift", -0.06),
        Inequality.below("drop of FT-1, pollution", 0.06),
        greater("drop of FT-1, pollution", -0.06),
        Inequality.atLeast("selected minus last, FT-1", -0.03),
        Inequality.atLeast("selected minus last, FT-3", -0.03));
  }

  private static Inequality greater(String figure, double number) {
    return new Inequality(figure, Relation.GREATER, number, null);
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "SHOT on all unlabelled rows of the pool: information maximisation and centroid"
            + " pseudo-labels (weight 0.3, renewed every 30 steps), the head frozen, 150 Adam steps"
            + " at 1e-3",
        "the source model");
  }

  @Override
  public String protocol() {
    return "UCI digits, 8x8. Source: 800 images, SHOT's layout 64-128-64-10 (batch norm in the"
        + " bottleneck, weight-normalised head), 400 Adam steps, label smoothing 0.1. Target: the"
        + " rest, turned clockwise by 35 degrees, contrast 0.8, noise of deviation 0.1; half of it is the pool,"
        + " half the test. Label shift: of the pool only classes 0 to 2 and a tenth of the others are"
        + " left, for shots too. Pollution: as many images of uniform noise beside the pool. Shots are"
        + " drawn with the same seed in each setting. FT: Adam 3e-4, 200 steps of 32 rows, one more labelled row a"
        + " class chooses among checkpoints 10 steps apart. LP-FT: 100 steps at 3e-3 on the last"
        + " layer before. The figures are accuracies on the test half.";
  }

  @Override
  public String tried() {
    return "Counter-clockwise, the source model is better (0.26) and SHOT, worse in the vanilla"
        + " setting (0.44), loses less in the other two (0.04 and 0.06): its two inequalities do not"
        + " hold there, all others do. With shots drawn anew for the polluted pool, whose labelled"
        + " rows are those of the vanilla one, FT-1 moved by 0.09 from draw to draw (FT-3 by 0.03):"
        + " which single row a class is labelled matters that much.";
  }

  @Override
  public List<Long> seeds() {
    return List.of(0L, 1L, 2L, 3L);
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (TensorDataset digits = Digits.images()) {
      IndexedDataset shuffled = digits.shuffled(seed);
      int rows = 800;
      int[] all = IntStream.range(0, Math.toIntExact(shuffled.size())).toArray();
      try (TensorDataset target =
              shifted(shuffled.subset(Arrays.copyOfRange(all, rows, all.length)), seed);
          NeuralModel source = source(shuffled.limit(rows), scale, seed)) {
        Splits halves = target.splitStratified(0.5, seed);
        figures.put("accuracy source", accuracy(source, halves.second()));
        for (String setting : SETTINGS) {
          try (TensorDataset pool = pool(halves.first(), setting, seed)) {
            measure(setting, source, pool, halves.second(), scale, seed, figures);
          }
        }
      }
    }
    compare(figures);
    return figures;
  }

  private static void measure(
      String setting,
      NeuralModel source,
      TensorDataset pool,
      IndexedDataset test,
      Scale scale,
      long seed,
      Map<String, Double> figures) {
    Shot shot = new Shot(shot(scale, seed));
    try (OfflineAdapter.Result result = shot.adapt(source, pool)) {
      figures.put("accuracy SHOT, " + setting, accuracy(result.model(), test));
    }
    few("FT-1", Strategy.FT, 1, setting, source, pool, test, scale, seed, figures);
    few("FT-3", Strategy.FT, 3, setting, source, pool, test, scale, seed, figures);
    few("LP-FT-1", Strategy.LP_FT, 1, setting, source, pool, test, scale, seed, figures);
    few("LP-FT-3", Strategy.LP_FT, 3, setting, source, pool, test, scale, seed, figures);
  }

  private static void few(
      String name,
      Strategy strategy,
      int k,
      String setting,
      NeuralModel source,
      TensorDataset pool,
      IndexedDataset test,
      Scale scale,
      long seed,
      Map<String, Double> figures) {
    FewShotSfda.Settings settings =
        new FewShotSfda.Settings(
            k,
            strategy,
            3e-3,
            3e-4,
            scale.pick(100, 3),
            scale.pick(200, 3),
            32,
            10,
            Rule.ADAM,
            0,
            0,
            0,
            false,
            0.05,
            List.of(),
            seed);
    try (FewShotResult result = new FewShotSfda(settings).adapt(source, pool)) {
      double selected = accuracy(result.model(), test);
      figures.put("accuracy " + name + ", " + setting, selected);
      if (setting.equals(SETTINGS.get(0)) && strategy == Strategy.FT) {
        figures.put("selected minus last, " + name, selected - accuracy(result.last(), test));
      }
    }
  }

  private static void compare(Map<String, Double> figures) {
    for (String setting : SETTINGS) {
      figures.put(
          "FT-1 minus SHOT, " + setting,
          value(figures, "FT-1", setting) - value(figures, "SHOT", setting));
    }
    for (String setting : SETTINGS.subList(1, SETTINGS.size())) {
      for (String method : List.of("SHOT", "FT-1", "FT-3")) {
        figures.put(
            "drop of " + method + ", " + setting,
            value(figures, method, SETTINGS.get(0)) - value(figures, method, setting));
      }
    }
  }

  private static double value(Map<String, Double> figures, String method, String setting) {
    return figures.getOrDefault("accuracy " + method + ", " + setting, Double.NaN);
  }

  private static Shot.Settings shot(Scale scale, long seed) {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("lr", 1e-3);
    changes.put("power", 0);
    changes.put("backbone", 1);
    changes.put("epochs", 5);
    changes.put("stepsPerEpoch", scale.pick(30, 2));
    changes.put("optimiser", Rule.ADAM);
    changes.put("weightDecay", 0);
    changes.put("seed", seed);
    return Methods.create(Shot.class, "shot", changes).settings();
  }

  private static NeuralModel source(IndexedDataset data, Scale scale, long seed) {
    NeuralModel model =
        NeuralModel.create(
            "mlp", Map.of("hidden", List.of(128)), new long[] {1, 8, 8}, CLASSES, seed);
    try (Rng rng = Rng.named(seed, "last layers")) {
      model.root().replace("head", new BottleneckHead(128, PIXELS, CLASSES, rng)).close();
    }
    // 16 steps an epoch.
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults()
                .withEpochs(scale.pick(25, 2))
                .withBatchSize(50)
                .withSeed(seed))
        .objective(new CrossEntropy(0.1))
        .optimiser(parameters -> new Adam(parameters, Adam.Settings.of(1e-3)))
        .fit(data);
    return model;
  }

  private static TensorDataset shifted(IndexedDataset data, long seed) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset rows = TensorDataset.copyOf(data);
              Rng rng = Rng.named(seed, "noise")) {
            Tensor turned = Rotation.rotate(rows.inputs(), -35);
            Tensor mean = turned.mean(new long[] {1, 2, 3}, true, null);
            Tensor faint = mean.add(turned.sub(mean), new Scalar(0.8));
            Tensor noise = rng.normal(faint.shape()).mul(new Scalar(0.1));
            return TensorDataset.builder(faint.add(noise))
                .labels(Tensors.labels(rows.labels()))
                .classNames(rows.classNames())
                .name("turned digits")
                .build();
          }
        });
  }

  private static TensorDataset pool(IndexedDataset data, String setting, long seed) {
    return switch (setting) {
      case "label shift" -> TensorDataset.copyOf(fewerOfMost(data));
      case "pollution" -> polluted(data, seed);
      default -> TensorDataset.copyOf(data);
    };
  }

  /** All rows of classes 0 to 2 and a tenth of those of each other class. */
  private static IndexedDataset fewerOfMost(IndexedDataset data) {
    int[] labels = data.labels();
    int[] seen = new int[CLASSES];
    int[] size = new int[CLASSES];
    Arrays.stream(labels).forEach(label -> size[label]++);
    return data.subset(
        IntStream.range(0, labels.length)
            .filter(
                row -> labels[row] < 3 || seen[labels[row]]++ < Math.round(0.1 * size[labels[row]]))
            .toArray());
  }

  private static TensorDataset polluted(IndexedDataset data, long seed) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset rows = TensorDataset.copyOf(data);
              Rng rng = Rng.named(seed, "pollution")) {
            Tensor labels = Tensors.labels(rows.labels());
            Tensor odd = rng.uniform(rows.inputs().shape());
            return TensorDataset.builder(torch.cat(vector(rows.inputs(), odd), 0))
                .labels(torch.cat(vector(labels, torch.full_like(labels, new Scalar(-1L))), 0))
                .classNames(rows.classNames())
                .name(rows.name() + " and noise")
                .build();
          }
        });
  }

  private static TensorVector vector(Tensor one, Tensor other) {
    return new TensorVector(one, other);
  }

  private static double accuracy(NeuralModel model, IndexedDataset data) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset rows = TensorDataset.copyOf(data)) {
            return Accuracy.of(
                model.predict(rows.inputs()).logits(), Tensors.labels(rows.labels()));
          }
        });
  }
}
