package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.evaluate.stream.TestStream;

/** What the usual test-time adapters do on one small bench, where they help and where they fail. */
public final class AdaptationBaselines implements Claim {
  private static final String SHUFFLED = "accuracy i.i.d. ";
  private static final String ORDERED = "accuracy Dirichlet 0.1 ";
  private static final String HARD = "accuracy hard, without reset, ";
  private static final String GAIN = "gain of BN-1 over source, i.i.d.";
  private static final String LOSS = "loss of BN-1 through the order";
  private static final String NONE = "source";
  private static final String BATCH = "BN-1";
  private static final String TENT = "TENT";
  private static final String FAST_TENT = "TENT lr 0.01";

  @Override
  public String slug() {
    return "tta-baselines";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "Where batch statistics and entropy minimisation help, and where they collapse";
  }

  @Override
  public String promise() {
    return "Batch statistics repair much of a corruption and entropy minimisation a little more;"
        + " batches in label order take that away, and a long hard stream at a large learning rate"
        + " makes TENT collapse but not a method that filters its rows.";
  }

  @Override
  public String paper() {
    return "Schneider et al., NeurIPS 2020; Wang et al., Tent, ICLR 2021; Niu et al., Efficient"
        + " Test-Time Model Adaptation without Forgetting, ICML 2022";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(GAIN, Relation.GREATER, 0.10, null),
        new Inequality(SHUFFLED + TENT, Relation.AT_LEAST, 1, SHUFFLED + BATCH),
        new Inequality(SHUFFLED + FAST_TENT, Relation.AT_LEAST, 1, SHUFFLED + BATCH),
        new Inequality(LOSS, Relation.GREATER, 0.05, null),
        Inequality.below(HARD + TENT, 0.3),
        new Inequality(HARD + "ETA", Relation.GREATER, 0.55, null));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the source model as it is", "every adapter with its defaults, views without mirroring");
  }

  @Override
  public String protocol() {
    return "Digits at 16x16 pixels, a network of three convolutions with batch norm trained on 1,000"
        + " clean ones; 797 test images, batches of 64, two passes over each corruption. I.i.d. and"
        + " Dirichlet 0.1: seven mild corruptions, reset at each. Hard: four hard corruptions, four"
        + " rounds, never reset, learning rate 2e-2. CoTTA averages 8 views; MEMO sees the first 32"
        + " images of each corruption, one by one. Accuracies are means over the corruptions.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel source = bench.source(DigitsBench.Recipe.defaults())) {
      List<Shift> mild = bench.mild().subList(0, scale.pick(7, 1));
      List<Shift> worse = bench.hard().subList(0, scale.pick(4, 1));
      TestStream shuffled =
          bench
              .protocol("reset_each_shift")
              .with(s -> s.withPasses(scale.pick(2, 1)))
              .over(bench.test(), mild);
      TestStream ordered =
          bench
              .protocol("reset_each_shift_correlated")
              .with(s -> s.withDelta(0.1).withPasses(scale.pick(2, 1)))
              .over(bench.test(), mild);
      TestStream hard =
          bench
              .protocol("continual")
              .with(s -> s.withPasses(scale.pick(2, 1)).withRounds(scale.pick(4, 1)))
              .over(bench.test(), worse);
      measure(SHUFFLED, all(), source, bench.train(), shuffled, figures);
      IndexedDataset few = bench.test().limit(scale.pick(32, 2));
      TestStream single = bench.protocol("reset_each_shift").over(few, mild);
      measure(
          SHUFFLED,
          Map.of("MEMO (32 images)", "memo:padding=2:flip=false"),
          source,
          bench.train(),
          single,
          figures);
      measure(ORDERED, orderly(), source, bench.train(), ordered, figures);
      measure(HARD, fast(), source, bench.train(), hard, figures);
    }
    figures.put(GAIN, difference(figures, SHUFFLED + BATCH, SHUFFLED + NONE));
    figures.put(LOSS, difference(figures, SHUFFLED + BATCH, ORDERED + BATCH));
    return figures;
  }

  private static Map<String, String> all() {
    Map<String, String> stacks = new LinkedHashMap<>(orderly());
    stacks.put(FAST_TENT, "tent:lr=0.01");
    stacks.put("EMA-BN", "ema-bn");
    stacks.put("pseudo-label", "pseudo-label");
    stacks.put("SHOT-IM", "shot-im");
    stacks.put("ETA", "eata:beta=0");
    stacks.put("SAR", "sar");
    stacks.put("DELTA", "delta");
    stacks.put("ROID", "roid:flip=false");
    stacks.put("CoTTA", "cotta:views=8:flip=false");
    stacks.put("T3A", "t3a");
    stacks.put("LAME", "lame");
    return stacks;
  }

  /** Those that are also shown on batches in label order. */
  private static Map<String, String> orderly() {
    Map<String, String> stacks = new LinkedHashMap<>();
    stacks.put(NONE, "source");
    stacks.put(BATCH, "bn-adapt");
    stacks.put(TENT, "tent");
    stacks.put("alpha-BN", "alpha-bn");
    stacks.put("NOTE", "note");
    stacks.put("RoTTA", "rotta:flip=false");
    return stacks;
  }

  private static Map<String, String> fast() {
    Map<String, String> stacks = new LinkedHashMap<>();
    stacks.put(NONE, "source");
    stacks.put(BATCH, "bn-adapt");
    stacks.put(TENT, "tent:lr=0.02");
    stacks.put("ETA", "eata:beta=0:lr=0.02");
    return stacks;
  }

  private static void measure(
      String prefix,
      Map<String, String> stacks,
      NeuralModel source,
      IndexedDataset known,
      TestStream stream,
      Map<String, Double> figures) {
    stacks.forEach(
        (name, stack) ->
            figures.put(
                prefix + name, AdapterStreams.run(stack, source, known, stream).accuracy()));
  }

  private static double difference(Map<String, Double> figures, String more, String less) {
    return figures.getOrDefault(more, Double.NaN) - figures.getOrDefault(less, Double.NaN);
  }
}
