package org.outrigger.claims.adapt;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Cafa;
import org.outrigger.adapt.ClassGaussians;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.evaluate.stream.StreamBatch;
import org.outrigger.evaluate.stream.TestStream;

/** CAFA aligns features class by class, and holds longer than TENT on a hard stream. */
public final class CafaOnDigits implements Claim {
  private static final String PER_CLASS = "cafa:covariance=per_class:eps=0.1:optimiser=adam:lr=";
  private static final String TIED = "cafa:covariance=tied:eps=0.01:optimiser=adam:lr=";
  private static final String TENT = "tent:optimiser=adam:lr=";
  private static final List<String> RATES = List.of("1e-3", "5e-3");
  private static final List<String> LONG_RATES = List.of("2e-3", "5e-3");
  private static final String SMALLEST_GAIN = "smallest accuracy gain CAFA over BN-1";
  private static final String LONG_GAIN = "accuracy gain CAFA over TENT, long HARD, lr 5e-3";
  private static final String SUBSET = "largest accuracy gap 100 to all source images, long HARD";
  private static final String CLOSER = "share of corruptions with smaller intra distance";
  private static final String CLEARER = "share of corruptions with larger inter/intra ratio";
  private static final int SUBSET_SIZE = 100;

  @Override
  public String slug() {
    return "cafa";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "CAFA draws features to their class and adapts without collapse";
  }

  @Override
  public String promise() {
    return "Aligning test features class by class with source Gaussians, of which a small subset of"
        + " the source suffices, adapts better than lowering entropy, for it shrinks intra-class"
        + " distances and keeps classes apart.";
  }

  @Override
  public String paper() {
    return "Jung et al., CAFA: Class-Aware Feature Alignment for Test-Time Adaptation, ICCV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(SMALLEST_GAIN, 0),
        new Inequality(LONG_GAIN, Relation.GREATER, 0.03, null),
        Inequality.below(SUBSET, 0.02),
        Inequality.atLeast(CLOSER, 1),
        Inequality.atLeast(CLEARER, 1));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "BN-1: batch statistics without learning", "TENT with the same optimiser and rate");
  }

  @Override
  public String protocol() {
    return "Digits at 16x16 pixels, 256 features, batches of 64, Adam; Gaussians of the 1,000"
        + " training images, per class with a ridge of 0.1 or tied with 0.01. Two passes of each"
        + " corruption with a new start before it (MILD: seven, HARD: four), rates 1e-3 and 5e-3:"
        + " the smallest gain is that of the worst strength and rate, per class. Long HARD stream:"
        + " the four in turn, 4 rounds without a new start, rates 2e-3 and 5e-3; tied Gaussians of"
        + " all or of 100 training images. Distances: three passes of each of the eleven at 2e-3,"
        + " means over the last, to the Gaussian of the predicted class and to the others, against"
        + " those of BN-1.";
  }

  @Override
  public String tried() {
    return "The mechanism holds on every corruption and seed, the margins of the pilot do not: at 5e-3"
        + " on the hard corruptions CAFA falls 0.009 behind BN-1 in the mean, as TENT does (0.007),"
        + " and per-class statistics from about 100 rows a class for 256 features scatter widely over"
        + " the seeds. Tied statistics do better: over TENT on the long hard stream they gain 0.065,"
        + " 0.016 and 0.127 at 5e-3 (mean 0.069), and stay within 0.004 of BN-1. Those from 100 images"
        + " lie above those from all on two seeds of three, by up to 0.11.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel model = bench.source(Recipe.defaults())) {
      Map<String, Double> figures = new LinkedHashMap<>();
      List<Shift> mild = scale == Scale.FULL ? bench.mild() : bench.mild("fog");
      List<Shift> hard = scale == Scale.FULL ? bench.hard() : bench.hard("stripe");
      figures.put(
          SMALLEST_GAIN,
          Math.min(
              eachShift("MILD", mild, bench, model, seed, figures),
              eachShift("HARD", hard, bench, model, seed, figures)));
      longStream(hard, bench, model, scale.pick(4, 1), seed, figures);
      List<Shift> both = new ArrayList<>(mild);
      both.addAll(hard);
      distances(both, bench, model, seed, figures);
      return figures;
    }
  }

  /** The smaller gain over BN-1 of both rates. */
  private static double eachShift(
      String strength,
      List<Shift> shifts,
      DigitsBench bench,
      NeuralModel model,
      long seed,
      Map<String, Double> figures) {
    TestStream stream = AdapterRun.eachShift(bench.test(), shifts, 2, seed);
    double still = accuracy("bn-adapt", model, bench.train(), stream);
    figures.put("accuracy BN-1, " + strength, still);
    double least = Double.POSITIVE_INFINITY;
    for (String rate : RATES) {
      String where = ", " + strength + ", lr " + rate;
      double cafa = accuracy(PER_CLASS + rate, model, bench.train(), stream);
      figures.put("accuracy TENT" + where, accuracy(TENT + rate, model, bench.train(), stream));
      figures.put("accuracy CAFA" + where, cafa);
      figures.put(
          "accuracy CAFA tied" + where, accuracy(TIED + rate, model, bench.train(), stream));
      least = Math.min(least, cafa - still);
    }
    return least;
  }

  private static void longStream(
      List<Shift> shifts,
      DigitsBench bench,
      NeuralModel model,
      int rounds,
      long seed,
      Map<String, Double> figures) {
    TestStream stream = AdapterRun.continual(bench.test(), shifts, rounds, seed);
    IndexedDataset subset = bench.train().shuffled(seed).limit(SUBSET_SIZE);
    double gap = 0;
    for (String rate : LONG_RATES) {
      String where = ", long HARD, lr " + rate;
      double tent = accuracy(TENT + rate, model, bench.train(), stream);
      double cafa = accuracy(PER_CLASS + rate, model, bench.train(), stream);
      double all = accuracy(TIED + rate, model, bench.train(), stream);
      double few = accuracy(TIED + rate, model, subset, stream);
      figures.put("accuracy TENT" + where, tent);
      figures.put("accuracy CAFA" + where, cafa);
      figures.put("accuracy CAFA tied" + where, all);
      figures.put("accuracy CAFA tied, 100 source images" + where, few);
      gap = Math.max(gap, Math.abs(few - all));
      if (LONG_GAIN.endsWith(rate)) {
        figures.put(LONG_GAIN, cafa - tent);
      }
    }
    figures.put(SUBSET, gap);
  }

  private static double accuracy(
      String stack, NeuralModel model, IndexedDataset source, TestStream stream) {
    return AdapterRun.of(stack, model, source, stream).report().accuracy();
  }

  private static void distances(
      List<Shift> shifts,
      DigitsBench bench,
      NeuralModel model,
      long seed,
      Map<String, Double> figures) {
    Scopes.run(
        () -> {
          ClassGaussians gaussians = gaussians(model, bench.train());
          Tensor factor = Cafa.factor(Cafa.ridged(gaussians.covariances(), 0.1));
          double closer = 0;
          double clearer = 0;
          for (int i = 0; i < shifts.size(); i++) {
            Distances still = new Distances(gaussians.means(), factor, 2 * bench.test().size());
            Distances moved = new Distances(gaussians.means(), factor, 2 * bench.test().size());
            TestStream stream = AdapterRun.eachShift(bench.test(), List.of(shifts.get(i)), 3, seed);
            AdapterRun.of("bn-adapt", model, bench.train(), stream, null, still::see);
            AdapterRun.of(PER_CLASS + "2e-3", model, bench.train(), stream, null, moved::see);
            closer += moved.intra() < still.intra() ? 1 : 0;
            clearer += moved.ratio() > still.ratio() ? 1 : 0;
            String name = ", corruption " + i + " " + shifts.get(i).name();
            figures.put("intra distance BN-1" + name, still.intra());
            figures.put("intra distance CAFA" + name, moved.intra());
            figures.put("inter/intra ratio BN-1" + name, still.ratio());
            figures.put("inter/intra ratio CAFA" + name, moved.ratio());
          }
          figures.put(CLOSER, closer / shifts.size());
          figures.put(CLEARER, clearer / shifts.size());
        });
  }

  private static ClassGaussians gaussians(NeuralModel model, IndexedDataset source) {
    ClassGaussians gaussians =
        new ClassGaussians(model.classes(), model.head().weight().size(1), false);
    try (Batches walk = source.batches(AdapterRun.BATCH)) {
      while (walk.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = walk.next()) {
          gaussians.add(
              model.predict(batch.inputs()).features(), Objects.requireNonNull(batch.labels()));
        }
      }
    }
    return gaussians;
  }

  /** Mean distances of features to the source Gaussians, from some row of the stream on. */
  private static final class Distances {
    private final Tensor means;
    private final Tensor factor;
    private final long from;
    private double intra;
    private double ratio;
    private double rows;

    Distances(Tensor means, Tensor factor, long from) {
      this.means = means;
      this.factor = factor;
      this.from = from;
    }

    void see(StreamBatch batch, Output output) {
      if (batch.start() < from) {
        return;
      }
      Scopes.run(
          () -> {
            Tensor predicted = output.logits().argmax(new LongOptional(1), false);
            Tensor distances = Cafa.distances(output.features(), means, factor);
            Tensor own = Cafa.intra(distances, predicted);
            intra += own.sum().item_double();
            ratio += Cafa.inter(distances, own).div(own).sum().item_double();
            rows += batch.size();
          });
    }

    double intra() {
      return intra / rows;
    }

    double ratio() {
      return ratio / rows;
    }
  }
}
