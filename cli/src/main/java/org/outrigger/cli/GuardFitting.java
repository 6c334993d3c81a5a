package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.detect.Detector;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.AutoDetector;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardBuilder;
import org.outrigger.guard.GuardInfo;
import org.outrigger.guard.Threshold;
import picocli.CommandLine;

/** Fits a guard with progress, saves it and prints how it did: for all commands that make one. */
final class GuardFitting {
  private final CommandLine line;

  GuardFitting(CommandLine line) {
    this.line = line;
  }

  /** A builder with what every command asks for. */
  static GuardBuilder builder(
      Model model, @Nullable Preprocessing steps, double accept, int batchSize, long seed) {
    return Guard.of(model).accept(accept).seed(seed).batchSize(batchSize).preprocessing(steps);
  }

  /** Says before long work what would keep a guard from being fitted. */
  static void check(String detectors, Dataset validation, double accept) {
    if (!auto(detectors)) {
      Methods.parse(Detector.class, detectors).forEach(Detector::close);
    } else if (validation.size() < AutoDetector.LEAST_ROWS && validation.size() >= 0) {
      throw new OutriggerException(
          validation.size()
              + " validation rows are too few to choose a detector by itself: name one with"
              + " --detector, or give "
              + AutoDetector.LEAST_ROWS
              + " or more.");
    }
    if (validation.size() >= 0) {
      // Half of the rows are held out.
      Threshold.requireRows(validation.size() / 2, accept);
    }
  }

  private static boolean auto(String detectors) {
    return detectors.strip().toLowerCase(Locale.ROOT).equals("auto");
  }

  /**
   * Chooses the detectors, fits and saves.
   *
   * @param detectors a list of them, or {@code auto}
   */
  void fit(
      GuardBuilder builder,
      Model model,
      Dataset validation,
      String detectors,
      int batchSize,
      long seed,
      Path out) {
    if (auto(detectors)) {
      try (Progress progress = new Progress("Choosing a detector", -1)) {
        AutoDetector.Choice choice =
            AutoDetector.choose(model, validation, batchSize, seed, progress::say);
        builder.detect(choice.detector()).selection(choice.reason());
      }
    } else {
      builder.detect(detectors);
    }
    GuardInfo info;
    try (Progress progress = new Progress("Fitting", validation.size());
        Guard guard = builder.progress(progress::to).fit(validation)) {
      guard.save(out);
      info = guard.info();
    }
    print(info, out);
  }

  private void print(GuardInfo info, Path out) {
    PrintWriter to = line.getOut();
    if (info.skipped() > 0) {
      line.getErr()
          .println(info.skipped() + " rows could not be read and were left out (--strict stops).");
    }
    if (info.selection() != null) {
      to.println(info.selection());
    }
    if (info.metrics().containsKey("accuracy")) {
      to.println("accuracy on held-out rows     " + percent(info, "accuracy"));
      to.println(
          "calibration error (ECE)       "
              + percent(info, "eceBefore")
              + (info.metrics().containsKey("eceAfter")
                  ? " before, " + percent(info, "eceAfter") + " after calibration"
                  : ""));
    } else {
      to.println("not calibrated: the data has no labels (a table needs --label)");
    }
    if (info.calibrator() != null) {
      to.println("calibrator                    " + info.calibrator().slug());
    }
    if (info.promise() != null) {
      to.println("label sets                    " + info.promise());
      to.println(
          "labels a set                  "
              + ReportPage.number(info.metrics().getOrDefault("labelSetSize", Double.NaN)));
    }
    to.println(
        "known inputs accepted         "
            + ReportPage.percent(info.threshold().accepted())
            + " (95 % interval "
            + ReportPage.percent(info.threshold().lower())
            + " to "
            + ReportPage.percent(info.threshold().upper())
            + ")");
    to.println("guard                         " + out);
  }

  private static String percent(GuardInfo info, String metric) {
    Double value = info.metrics().get(metric);
    if (value == null) {
      throw new OutriggerException("The guard has no figure " + metric + ".");
    }
    return ReportPage.percent(value);
  }
}
