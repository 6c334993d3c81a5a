package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.ear.Adaptor.Family;
import org.outrigger.adapt.ear.Adaptor.Plan;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** One domain: its adaptor and head, the descriptors of its classes, its threshold. */
final class EarDomain implements AutoCloseable {
  static final String ADAPTOR = "adaptor";
  static final String HEAD = "head";
  private static final String NETWORK = "network/";
  private static final String DESCRIPTORS = "descriptors";
  private static final String COUNTS = "counts";

  final String name;
  final Sequential network;

  /** What each output of the head stands for, ascending. */
  final List<Integer> classes;

  /** What each class descriptor stands for, ascending. */
  final List<Integer> described;

  final ClassDescriptors descriptors;

  /** The least familiarity s of a known row. */
  final double threshold;

  final double heldOutAccuracy;

  EarDomain(
      String name,
      Sequential network,
      List<Integer> classes,
      List<Integer> described,
      ClassDescriptors descriptors,
      double threshold,
      double heldOutAccuracy) {
    this.name = name;
    this.network = network;
    this.classes = List.copyOf(classes);
    this.described = List.copyOf(described);
    this.descriptors = descriptors;
    this.threshold = threshold;
    this.heldOutAccuracy = heldOutAccuracy;
  }

  Plan plan() {
    return ((Adaptor) network.get(ADAPTOR)).plan();
  }

  /** Logits of its own classes, [N, classes], of standardised features [N, F]. */
  Tensor logits(Tensor features) {
    return network.forward(features, ForwardContext.EVALUATION);
  }

  LearnedDomain view(List<String> taps) {
    return new LearnedDomain(
        name,
        plan().describe(taps),
        network.get(ADAPTOR).parameterCount(),
        network.get(HEAD).parameterCount(),
        described,
        Arrays.stream(descriptors.rows()).sum(),
        heldOutAccuracy,
        threshold,
        descriptors.bytes());
  }

  Map<String, Object> values() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("name", name);
    values.put("taps", plan().taps());
    values.put("family", plan().family().name());
    values.put("width", plan().width());
    values.put("depth", plan().depth());
    values.put("classes", classes);
    values.put("described", described);
    values.put("threshold", threshold);
    values.put("heldOutAccuracy", heldOutAccuracy);
    return values;
  }

  /** By name; borrowed. */
  Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    network.stateDict().forEach((key, tensor) -> tensors.put(NETWORK + key, tensor));
    tensors.put(DESCRIPTORS, descriptors.vectors());
    tensors.put(COUNTS, descriptors.counts());
    return tensors;
  }

  /**
   * A domain as it was saved.
   *
   * @param saved what {@link #values} and {@link #tensors} gave
   * @param widths of the taps
   * @param dimension D
   */
  static EarDomain restored(State saved, long[] widths, long dimension) {
    String family = saved.text("family");
    if (Arrays.stream(Family.values()).noneMatch(f -> f.name().equals(family))) {
      throw damaged("it has an adaptor of the unknown kind '" + family + "'");
    }
    Plan plan =
        new Plan(
            whole(saved, "taps"),
            Family.valueOf(family),
            (int) saved.number("width"),
            (int) saved.number("depth"));
    List<Integer> classes = ascending(saved, "classes");
    List<Integer> described = ascending(saved, "described");
    Map<String, Tensor> weights = EarLearned.below(saved.tensors(), NETWORK);
    weights.forEach((key, tensor) -> Shapes.finite("The saved " + key, tensor));
    Shapes.check()
        .size("C", described.size(), "its classes")
        .size("D", dimension, "its projections")
        .tensor("The saved descriptors", saved.tensor(DESCRIPTORS), "C", "D")
        .tensor("The saved counts", saved.tensor(COUNTS), "C");
    try (Rng rng = new Rng(0)) {
      Sequential network = AdaptorSearch.network(plan, widths, classes.size(), rng);
      try {
        network.loadStateDict(weights, true);
        return new EarDomain(
            saved.text("name"),
            network,
            classes,
            described,
            ClassDescriptors.restored(saved.tensor(DESCRIPTORS), saved.tensor(COUNTS)),
            saved.number("threshold"),
            saved.number("heldOutAccuracy"));
      } catch (RuntimeException e) {
        network.close();
        throw e;
      }
    }
  }

  private static List<Integer> ascending(State saved, String name) {
    List<Integer> list = whole(saved, name);
    for (int i = 0; i < list.size(); i++) {
      if (list.get(i) < (i == 0 ? 0 : list.get(i - 1) + 1)) {
        throw damaged("its list of " + name + " is not ascending");
      }
    }
    return list;
  }

  private static List<Integer> whole(State saved, String name) {
    List<Integer> list = new ArrayList<>();
    if (saved.values().get(name) instanceof List<?> items) {
      for (Object item : items) {
        if (!(item instanceof Integer number)) {
          throw damaged("its list of " + name + " holds '" + item + "'");
        }
        list.add(number);
      }
    }
    if (list.isEmpty()) {
      throw damaged("its list of " + name + " is missing or empty");
    }
    return list;
  }

  static OutriggerException damaged(String why) {
    return new OutriggerException("The saved EAR is damaged: " + why + ".");
  }

  /** int64 [n] of class numbers; belongs to the enclosing scope. */
  static Tensor indices(List<Integer> classes) {
    return Tensors.labels(classes.stream().mapToInt(Integer::intValue).toArray());
  }

  /** The positions in {@code classes} of labels, which must all be there. */
  static Tensor positions(Tensor labels, List<Integer> classes) {
    return Scopes.tensor(
        () -> {
          int[] lookup = new int[classes.get(classes.size() - 1) + 1];
          for (int i = 0; i < classes.size(); i++) {
            lookup[classes.get(i)] = i;
          }
          return Tensors.labels(lookup).index_select(0, labels);
        });
  }

  @Override
  public void close() {
    network.close();
    descriptors.close();
  }
}
