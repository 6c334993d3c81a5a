package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.detect.HasTraining;
import org.outrigger.detect.Mol;
import org.outrigger.detect.TrainingObjective;
import org.outrigger.detect.Vos;

/**
 * What training minimises, by name: {@code standard}, a training objective with settings, or {@code
 * mol}, which trains in a way of its own.
 */
final class Recipe implements AutoCloseable {
  private static final String STANDARD = "standard";
  private static final String META = "mol";

  private final @Nullable TrainingObjective method;
  private final @Nullable Mol meta;

  private Recipe(@Nullable TrainingObjective method, @Nullable Mol meta) {
    this.method = method;
    this.meta = meta;
  }

  private static List<String> names() {
    List<String> names = new ArrayList<>(List.of(STANDARD));
    Methods.cards(TrainingObjective.class).stream().map(Card::slug).forEach(names::add);
    Methods.cards(HasTraining.class).stream().map(Card::slug).forEach(names::add);
    names.add(META);
    return names;
  }

  /** The names of all recipes, for help and completion. */
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return names().iterator();
    }
  }

  /**
   * Reads a recipe such as {@code logit-norm:tau=0.1}.
   *
   * @throws OutriggerException if there is none of that name, with the nearest
   */
  static Recipe parse(String text) {
    String name = Methods.slug(text.split(":", 2)[0]);
    if (text.strip().equals(STANDARD)) {
      return new Recipe(null, null);
    }
    if (name.equals(META)) {
      return new Recipe(null, Methods.parse(Mol.class, text).get(0));
    }
    List<String> names = names();
    if (name.equals(STANDARD) || !names.contains(name)) {
      List<String> near = Methods.nearest(name, names);
      throw new OutriggerException(
          name.equals(STANDARD)
              ? "The recipe standard has no settings."
              : "There is no recipe called '"
                  + name
                  + "'."
                  + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
                  + " All: "
                  + String.join(", ", names)
                  + ".");
    }
    if (Methods.cards(HasTraining.class).stream().anyMatch(card -> card.slug().equals(name))) {
      try (HasTraining detector = Methods.parse(HasTraining.class, text).get(0)) {
        return new Recipe(detector.training(), null);
      }
    }
    return new Recipe(Methods.parse(TrainingObjective.class, text).get(0), null);
  }

  /** Checks that outliers are given if, and only if, the recipe learns from them. */
  void checkOutliers(boolean given) {
    Method chosen = meta != null ? meta : method;
    boolean needs = chosen != null && chosen.needs().contains(Need.OUTLIERS);
    if (needs && chosen != null && !given) {
      throw new OutriggerException(
          chosen.card().name()
              + " learns from outliers: name some with --outliers, such as inputs of other kinds.");
    }
    if (given && !needs && !(method instanceof Vos)) {
      throw new OutriggerException(
          "--outliers is of no use to the recipe "
              + (method == null ? STANDARD : method.card().slug())
              + ": choose one that learns from outliers ("
              + Methods.cards(Method.class).stream()
                  .filter(card -> names().contains(card.slug()))
                  .filter(card -> List.of(card.needs()).contains(Need.OUTLIERS))
                  .map(Card::slug)
                  .collect(Collectors.joining(", "))
              + "), or leave it out.");
    }
  }

  /** Whether it is the standard one, cross-entropy. */
  boolean standard() {
    return method == null && meta == null;
  }

  /** Meta-training instead of an objective, if that is the recipe. */
  @Nullable Mol meta() {
    return meta;
  }

  /** The objective, made ready for the model. */
  Objective prepare(Model model, IndexedDataset train, int batchSize, long seed) {
    if (method == null) {
      return new CrossEntropy();
    }
    model.require(method, TrainingObjective.class);
    method.prepare(model, train, batchSize, seed);
    return method;
  }

  /** Whether its loss can be measured on other data without changing what it remembers. */
  boolean measurable() {
    return meta == null && (!(method instanceof Stateful) || method instanceof StepObjective);
  }

  /** The architecture that it is made for, where none is named; null for any. */
  @Nullable String architecture() {
    boolean several = method != null && method.needs().contains(Need.MODALITIES);
    return several ? "multimodal" : null;
  }

  /** Whether it shapes the features alone, so that the last layer is still to be trained. */
  boolean leavesHead() {
    return method != null && method.leavesHead();
  }

  @Override
  public void close() {
    if (meta != null) {
      meta.close();
    }
    if (method != null) {
      method.close();
    }
  }
}
