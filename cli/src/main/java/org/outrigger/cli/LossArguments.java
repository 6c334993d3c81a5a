package org.outrigger.cli;

import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.FocalLoss;
import org.outrigger.core.optim.Objective;
import picocli.CommandLine.Option;

/** Losses beside plain cross-entropy that keep a network from growing too sure. */
final class LossArguments {
  private static final double GAMMA = 2;

  @Option(
      names = "--loss",
      paramLabel = "NAME",
      defaultValue = "cross-entropy",
      description =
          "cross-entropy, focal (perhaps focal:gamma=3; 2 without) or focal-53 (a gamma for each"
              + " row); ${DEFAULT-VALUE} by default.")
  private String loss = "cross-entropy";

  @Option(
      names = "--label-smoothing",
      paramLabel = "E",
      description = "Spread this share of each target over all classes, such as 0.1.")
  private double smoothing;

  /** The objective, made ready for the model: the recipe's, if the options say nothing. */
  Objective objective(Recipe recipe, Model model, IndexedDataset train, int batchSize, long seed) {
    Objective own = chosen(recipe);
    return own != null ? own : recipe.prepare(model, train, batchSize, seed);
  }

  /** Checks the options, which are of use to the standard recipe alone. */
  void check(Recipe recipe) {
    chosen(recipe);
  }

  private @Nullable Objective chosen(Recipe recipe) {
    String name = loss.strip();
    boolean usual = name.equals("cross-entropy");
    if (usual && smoothing == 0) {
      return null;
    }
    if (!recipe.standard()) {
      throw new OutriggerException(
          (usual ? "--label-smoothing" : "--loss")
              + " is of use to the recipe standard alone: leave it out, or the recipe.");
    }
    if (usual) {
      return new CrossEntropy(smoothing);
    }
    if (smoothing != 0) {
      throw new OutriggerException(
          "--label-smoothing goes with cross-entropy, not with " + name + ".");
    }
    return focal(name);
  }

  private static FocalLoss focal(String name) {
    if (name.equals("focal-53")) {
      return new FocalLoss(GAMMA, true);
    }
    if (name.equals("focal")) {
      return new FocalLoss(GAMMA);
    }
    String setting = "focal:gamma=";
    try {
      if (name.startsWith(setting)) {
        return new FocalLoss(Double.parseDouble(name.substring(setting.length())));
      }
    } catch (NumberFormatException e) {
      throw new OutriggerException(
          "'" + name + "' has no number for gamma: write focal:gamma=2.", e);
    }
    throw new OutriggerException(
        "There is no loss called '"
            + name
            + "'. All: cross-entropy, focal, focal:gamma=2, focal-53.");
  }
}
