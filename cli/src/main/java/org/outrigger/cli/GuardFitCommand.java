package org.outrigger.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.model.Model;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.AutoDetector;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardBuilder;
import org.outrigger.guard.GuardInfo;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Fits a guard. */
@Command(
    name = "fit",
    mixinStandardHelpOptions = true,
    description = {
      "Fits a guard around a model: detectors, calibration and the threshold, on validation data",
      "that the model was not trained on."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger guard fit --model resnet.pt --data validation/ --out resnet.guard",
      "  outrigger guard fit --model mlp.onnx --data rows.csv --label species --out mlp.guard",
      "  outrigger guard fit --model resnet.pt --data val/ --detector knn:k=20,energy \\",
      "      --train-data train/ --accept 0.99 --out resnet.guard",
      "",
      "'auto' compares detectors on generated unknown inputs, made from the validation data alone;",
      "'outrigger methods' lists all detectors."
    })
final class GuardFitCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file.")
  private Path file;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "Validation data: one folder of images a class, or a table with --label.")
  private Path data;

  @Option(
      names = "--train-data",
      paramLabel = "PATH",
      description = "Fit the detectors on this data instead of half of the validation data.")
  private @Nullable Path train;

  @Option(
      names = {"--detector", "--detectors"},
      paramLabel = "NAME,...",
      defaultValue = "auto",
      description = "auto, or detectors with settings; ${DEFAULT-VALUE} by default.")
  private String detector;

  @Option(
      names = "--accept",
      paramLabel = "SHARE",
      defaultValue = "0.95",
      description = "The share of known inputs to accept; ${DEFAULT-VALUE} by default.")
  private double accept;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "Where the guard is saved.")
  private Path out;

  @Option(names = "--no-calibration", description = "Keep the model's own probabilities.")
  private boolean uncalibrated;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the split; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    device.apply();
    try (Model opened = model.open(file, device)) {
      Preprocessing steps = reading.preprocessing();
      Dataset validation = reading.open(data, ModelArguments.classNames(opened), null);
      GuardBuilder builder =
          Guard.of(opened).accept(accept).seed(seed).batchSize(batchSize).preprocessing(steps);
      if (uncalibrated) {
        builder.calibrate(null);
      }
      if (train != null) {
        builder.fitDetectorsOn(reading.open(train, validation.classNames(), null, "train"));
      }
      if (detector.strip().toLowerCase(Locale.ROOT).equals("auto")) {
        try (Progress progress = new Progress("Choosing a detector", -1)) {
          AutoDetector.Choice choice =
              AutoDetector.choose(opened, validation, batchSize, seed, progress::say);
          builder.detect(choice.detector()).selection(choice.reason());
        }
      } else {
        builder.detect(detector);
      }
      try (Progress progress = new Progress("Fitting", validation.size());
          Guard guard = builder.progress(progress::to).fit(validation)) {
        guard.save(out);
        progress.close();
        print(guard.info());
      }
    }
  }

  private void print(GuardInfo info) {
    var to = spec.commandLine().getOut();
    if (info.skipped() > 0) {
      spec.commandLine()
          .getErr()
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
