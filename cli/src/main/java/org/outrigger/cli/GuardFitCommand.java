package org.outrigger.cli;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.model.Model;
import org.outrigger.guard.GuardBuilder;
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
      "Fits a guard around a model.",
      "Detectors, calibration and the threshold are fitted on validation data that the model was"
          + " not trained on."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger guard fit --model resnet.pt --data validation/ --out resnet.guard",
      "  outrigger guard fit --model mlp.onnx --data rows.csv --label species \\",
      "      --out mlp.guard",
      "  outrigger guard fit --model resnet.pt --data val/ --detector knn:k=20,energy \\",
      "      --train-data train/ --accept 0.99 --out resnet.guard",
      "  outrigger guard fit --model resnet.pt --data val/ --adapter eata:beta=0 \\",
      "      --out resnet.guard",
      "  outrigger guard fit --model resnet.pt --data val/ --calibrator auto \\",
      "      --label-sets raps:alpha=0.05 --out resnet.guard",
      "",
      "'auto' compares detectors on generated unknown inputs, made from the validation data alone;"
          + " 'outrigger methods' lists all detectors."
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
      names = "--adapter",
      paramLabel = "STACK",
      description =
          "Follow the stream with this adapter, such as eata or label-shift-adapter/tent; it"
              + " stands on a safety net.")
  private @Nullable String adapter;

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

  @Option(
      names = "--calibrator",
      paramLabel = "NAME",
      description =
          "What makes the probabilities honest, such as temperature or vector-scaling:l2=0.01; auto"
              + " chooses by cross-validation. Temperature scaling by default.")
  private @Nullable String calibrator;

  @Option(
      names = "--label-sets",
      paramLabel = "NAME",
      description =
          "Also name the labels that are possible, with a promised probability that the true one is"
              + " among them: such as lac, aps or raps:alpha=0.05.")
  private @Nullable String labelSets;

  @Option(
      names = "--target",
      paramLabel = "PATH",
      description =
          "Unlabelled data of the kind the guard will see, for label sets that correct a shift.")
  private @Nullable Path target;

  @Option(names = "--no-calibration", description = "Keep the model's own probabilities.")
  private boolean uncalibrated;

  @Option(
      names = "--reference-rows",
      paramLabel = "N",
      defaultValue = "1000",
      description =
          "Held-out rows that are kept with the guard, for 'outrigger monitor' to compare later"
              + " traffic with; 0 for none, ${DEFAULT-VALUE} by default.")
  private int referenceRows;

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
      Dataset validation = reading.open(data, ModelArguments.classNames(opened), null);
      GuardBuilder builder =
          GuardFitting.builder(opened, reading.preprocessing(), accept, batchSize, seed);
      builder.referenceRows(referenceRows);
      if (adapter != null) {
        builder.adapt(adapter);
      }
      if (uncalibrated) {
        if (calibrator != null) {
          throw new OutriggerException("--calibrator and --no-calibration exclude each other.");
        }
        builder.uncalibrated();
      }
      if (calibrator != null) {
        builder.calibrate(calibrator);
      }
      if (labelSets != null) {
        builder.labelSets(labelSets);
      }
      if (target != null) {
        builder.target(
            reading.open(
                target, validation.classNames(), null, "test", validation.featureColumns()));
      }
      if (train != null) {
        builder.fitDetectorsOn(
            reading.open(
                train, validation.classNames(), null, "train", validation.featureColumns()));
      }
      new GuardFitting(spec.commandLine())
          .fit(builder, opened, validation, detector, batchSize, seed, out);
    }
  }
}
