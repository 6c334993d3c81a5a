package org.outrigger.claims.setup;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsNet.Norm;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.ClassRows;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.evaluate.stream.StreamProtocol;

/**
 * The small bench of the claims about test-time adaptation: handwritten digits at 16 x 16 pixels, a
 * small network that knows them clean, and corruptions of two strengths. Full size: 1,000 images to
 * train on and 797 to test with; smallest: 400 and 160.
 *
 * <pre>{@code
 * try (DigitsBench bench = DigitsBench.open(seed, scale);
 *     NeuralModel source = bench.source(Recipe.defaults())) {
 *   TestStream stream =
 *       bench
 *           .protocol("correlated")
 *           .with(s -> s.withPasses(2))
 *           .over(bench.test(), bench.mild("contrast", "fog"));
 *   StreamReport report =
 *       StreamEvaluation.of(stream).run(StreamPredictor.frozen(source::forward));
 * }
 * }</pre>
 *
 * <p>A source model is trained once in a run of the program: its weights are kept by recipe, seed
 * and scale.
 */
public final class DigitsBench implements AutoCloseable {
  private static final double TRAIN_SHARE = 1000.0 / 1797;
  private static final Map<Key, Map<String, Weights>> TRAINED = new ConcurrentHashMap<>();

  private record Key(Recipe recipe, long seed, Scale scale) {}

  @SuppressWarnings("ArrayRecordComponent")
  private record Weights(long[] shape, float[] values) {}

  /**
   * What a source model is made of and trained on.
   *
   * @param norm what follows each convolution
   * @param classes the digits it knows, in the order of its labels
   * @param imbalance how many times fewer training images the last of the classes keeps than the
   *     first, falling geometrically; 1 keeps all
   * @param epochs passes over the training data at full size
   */
  public record Recipe(Norm norm, List<Integer> classes, double imbalance, int epochs) {
    public Recipe {
      classes = List.copyOf(classes);
      HyperParameter.atLeast("classes", classes.size(), 2);
      HyperParameter.require(
          imbalance >= 1 && Double.isFinite(imbalance), "imbalance", imbalance, "1 or more");
      HyperParameter.atLeast("epochs", epochs, 1);
    }

    /** Batch norm, ten classes, all training images, 25 epochs. */
    public static Recipe defaults() {
      return new Recipe(Norm.BATCH, IntStream.range(0, 10).boxed().toList(), 1, 25);
    }

    public Recipe withNorm(Norm value) {
      return new Recipe(value, classes, imbalance, epochs);
    }

    public Recipe withClasses(Integer... values) {
      return new Recipe(norm, Arrays.asList(values), imbalance, epochs);
    }

    public Recipe withImbalance(double value) {
      return new Recipe(norm, classes, value, epochs);
    }

    public Recipe withEpochs(int value) {
      return new Recipe(norm, classes, imbalance, value);
    }
  }

  private final long seed;
  private final Scale scale;
  private final TensorDataset images;
  private final Splits splits;

  private DigitsBench(long seed, Scale scale, TensorDataset images, Splits splits) {
    this.seed = seed;
    this.scale = scale;
    this.images = images;
    this.splits = splits;
  }

  /**
   * Opens the bench; the caller closes it.
   *
   * @param seed of the split, the weights, the training and the noise of the corruptions
   */
  public static DigitsBench open(long seed, Scale scale) {
    TensorDataset images = enlarged();
    Splits all = images.split(TRAIN_SHARE, seed);
    return new DigitsBench(
        seed,
        scale,
        images,
        new Splits(
            all.first().limit(scale.pick(1000, 400)), all.second().limit(scale.pick(797, 160))));
  }

  /** All 1,797 digits, from 8 x 8 to 16 x 16 pixels. */
  private static TensorDataset enlarged() {
    return Scopes.scoped(
        () -> {
          try (TensorDataset small = Digits.images()) {
            return TensorDataset.builder(
                    DigitShifts.bilinear(small.inputs(), DigitsNet.SHAPE[1], DigitsNet.SHAPE[2]))
                .labels(Tensors.labels(small.labels()))
                .classNames(small.classNames())
                .name(small.name() + " 16x16")
                .build();
          }
        });
  }

  /** Labelled clean images to train on, of all ten classes. */
  public IndexedDataset train() {
    return splits.first();
  }

  /** Other labelled clean images, of all ten classes. */
  public IndexedDataset test() {
    return splits.second();
  }

  /** What the model of that recipe was trained on, with its labels 0, 1, ... */
  public IndexedDataset train(Recipe recipe) {
    IndexedDataset known =
        train().keepClasses(recipe.classes().stream().mapToInt(c -> c).toArray());
    return recipe.imbalance() == 1 ? known : longTailed(known, recipe.imbalance());
  }

  /** Test images as the model of that recipe labels them; what it does not know has label -1. */
  public IndexedDataset test(Recipe recipe) {
    int[] known = recipe.classes().stream().mapToInt(c -> c).toArray();
    IndexedDataset rows = test().keepClasses(known);
    int[] others = IntStream.range(0, 10).filter(c -> !recipe.classes().contains(c)).toArray();
    return others.length == 0
        ? rows
        : IndexedDataset.concat(rows, test().onlyUnknown(others)).shuffled(Rng.derive(seed, "mix"));
  }

  /** Class c of C keeps {@code n imbalance^(-c / (C - 1))} rows, n being those of the rarest. */
  private IndexedDataset longTailed(IndexedDataset data, double imbalance) {
    ClassRows rows = ClassRows.of(data, 1);
    int classes = rows.classes();
    int[] counts = new int[classes];
    Arrays.stream(data.labels()).forEach(label -> counts[label]++);
    int most = Arrays.stream(counts).min().orElseThrow();
    try (Rng rng = Rng.named(seed, "long tail")) {
      int[] drawn = Scopes.scoped(() -> rows.draw(rng, most).get(0));
      return data.subset(
          IntStream.range(0, classes)
              .flatMap(
                  c -> {
                    long keep = Math.round(most * Math.pow(imbalance, -c / (classes - 1.0)));
                    return Arrays.stream(drawn, c * most, c * most + (int) Math.max(1, keep));
                  })
              .toArray());
    }
  }

  /** The trained model of that recipe; the caller closes it. */
  public NeuralModel source(Recipe recipe) {
    List<String> names = recipe.classes().stream().map(images.classNames()::get).toList();
    NeuralModel model = DigitsNet.create(recipe.norm()::of, names, seed);
    Key key = new Key(recipe, seed, scale);
    Map<String, Weights> known = TRAINED.get(key);
    if (known == null) {
      DigitsNet.train(
          model, train(recipe), scale.pick(recipe.epochs(), Math.min(8, recipe.epochs())), seed);
      TRAINED.put(key, copyOf(model));
    } else {
      Scopes.run(() -> model.loadStateDict(tensors(known), true));
      model.train(false);
    }
    return model;
  }

  private static Map<String, Weights> copyOf(NeuralModel model) {
    Map<String, Tensor> all = new LinkedHashMap<>(model.parameters());
    all.putAll(model.buffers());
    return all.entrySet().stream()
        .collect(
            Collectors.toMap(
                Map.Entry::getKey,
                e -> new Weights(e.getValue().shape(), Tensors.floats(e.getValue()))));
  }

  private static Map<String, Tensor> tensors(Map<String, Weights> weights) {
    return weights.entrySet().stream()
        .collect(
            Collectors.toMap(
                Map.Entry::getKey, e -> Tensors.of(e.getValue().values(), e.getValue().shape())));
  }

  /**
   * The mild corruptions of these names, in this order; all seven if none is named: gauss,
   * contrast, brightness, fog, impulse, blur, stripe.
   */
  public List<Shift> mild(String... names) {
    return choose(DigitShifts.mild(seed), names);
  }

  /**
   * The hard corruptions of these names, in this order; all four if none is named: gauss, impulse,
   * stripe, contrast.
   */
  public List<Shift> hard(String... names) {
    return choose(DigitShifts.hard(seed), names);
  }

  /** The stream protocol of that name with this bench's seed. */
  public StreamProtocol protocol(String name) {
    return StreamProtocol.parse(name).with(settings -> settings.withSeed(seed));
  }

  private static List<Shift> choose(List<Shift> all, String... names) {
    if (names.length == 0) {
      return all;
    }
    return Arrays.stream(names)
        .map(
            name ->
                all.stream()
                    .filter(shift -> shift.name().equals(name))
                    .findFirst()
                    .orElseThrow(
                        () ->
                            new OutriggerException(
                                "There is no corruption '"
                                    + name
                                    + "' of the bench: choose from "
                                    + all.stream()
                                        .map(Shift::name)
                                        .collect(Collectors.joining(", "))
                                    + ".")))
        .toList();
  }

  @Override
  public void close() {
    images.close();
  }
}
