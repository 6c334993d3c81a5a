package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.evaluate.stream.TestStream;

/** UnMix-TNS keeps working where neighbours share a label, once its components have moved. */
public final class UnMixOnLabelOrder implements Claim {
  private static final int SMALL = 16;
  private static final int LARGE = 64;
  private static final List<String> ORDERS = List.of("Dirichlet 0.1", "sorted");
  private static final String NONE = "source";
  private static final String BATCH = "BN-1";
  private static final String UNMIX = "UnMix K=16";
  private static final String SHUFFLED = "accuracy i.i.d. batch 64, ";

  @Override
  public String slug() {
    return "unmix-tns";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "UnMix-TNS normalises streams in label order where batch statistics fail";
  }

  @Override
  public String promise() {
    return "Running components that imitate an i.i.d. batch improve on batch statistics under"
        + " temporal label correlation, down to small batches.";
  }

  @Override
  public String paper() {
    return "Tomar et al., Un-Mixing Test-Time Normalization Statistics: Combatting Label Temporal"
        + " Correlation, ICLR 2024";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(gain(ORDERS.get(0), BATCH), Relation.GREATER, 0.08, null),
        new Inequality(gain(ORDERS.get(0), NONE), Relation.GREATER, 0.12, null),
        new Inequality(gain(ORDERS.get(1), BATCH), Relation.GREATER, 0.08, null),
        new Inequality(gain(ORDERS.get(1), NONE), Relation.GREATER, 0.12, null),
        // Where batches are i.i.d. and the stream is short, its components have not moved yet.
        Inequality.below(SHUFFLED + UNMIX, 1, SHUFFLED + BATCH));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the source model as it is",
        "BN-1: the statistics of each batch",
        "UnMix-TNS with 4 components");
  }

  @Override
  public String protocol() {
    return "Digits at 16x16 pixels, a network of three convolutions with batch norm trained on 1,000"
        + " clean ones. Four mild corruptions (contrast, fog, blur, noise), each a stream of its own"
        + " of 6 passes over 797 images, in an order with Dirichlet 0.1 or sorted by label, each"
        + " pass anew; batches of 16, and of 64 for two of the methods; no gradients. Components"
        + " move by the momentum 0.1 in all of them. Accuracies are means over the corruptions, of"
        + " the first and the second half of the stream. Then all seven mild corruptions, i.i.d.,"
        + " batches of 64, two passes.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel source = bench.source(DigitsBench.Recipe.defaults())) {
      List<Shift> shifts = bench.mild("contrast", "fog", "blur", "gauss");
      List<Shift> some = shifts.subList(0, scale.pick(shifts.size(), 1));
      for (int batch : new int[] {SMALL, LARGE}) {
        for (String order : ORDERS) {
          methods(batch, batch == SMALL)
              .forEach(
                  (name, stack) -> {
                    double[] halves = new double[2];
                    for (Shift shift : some) {
                      TestStream stream =
                          bench
                              .protocol("correlated")
                              .with(
                                  s ->
                                      s.withDelta(order.equals("sorted") ? 0 : 0.1)
                                          .withBatchSize(batch)
                                          .withPasses(scale.pick(6, 1)))
                              .over(bench.test(), List.of(shift));
                      double[] one = halves(stack, source, stream);
                      halves[0] += one[0] / some.size();
                      halves[1] += one[1] / some.size();
                    }
                    figures.put(first(order, batch, name), halves[0]);
                    figures.put(second(order, batch, name), halves[1]);
                  });
        }
      }
      TestStream shuffled =
          bench
              .protocol("reset_each_shift")
              .with(s -> s.withBatchSize(LARGE).withPasses(scale.pick(2, 1)))
              .over(bench.test(), bench.mild().subList(0, scale.pick(7, 1)));
      methods(LARGE, true)
          .forEach(
              (name, stack) ->
                  figures.put(
                      SHUFFLED + name,
                      AdapterStreams.run(stack, source, null, shuffled).accuracy()));
    }
    for (String order : ORDERS) {
      for (String other : List.of(BATCH, NONE)) {
        figures.put(
            gain(order, other),
            figures.getOrDefault(second(order, SMALL, UNMIX), Double.NaN)
                - figures.getOrDefault(second(order, SMALL, other), Double.NaN));
      }
    }
    return figures;
  }

  /** The stacks by name; components move by the momentum itself at that batch size. */
  private static Map<String, String> methods(int batch, boolean all) {
    Map<String, String> methods = new LinkedHashMap<>();
    if (all) {
      methods.put(NONE, "source");
      methods.put("UnMix K=4", "unmix-tns:K=4:maxBatch=" + batch);
    }
    methods.put(BATCH, "bn-adapt");
    methods.put(UNMIX, "unmix-tns:K=16:maxBatch=" + batch);
    return methods;
  }

  private static double[] halves(String stack, NeuralModel source, TestStream stream) {
    Accuracy first = new Accuracy();
    Accuracy second = new Accuracy();
    long middle = stream.rows() / 2;
    AdapterStreams.run(
        stack,
        source,
        null,
        stream,
        (batch, output) ->
            (batch.start() < middle ? first : second)
                .add(output.logits(), Objects.requireNonNull(batch.labels())));
    return new double[] {first.value(), second.value()};
  }

  private static String first(String order, int batch, String method) {
    return "accuracy " + order + ", batch " + batch + ", first half, " + method;
  }

  private static String second(String order, int batch, String method) {
    return "accuracy " + order + ", batch " + batch + ", second half, " + method;
  }

  private static String gain(String order, String other) {
    return "gain over " + other + ", " + order + ", batch 16, second half";
  }
}
