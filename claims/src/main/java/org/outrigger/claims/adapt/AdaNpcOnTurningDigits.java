package org.outrigger.claims.adapt;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsNet;
import org.outrigger.claims.setup.DigitsNet.Norm;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.evaluate.shift.Rotation;

/** A memory that the stream joins follows a series of domains that lead ever further away. */
public final class AdaNpcOnTurningDigits implements Claim {
  private static final int BATCH = 32;
  private static final int DISJOINT = 66;
  private static final int OVERLAPPING = 400;

  /** Stacks by the name of their figures. */
  private static final Map<String, String> STACKS = new LinkedHashMap<>();

  static {
    STACKS.put("ERM", "source");
    STACKS.put("TENT", "tent:lr=0.001");
    STACKS.put("T3A", "t3a:filterK=100");
    STACKS.put("frozen memory", "adanpc:k=10:beta=1.1");
    STACKS.put("AdaNPC k = 1", "adanpc:k=1");
    STACKS.put("AdaNPC", "adanpc:k=10");
    STACKS.put("AdaNPC k = 50", "adanpc:k=50");
    STACKS.put("AdaNPC beta = 0.2", "adanpc:k=10:beta=0.2");
  }

  private static final String OVER_TENT = "gain AdaNPC over TENT";
  private static final String OVER_T3A = "gain AdaNPC over T3A";
  private static final String OVER_FROZEN = "gain AdaNPC over frozen memory";

  @Override
  public String slug() {
    return "adanpc";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "AdaNPC follows a series of domains that lead ever further away";
  }

  @Override
  public String promise() {
    return "Where the target is a series of domains, a memory that confident test features join"
        + " beats adapters that train or that only move prototypes.";
  }

  @Override
  public String paper() {
    return "Zhang et al., AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation,"
        + " ICML 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(OVER_TENT, 0.10),
        Inequality.atLeast(OVER_T3A, 0.10),
        Inequality.atLeast(OVER_FROZEN, 0.12));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "ERM: the linear head as it is",
        "TENT with Adam at 1e-3, on batch statistics",
        "T3A with 100 supports a class",
        "the vote of the 10 nearest source features, which nothing joins");
  }

  @Override
  public String protocol() {
    return "The network of the digits bench is trained for 10 epochs on 1,000 digits at 0 and at 15"
        + " degrees (2,000 source features). The stream turns by 20, 25, ..., 75 degrees in turn,"
        + " without a reset, in batches of 32. Disjoint: each angle has 66 test images of its own;"
        + " overlapping: 400 of the 797, drawn anew, so that most images were stored a few degrees"
        + " before. Features come from the frozen network in evaluation mode. The statement is about"
        + " disjoint images, k = 10, beta = 0.";
  }

  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 4).boxed().toList();
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    List<Shift> angles = Rotation.range(20, scale.pick(75, 30), 5);
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel model = DigitsNet.create(Norm.BATCH::of, bench.train().classNames(), seed)) {
      IndexedDataset source =
          IndexedDataset.concat(bench.train(), Rotation.by(15).of(bench.train()));
      DigitsNet.train(model, source, scale.pick(10, 2), seed);
      int own = scale.pick(DISJOINT, 40);
      IndexedDataset shuffled = bench.test().shuffled(Rng.derive(seed, "angles"));
      measure(
          "",
          model,
          source,
          turned(angles, i -> shuffled.subset(IntStream.range(i * own, (i + 1) * own).toArray())),
          own,
          figures);
      int drawn = scale.pick(OVERLAPPING, 80);
      measure(
          ", overlapping",
          model,
          source,
          turned(angles, i -> bench.test().shuffled(Rng.derive(seed, "angle " + i)).limit(drawn)),
          drawn,
          figures);
    }
    difference(figures, OVER_TENT, "TENT");
    difference(figures, OVER_T3A, "T3A");
    difference(figures, OVER_FROZEN, "frozen memory");
    return figures;
  }

  private static IndexedDataset turned(List<Shift> angles, IntFunction<IndexedDataset> images) {
    return IndexedDataset.concat(
        IntStream.range(0, angles.size())
            .mapToObj(i -> angles.get(i).of(images.apply(i)))
            .toArray(IndexedDataset[]::new));
  }

  private static void measure(
      String images,
      NeuralModel model,
      IndexedDataset source,
      IndexedDataset stream,
      int rowsOfAnAngle,
      Map<String, Double> figures) {
    STACKS.forEach(
        (name, stack) -> {
          try (Adapter adapter = Adapters.parse(stack)) {
            adapter.start(model, source);
            int[] right = FollowedStream.right(adapter, stream, BATCH);
            figures.put("accuracy " + name + images, FollowedStream.mean(right));
            figures.put(
                "accuracy at the last angle " + name + images,
                FollowedStream.mean(
                    Arrays.copyOfRange(right, right.length - rowsOfAnAngle, right.length)));
          }
        });
  }

  private static void difference(Map<String, Double> figures, String name, String other) {
    figures.put(
        name,
        figures.getOrDefault("accuracy AdaNPC", Double.NaN)
            - figures.getOrDefault("accuracy " + other, Double.NaN));
  }
}
