package org.outrigger.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities.HasLinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.detect.Cider;
import org.outrigger.detect.MultiOod;
import org.outrigger.detect.TrainingObjective;
import org.outrigger.detect.Vos;

/** What training minimises, by name: {@code standard}, or a training objective with settings. */
final class Recipe implements AutoCloseable {
  private static final String STANDARD = "standard";

  private final @Nullable TrainingObjective method;

  private Recipe(@Nullable TrainingObjective method) {
    this.method = method;
  }

  /**
   * Reads a recipe such as {@code logit-norm:tau=0.1}.
   *
   * @throws OutriggerException if there is none of that name, with the nearest
   */
  static Recipe parse(String text) {
    String name = text.strip().split(":", 2)[0].toLowerCase(Locale.ROOT);
    if (text.strip().equals(STANDARD)) {
      return new Recipe(null);
    }
    List<String> names = new ArrayList<>(List.of(STANDARD));
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
    return new Recipe(Methods.parse(TrainingObjective.class, text).get(0));
  }

  /** Checks that outliers are given if, and only if, the recipe learns from them. */
  void checkOutliers(boolean given) {
    boolean needs = method != null && method.needs().contains(Need.OUTLIERS);
    if (needs && method != null && !given) {
      throw new OutriggerException(
          method.card().name()
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

  /** The objective, made ready for the model. */
  Objective prepare(Model model, IndexedDataset train, int batchSize) {
    if (method == null) {
      return new CrossEntropy();
    }
    model.require(method, TrainingObjective.class);
    if (method instanceof Vos vos) {
      model.as(HasLinearHead.class).ifPresent(owner -> vos.attach(owner.head()));
    }
    if (method instanceof MultiOod multiOod) {
      multiOod.attach(model);
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
    return !(method instanceof Stateful) || method instanceof StepObjective;
  }

  /** The architecture that it is made for, where none is named; null for any. */
  @Nullable String architecture() {
    boolean several = method != null && method.needs().contains(Need.MODALITIES);
    return several ? "multimodal" : null;
  }

  /** Whether it shapes the features alone, so that the last layer is still to be trained. */
  boolean leavesHead() {
    return method instanceof Cider;
  }

  @Override
  public void close() throws OutriggerException {
    if (method instanceof Vos vos) {
      vos.close();
    } else if (method instanceof Cider cider) {
      cider.close();
    } else if (method instanceof MultiOod multiOod) {
      multiOod.close();
    }
  }
}
