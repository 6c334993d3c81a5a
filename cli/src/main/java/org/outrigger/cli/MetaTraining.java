package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.detect.Mol;
import org.outrigger.detect.ShiftedTasks;
import org.outrigger.evaluate.corruption.CorruptedDataset;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.shift.Rotation;
import picocli.CommandLine.ParseResult;

/** Training with {@code --recipe mol}: tasks are shifts of the training data and the outliers. */
final class MetaTraining {
  private static final String ROTATIONS = "rotations";
  private static final String CORRUPTIONS = "corruptions";
  private static final List<String> OF_NO_USE =
      List.of(
          "--epochs",
          "--outlier-ratio",
          "--augment",
          "--ema",
          "--clip",
          "--checkpoint",
          "--resume",
          "--optimiser",
          "--lr",
          "--weight-decay",
          "--schedule",
          "--warm-up");

  private final Mol mol;
  private final List<Shift> shifts;
  private Mol.Progress last = new Mol.Progress(0, Double.NaN, Double.NaN, Double.NaN, 0);

  /**
   * @param shifts such as {@code rotations:90:15} or {@code corruptions:fog+snow}
   */
  MetaTraining(Mol mol, String shifts, ParseResult given, long seed) {
    for (String option : OF_NO_USE) {
      if (given.hasMatchedOption(option)) {
        throw new OutriggerException(
            option
                + " is of no use to the recipe mol: its settings say how it trains, such as"
                + " mol:iterations=1000:outerRate=0.001.");
      }
    }
    this.mol = mol;
    this.shifts = parse(shifts, seed);
  }

  /** Reads a family of shifts; the data as they are is always one of them. */
  static List<Shift> parse(String text, long seed) {
    String[] parts = text.strip().toLowerCase(Locale.ROOT).split(":", -1);
    if (parts[0].equals(ROTATIONS) && parts.length <= 3) {
      int to = parts.length > 1 ? number(text, parts[1]) : 60;
      int step = parts.length > 2 ? number(text, parts[2]) : 5;
      if (to > 360 || step < 1) {
        throw unknown(text);
      }
      return Rotation.range(0, to, step);
    }
    if (parts[0].equals(CORRUPTIONS) && parts.length <= 2) {
      List<Corruption> kinds =
          parts.length == 1
              ? Corruption.CLASSIC
              : Arrays.stream(parts[1].split("\\+", -1)).map(Corruption::named).toList();
      Corruption.Settings settings = Corruption.Settings.seeded(seed);
      List<Shift> shifts = new ArrayList<>(List.of(Shift.none()));
      for (Corruption kind : kinds) {
        for (int severity = 1; severity <= Corruption.SEVERITIES; severity++) {
          int strength = severity;
          shifts.add(
              Shift.view(
                  kind.slug() + " " + strength,
                  data -> CorruptedDataset.of(data, kind, strength, settings)));
        }
      }
      return shifts;
    }
    throw unknown(text);
  }

  private static int number(String text, String part) {
    if (!part.matches("\\d{1,3}")) {
      throw unknown(text);
    }
    return Integer.parseInt(part);
  }

  private static OutriggerException unknown(String text) {
    return new OutriggerException(
        "--shifts "
            + text
            + " names no family of shifts: write rotations, rotations:TO:STEP in degrees up to 360,"
            + " corruptions, or corruptions:NAME+NAME.");
  }

  /** Replaces the values of the model's weights by those that adapt well. */
  void fit(NeuralModel model, IndexedDataset train, IndexedDataset outliers) {
    if (train.inputShape().length != 3) {
      throw new OutriggerException(
          "The recipe mol shifts images, but "
              + train.name()
              + " holds rows of a table: train it from Java with shifts of your own.");
    }
    Mol.Settings settings = mol.settings();
    ShiftedTasks tasks =
        new ShiftedTasks(
            train, outliers, shifts, settings.support(), settings.query(), settings.outliers());
    mol.attach(model);
    try (Progress bar = new Progress("Meta-training", settings.iterations())) {
      last =
          mol.train(
              tasks,
              settings.iterations(),
              step -> {
                bar.to(step.iteration());
                bar.say(String.format(Locale.ROOT, "outer loss %.3f", step.loss()));
              });
    }
    try (NeuralModel learned = mol.model()) {
      model.loadStateDict(learned.root().stateDict(), true);
    }
  }

  /** The figures of the last steps, for JSON. */
  Map<String, Object> figures() {
    Map<String, Object> figures = new LinkedHashMap<>();
    figures.put("iterations", last.iteration());
    figures.put("shifts", shifts.size());
    figures.put("outerLoss", last.loss());
    figures.put("activeIn", last.activeIn());
    figures.put("activeOut", last.activeOut());
    figures.put("diverged", last.diverged());
    return figures;
  }

  void print(PrintWriter to) {
    to.println("outer steps           " + last.iteration() + " over " + shifts.size() + " shifts");
    to.println("outer loss            " + ReportPage.number(last.loss()));
    to.println(
        "energy margins        push "
            + ReportPage.percent(last.activeIn())
            + " of known rows, "
            + ReportPage.percent(last.activeOut())
            + " of outliers");
    if (last.activeIn() == 0 && last.activeOut() == 0) {
      to.println("                      neither is at work: set mol:marginIn=..:marginOut=..");
    }
    if (last.diverged() > 0) {
      to.println("episodes left out     " + last.diverged() + ", whose inner steps diverged");
    }
  }
}
