package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.LabelShiftAdapter;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.stream.LabelShift;

/** A model of long-tailed data follows streams of another class mix. */
public final class LabelShiftOnLongTailedDigits implements Claim {
  private static final int BATCH = 64;
  private static final int CLASSES = 10;
  private static final double IMBALANCE = 20;
  private static final String BASE = "bn-adapt";
  private static final List<String> MIXES = List.of("forward", "uniform", "backward");
  private static final String SOURCE = "source";
  private static final String PLAIN = "BN-1";
  private static final String LSA = "LSA";
  private static final String KNOWN_LSA = "LSA, true mix";
  private static final String POST_HOC = "logit adjustment";
  private static final String KNOWN_POST_HOC = "logit adjustment, true mix";
  private static final String MEAN = "mean of three mixes";

  @Override
  public String slug() {
    return "label-shift-adapter";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "The label shift adapter follows class mixes that a long-tailed source has not seen";
  }

  @Override
  public String promise() {
    return "Put over an existing adapter, it gains under covariate and label shift at once, most"
        + " where the class mix differs most from that of the source.";
  }

  @Override
  public String paper() {
    return "Park et al., Label Shift Adapter for Test-Time Adaptation under Covariate and Label"
        + " Shifts, ICCV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(gain("uniform"), 0.03),
        Inequality.atLeast(gain("backward"), 0.12),
        Inequality.atLeast(gain("forward"), -0.02),
        Inequality.above(figure(LSA, MEAN), figure(POST_HOC, MEAN)));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the source model as it is",
        "BN-1: batch statistics, the adapter that it is put over",
        "BN-1 with post-hoc logit adjustment, log pi - log p_s, by the same estimates",
        "both with the true mix instead of an estimate, for comparison");
  }

  @Override
  public String protocol() {
    return "Digits bench with a long-tailed source: the last class keeps a twentieth of the images of"
        + " the first. Streams of 640 test images, clean and under the mild gauss, stripe and fog, are"
        + " drawn with the source's class mix (forward), a uniform and the reversed one (backward), in"
        + " batches of 64, each from a fresh start. Base adapter: BN-1. Figures are means over clean"
        + " and the three corruptions.";
  }

  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 4).boxed().toList();
  }

  @Override
  public String tried() {
    return "On seeds 0 to 2 all but the forward mix holds: there the gain over BN-1 is -0.031, -0.005"
        + " and -0.054, where a pilot had -0.008. With the true mix in place of the estimate it is"
        + " -0.013, 0.002 and -0.040, so about half of the loss comes from the estimate, which starts"
        + " at the uniform mix, and half from the change of the head, which is learned on clean"
        + " features and used on corrupted ones.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    Recipe recipe = Recipe.defaults().withImbalance(IMBALANCE);
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel model = bench.source(recipe);
        PointerScope scope = new PointerScope()) {
      Streams streams = new Streams(bench, model, bench.train(recipe), seed, scale);
      for (String mix : MIXES) {
        streams.measure(mix, figures);
      }
    }
    for (String name : List.of(SOURCE, PLAIN, LSA, KNOWN_LSA, POST_HOC, KNOWN_POST_HOC)) {
      figures.put(
          figure(name, MEAN),
          MIXES.stream()
              .mapToDouble(mix -> figures.getOrDefault(figure(name, mix), Double.NaN))
              .average()
              .orElseThrow());
    }
    for (String mix : MIXES) {
      figures.put(
          gain(mix),
          figures.getOrDefault(figure(LSA, mix), Double.NaN)
              - figures.getOrDefault(figure(PLAIN, mix), Double.NaN));
    }
    return figures;
  }

  private static String figure(String name, String mix) {
    return "accuracy " + name + ", " + mix;
  }

  private static String gain(String mix) {
    return "gain LSA over BN-1, " + mix;
  }

  /** The streams of one seed. */
  private record Streams(
      DigitsBench bench, NeuralModel model, IndexedDataset source, long seed, Scale scale) {
    void measure(String mix, Map<String, Double> figures) {
      double[] shares =
          switch (mix) {
            case "forward" -> LabelShift.longTail(CLASSES, IMBALANCE);
            case "uniform" -> LabelShift.longTail(CLASSES, 1);
            default -> LabelShift.longTail(CLASSES, 1 / IMBALANCE);
          };
      int[] rows = LabelShift.rows(bench.test().labels(), shares, scale.pick(640, 128), seed);
      List<Shift> shifts =
          Stream.concat(Stream.of(Shift.none()), bench.mild("gauss", "stripe", "fog").stream())
              .limit(scale.pick(4, 1))
              .toList();
      Map<String, Accuracy> accuracies = new LinkedHashMap<>();
      for (Shift shift : shifts) {
        follow(shift.of(bench.test()).subset(rows), Tensors.of(shares, CLASSES), accuracies);
      }
      accuracies.forEach((name, accuracy) -> figures.put(figure(name, mix), accuracy.value()));
    }

    private void follow(IndexedDataset stream, Tensor truth, Map<String, Accuracy> accuracies) {
      try (LabelShiftAdapter adapter = started("label-shift-adapter/" + BASE);
          LabelShiftAdapter known = started("label-shift-adapter:alpha=0/" + BASE);
          Adapter base = Adapters.parse(BASE);
          Batches batches = stream.batches(BATCH)) {
        base.start(model, source);
        known.believe(truth);
        Tensor prior = LabelShiftAdapter.prior(Tensors.labels(source.labels()).bincount());
        while (batches.hasNext()) {
          try (PointerScope scope = new PointerScope();
              Batch batch = batches.next()) {
            Tensor x = batch.inputs();
            Tensor labels = Objects.requireNonNull(batch.labels());
            Output plain = base.adapt(x);
            add(accuracies, SOURCE, model.predict(x).logits(), labels);
            add(accuracies, PLAIN, plain.logits(), labels);
            add(accuracies, LSA, adapter.adapt(x).logits(), labels);
            add(accuracies, KNOWN_LSA, known.adapt(x).logits(), labels);
            add(accuracies, POST_HOC, adjusted(plain.logits(), adapter.mix(), prior), labels);
            add(accuracies, KNOWN_POST_HOC, adjusted(plain.logits(), truth, prior), labels);
          }
        }
      }
    }

    private LabelShiftAdapter started(String stack) {
      LabelShiftAdapter adapter = (LabelShiftAdapter) Adapters.parse(stack);
      adapter.start(model, source);
      return adapter;
    }

    private static Tensor adjusted(Tensor logits, Tensor mix, Tensor prior) {
      return logits.add(mix.log().sub(prior.log()).to(logits.scalar_type()));
    }

    private static void add(
        Map<String, Accuracy> accuracies, String name, Tensor logits, Tensor labels) {
      accuracies.computeIfAbsent(name, key -> new Accuracy()).add(logits, labels);
    }
  }
}
