package org.outrigger.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities.HasLinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Objective;
import org.outrigger.detect.Cider;
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

  /**
   * Reads a recipe such as {@code logit-norm:tau=0.1}.
   *
   * @throws OutriggerException if there is none of that name, with the nearest
   */
  static Recipe parse(String text) {
    String name = text.strip().split(":", 2)[0].toLowerCase(Locale.ROOT);
    if (text.strip().equals(STANDARD)) {
      return new Recipe(null, null);
    }
    if (name.equals(META)) {
      return new Recipe(null, Methods.parse(Mol.class, text).get(0));
    }
    List<String> names = new ArrayList<>(List.of(STANDARD, META));
    Methods.cards(TrainingObjective.class).stream().map(Card::slug).forEach(names::add);
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
              + ": choose outlier-exposure, energy-fine-tuning or entropic-open-set, or leave it"
              + " out.");
    }
  }

  /** Meta-training instead of an objective, if that is the recipe. */
  @Nullable Mol meta() {
    return meta;
  }

  /** The objective, made ready for the model. */
  Objective prepare(Model model, IndexedDataset train, int batchSize) {
    if (method == null) {
      return new CrossEntropy();
    }
    model.require(method, TrainingObjective.class);
    if (method instanceof Vos vos) {
      model.as(HasLinearHead.class).ifPresent(owner -> vos.attach(owner.head()));
    }
    if (method instanceof Cider cider) {
      try (RecordedOutputs outputs =
          RecordedOutputs.record(
              model, train, RecordedOutputs.Options.defaults().withBatchSize(batchSize))) {
        cider.initialise(outputs);
      }
    }
    return method;
  }

  /** Whether its loss can be measured on other data without changing what it remembers. */
  boolean measurable() {
    return meta == null && !(method instanceof Stateful);
  }

  /** Whether it shapes the features alone, so that the last layer is still to be trained. */
  boolean leavesHead() {
    return method instanceof Cider;
  }

  @Override
  public void close() throws OutriggerException {
    if (meta != null) {
      meta.close();
    } else if (method instanceof Vos vos) {
      vos.close();
    } else if (method instanceof Cider cider) {
      cider.close();
    }
  }
}
