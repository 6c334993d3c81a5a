package org.outrigger.claims.select;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.evaluate.shift.Rotation;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcData;
import org.outrigger.select.data.QdcReport;

/**
 * Quality pays on data like the training set, diversity on other data, complexity on long tasks.
 */
public final class QdcOnGeneratedDigits implements Claim {
  private static final String ID = "ID accuracy ";
  private static final String OOD = "OOD accuracy ";
  private static final String RICH = "high quality, high diversity";
  private static final String NARROW = "high quality, low diversity";
  private static final String NOISY_RICH = "low quality, high diversity";
  private static final String NOISY_NARROW = "low quality, low diversity";
  private static final String DIVERSITY_GAIN = "OOD gain of diversity at high quality";
  private static final String RICH_GAIN = "ID gain of quality at high diversity";
  private static final String NARROW_GAIN = "ID gain of quality at low diversity";
  private static final String SHORT = "accuracy on long operands, trained on short";
  private static final String MIXED = "accuracy on long operands, trained on mixed";

  /** The longest list of operands of the sum. */
  private static final int LONGEST = 8;

  /** Sets as the generator makes them. */
  private enum Made {
    HIGH_LOW(NARROW, 60, 3, 0),
    HIGH_HIGH(RICH, 600, 45, 0),
    LOW_HIGH(NOISY_RICH, 600, 45, 0.5),
    LOW_LOW(NOISY_NARROW, 60, 3, 0.5);

    private final String title;
    private final int seeds;
    private final double spread;
    private final double noise;

    Made(String title, int seeds, double spread, double noise) {
      this.title = title;
      this.seeds = seeds;
      this.spread = spread;
      this.noise = noise;
    }
  }

  @Override
  public String slug() {
    return "qdc";
  }

  @Override
  public Room room() {
    return Room.SELECT;
  }

  @Override
  public String title() {
    return "Quality, diversity and complexity of training data pay where the survey says";
  }

  @Override
  public String promise() {
    return "Quality of training data decides generalisation to data like it, diversity that to data"
        + " unlike it, and complexity helps with harder tasks; the measures show which a set has.";
  }

  @Override
  public String paper() {
    return "Havrilla et al., Surveying the Effects of Quality, Diversity, and Complexity in"
        + " Synthetic Data From Large Language Models, 2024";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(DIVERSITY_GAIN, Inequality.Relation.GREATER, 0.2, null),
        new Inequality(RICH_GAIN, Inequality.Relation.GREATER, 0.1, null),
        new Inequality(NARROW_GAIN, Inequality.Relation.GREATER, 0.1, null),
        Inequality.above(measure(Qdc.QUALITY, RICH), measure(Qdc.QUALITY, NOISY_RICH)),
        Inequality.above(measure(Qdc.QUALITY, NARROW), measure(Qdc.QUALITY, NOISY_NARROW)),
        Inequality.above(measure(Qdc.NEAREST, RICH), measure(Qdc.NEAREST, NARROW)),
        Inequality.above(measure(Qdc.RECALL, RICH), measure(Qdc.RECALL, NARROW)),
        Inequality.above(measure(Qdc.COVERAGE, RICH), measure(Qdc.COVERAGE, NARROW)),
        Inequality.above(MIXED, SHORT));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the same number of samples from the same generator with lower quality",
        "the same number of samples from the same generator with lower diversity",
        "sums: the same number of samples with operand lists of at most three numbers");
  }

  @Override
  public String protocol() {
    return "A generator turns seed digits of 8x8 pixels (60 with angles within 3 degrees, or 600"
        + " within 45) and adds normal noise of 0.1; half of the labels are drawn anew from"
        + " the other classes where quality is low; always 600 samples. An MLP 64-64-10"
        + " (Adam 3e-3, 40 epochs, batches of 32) is tested on 797 other digits, clean (ID)"
        + " and turned by 20 to 40 degrees (OOD). Quality is 1 for a right label and 0 for a"
        + " wrong one; embeddings are pixels; the reference is 400 other digits turned"
        + " within 45 degrees. The Vendi score and the mean pairwise distance are shown, not"
        + " gated: they do not separate near-duplicates from variety. Complexity: a network"
        + " 8-64-1 learns to add up a list of digits from 600 lists of one to three, or of"
        + " one to eight, numbers; right is a sum within one half, on lists of six to"
        + " eight.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (TensorDataset digits = Digits.images()) {
      Splits parts = digits.split(1000.0 / digits.size(), seed);
      IndexedDataset test = parts.second().limit(scale.pick(797, 100));
      try (TensorDataset clean = turned(test, 0, 0, 0, Rng.derive(seed, "clean"));
          TensorDataset shifted = turned(test, 20, 40, 0, Rng.derive(seed, "shifted"));
          TensorDataset reference =
              turned(
                  parts.first().shuffled(Rng.derive(seed, "reference")).limit(scale.pick(400, 60)),
                  -45,
                  45,
                  0,
                  Rng.derive(seed, "turn reference"))) {
        for (Made made : Made.values()) {
          generate(made, parts.first(), clean, shifted, reference, seed, scale, figures);
        }
      }
    }
    difference(figures, DIVERSITY_GAIN, OOD + RICH, OOD + NARROW);
    difference(figures, RICH_GAIN, ID + RICH, ID + NOISY_RICH);
    difference(figures, NARROW_GAIN, ID + NARROW, ID + NOISY_NARROW);
    figures.put(SHORT, sums(3, seed, scale));
    figures.put(MIXED, sums(LONGEST, seed, scale));
    return figures;
  }

  private static String measure(String name, String set) {
    return name + ", " + set;
  }

  private static void difference(
      Map<String, Double> figures, String name, String more, String less) {
    figures.put(
        name, figures.getOrDefault(more, Double.NaN) - figures.getOrDefault(less, Double.NaN));
  }

  private static void generate(
      Made made,
      IndexedDataset pool,
      TensorDataset clean,
      TensorDataset shifted,
      TensorDataset reference,
      long seed,
      Scale scale,
      Map<String, Double> figures) {
    int n = scale.pick(600, 80);
    int seeds = Math.min(n, made.seeds);
    IndexedDataset sources = pool.shuffled(Rng.derive(seed, "seed images")).limit(seeds);
    int[] repeated = IntStream.range(0, n).map(i -> i % seeds).toArray();
    String purpose = "generate " + made;
    try (TensorDataset right =
            turned(
                sources.subset(repeated),
                -made.spread,
                made.spread,
                0.1,
                Rng.derive(seed, purpose));
        Rng rng = Rng.named(seed, "labels of " + made);
        NeuralModel model =
            NeuralModel.create("mlp", Map.of("hidden", List.of(64)), new long[] {64}, 10, seed)) {
      double[] draws = Scopes.scoped(() -> Tensors.doubles(rng.uniform(2L * n)));
      int[] labels = right.labels();
      double[] quality = new double[n];
      for (int i = 0; i < n; i++) {
        boolean wrong = draws[i] < made.noise;
        quality[i] = wrong ? 0 : 1;
        labels[i] = wrong ? (labels[i] + 1 + (int) (draws[n + i] * 9)) % 10 : labels[i];
      }
      TensorDataset set = TensorDataset.of(right.inputs(), Tensors.labels(labels));
      train(model, set, scale.pick(40, 3), 3e-3, null, seed);
      figures.put(ID + made.title, accuracy(model, clean));
      figures.put(OOD + made.title, accuracy(model, shifted));
      Scopes.run(
          () -> {
            QdcReport report =
                new Qdc()
                    .measure(
                        QdcData.of(made.title)
                            .embeddings(right.inputs(), "pixels")
                            .reference(reference.inputs())
                            .quality(Tensors.of(quality, n))
                            .labels(Tensors.labels(labels))
                            .build());
            for (String name :
                List.of(
                    Qdc.QUALITY,
                    "label noise",
                    Qdc.NEAREST,
                    Qdc.RECALL,
                    Qdc.COVERAGE,
                    "Vendi, order 1",
                    "pairwise cosine distance")) {
              figures.put(measure(name, made.title), report.value(name));
            }
          });
    }
  }

  private static void train(
      NeuralModel model,
      IndexedDataset rows,
      int epochs,
      double rate,
      @Nullable Objective objective,
      long seed) {
    Trainer trainer =
        Trainer.of(model)
            .settings(
                Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(32).withSeed(seed))
            .optimiser(p -> new Adam(p, Adam.Settings.of(rate)))
            .schedule(Schedule.constant());
    (objective == null ? trainer : trainer.objective(objective)).fit(rows);
  }

  private static double accuracy(NeuralModel model, TensorDataset rows) {
    return Scopes.scoped(
        () -> Accuracy.of(model.predict(rows.inputs()).logits(), Tensors.labels(rows.labels())));
  }

  /** Images turned by angles of their own, with noise, as rows [64]. */
  private static TensorDataset turned(
      IndexedDataset images, double from, double to, double noise, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            TensorDataset rows = TensorDataset.copyOf(images);
            int n = Math.toIntExact(rows.size());
            double[] angles =
                Arrays.stream(Tensors.doubles(rng.uniform(n)))
                    .map(u -> from + u * (to - from))
                    .toArray();
            TensorVector all = new TensorVector();
            for (int i = 0; i < n; i++) {
              all.push_back(Rotation.rotate(rows.inputs().narrow(0, i, 1), angles[i]));
            }
            Tensor turned = torch.cat(all, 0);
            Tensor noisy = turned.add(rng.normal(turned.shape()), new Scalar(noise));
            return TensorDataset.of(noisy.view(-1, 64), Tensors.labels(rows.labels()));
          }
        });
  }

  /** The share of long sums that a network gets right which learned on lists up to some length. */
  private static double sums(int longest, long seed, Scale scale) {
    int n = scale.pick(600, 60);
    try (TensorDataset training = lists(n, 1, longest, Rng.derive(seed, "sums to " + longest));
        TensorDataset test = lists(scale.pick(500, 50), 6, LONGEST, Rng.derive(seed, "sums"));
        NeuralModel model =
            NeuralModel.create(
                "mlp",
                Map.of("hidden", List.of(64)),
                new long[] {LONGEST},
                9 * LONGEST + 1,
                seed)) {
      Objective regression =
          (output, labels) -> {
            Tensor apart = predicted(output.logits()).sub(labels.to(ScalarType.Float));
            return apart.mul(apart).mean().div(new Scalar(100.0));
          };
      train(model, training, scale.pick(200, 3), 3e-3, regression, seed);
      return Scopes.scoped(
          () -> {
            Tensor apart =
                predicted(model.predict(test.inputs()).logits())
                    .sub(Tensors.labels(test.labels()).to(ScalarType.Float))
                    .abs();
            return apart.lt(new Scalar(0.5)).to(ScalarType.Double).mean().item_double();
          });
    }
  }

  /** The first output, which alone is trained, in units of ten. */
  private static Tensor predicted(Tensor logits) {
    return logits.select(1, 0).mul(new Scalar(10.0));
  }

  /** Lists of digits at random places among eight, 0 elsewhere, and their sums. */
  private static TensorDataset lists(int n, int shortest, int longest, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor digits = rng.uniform(n, LONGEST).mul(new Scalar(10.0)).floor();
            Tensor lengths =
                rng.uniform(n, 1)
                    .mul(new Scalar((double) (longest - shortest + 1)))
                    .floor()
                    .add(new Scalar((double) shortest));
            double[] places = IntStream.range(0, LONGEST).asDoubleStream().toArray();
            // As many places as there are numbers, any of the eight: all places are seen in
            // training.
            Tensor order = rng.uniform(n, LONGEST).argsort(1, false);
            Tensor used =
                Tensors.of(places, 1, LONGEST).to(ScalarType.Float).lt(lengths).expand_as(order);
            used = used.gather(1, order);
            Tensor kept = digits.mul(used.to(ScalarType.Float));
            return TensorDataset.of(kept.div(new Scalar(9.0)), kept.sum(1).to(ScalarType.Long));
          }
        });
  }
}
