package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.claims.setup.DigitsNet.Norm;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.evaluate.stream.DirichletOrder;

/** Smoothing over neighbours gains where the stream is correlated, and costs little elsewhere. */
public final class LameOnCorrelatedStreams implements Claim {
  private static final int BATCH = 64;
  private static final int PASSES = 2;
  private static final double DELTA = 0.1;

  /** Stacks by the name of their figures. */
  private static final Map<String, String> STACKS = new LinkedHashMap<>();

  static {
    STACKS.put("source", "source");
    STACKS.put("LAME", "lame:affinity=knn");
    STACKS.put("LAME rbf", "lame:affinity=rbf");
    STACKS.put("TENT 1e-3", "tent:lr=0.001");
    STACKS.put("TENT 5e-3", "tent:lr=0.005");
  }

  private static final String GAIN = "gain LAME over source, correlated";
  private static final String COST = "gain LAME over source, i.i.d.";
  private static final String RBF = "gain LAME over LAME rbf, i.i.d.";
  private static final String SORTED_SOURCE = "gain LAME over source, GroupNorm sorted";
  private static final String SORTED_TENT = "gain LAME over TENT 1e-3, GroupNorm sorted";
  private static final String SORTED_FAST_TENT = "gain LAME over TENT 5e-3, GroupNorm sorted";

  @Override
  public String slug() {
    return "lame";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "LAME gains where neighbours in a stream share their class, and costs little elsewhere";
  }

  @Override
  public String promise() {
    return "Correcting the outputs alone is safer than adapting the model: it gains where streams"
        + " are not i.i.d., which is where adapted models fail.";
  }

  @Override
  public String paper() {
    return "Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(GAIN, 0.03),
        Inequality.atLeast(COST, -0.03),
        Inequality.atLeast(RBF, 0.3),
        Inequality.atLeast(SORTED_SOURCE, 0.04),
        Inequality.atLeast(SORTED_TENT, 0.02),
        Inequality.atLeast(SORTED_FAST_TENT, 0.02));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the source model as it is",
        "LAME with the rbf affinity, which is the authors' default",
        "TENT with Adam at 1e-3 and at 5e-3");
  }

  @Override
  public String protocol() {
    return "Digits bench: 1,000 clean digits at 16x16 pixels to train, 797 to test, two passes a"
        + " corruption in batches of 64, each corruption from a fresh start. With batch norm: the"
        + " seven mild corruptions, shuffled (i.i.d.) and in Dirichlet(0.1) order (correlated). With"
        + " GroupNorm of four groups: gauss, contrast, brightness, fog and impulse, shuffled and"
        + " sorted by class. LAME takes 5 neighbours. Figures are means over the corruptions.";
  }

  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 4).boxed().toList();
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel batchNorm = bench.source(Recipe.defaults());
        NeuralModel groupNorm = bench.source(Recipe.defaults().withNorm(Norm.GROUP))) {
      List<Shift> all = bench.mild().subList(0, scale.pick(7, 1));
      List<Shift> five = all.subList(0, scale.pick(5, 1));
      UnaryOperator<IndexedDataset> shuffled = data -> data.shuffled(seed);
      UnaryOperator<IndexedDataset> correlated = ordered(DELTA, seed);
      UnaryOperator<IndexedDataset> sorted = ordered(0, seed);
      measure("i.i.d.", batchNorm, bench, all, shuffled, figures);
      measure("correlated", batchNorm, bench, all, correlated, figures);
      measure("GroupNorm i.i.d.", groupNorm, bench, five, shuffled, figures);
      measure("GroupNorm sorted", groupNorm, bench, five, sorted, figures);
    }
    difference(figures, GAIN, "source", "correlated");
    difference(figures, COST, "source", "i.i.d.");
    difference(figures, RBF, "LAME rbf", "i.i.d.");
    difference(figures, SORTED_SOURCE, "source", "GroupNorm sorted");
    difference(figures, SORTED_TENT, "TENT 1e-3", "GroupNorm sorted");
    difference(figures, SORTED_FAST_TENT, "TENT 5e-3", "GroupNorm sorted");
    return figures;
  }

  private static UnaryOperator<IndexedDataset> ordered(double delta, long seed) {
    return data -> data.subset(DirichletOrder.draw(data.labels(), delta, seed));
  }

  private static void measure(
      String stream,
      NeuralModel model,
      DigitsBench bench,
      List<Shift> shifts,
      UnaryOperator<IndexedDataset> order,
      Map<String, Double> figures) {
    STACKS.forEach(
        (name, stack) ->
            figures.put(
                figure(name, stream),
                shifts.stream()
                    .mapToDouble(
                        shift ->
                            FollowedStream.accuracy(
                                stack,
                                model,
                                bench.train(),
                                twice(order.apply(shift.of(bench.test()))),
                                BATCH))
                    .average()
                    .orElseThrow()));
  }

  private static IndexedDataset twice(IndexedDataset data) {
    return IndexedDataset.concat(
        IntStream.range(0, PASSES).mapToObj(i -> data).toArray(IndexedDataset[]::new));
  }

  private static String figure(String name, String order) {
    return "accuracy " + name + ", " + order;
  }

  private static void difference(
      Map<String, Double> figures, String name, String other, String order) {
    figures.put(
        name,
        figures.getOrDefault(figure("LAME", order), Double.NaN)
            - figures.getOrDefault(figure(other, order), Double.NaN));
  }
}
