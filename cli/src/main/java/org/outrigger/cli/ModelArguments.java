package org.outrigger.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.NeuralModel;
import picocli.CommandLine.Option;

/** What a model's file does not say itself; the same options for every command that opens one. */
final class ModelArguments {
  @Option(
      names = "--features-at",
      paramLabel = "NAME",
      description = "Where the penultimate features are: a submodule, an output or a value.")
  private @Nullable String features;

  @Option(
      names = "--head",
      paramLabel = "NAME",
      description = "The last linear layer; found by itself where the file shows it.")
  private @Nullable String head;

  @Option(
      names = "--logits",
      paramLabel = "NAME",
      description = "The output that holds the logits, where a model has several.")
  private @Nullable String logits;

  @Option(
      names = "--input",
      paramLabel = "NAME",
      description = "The input that takes the batch, where a model has several.")
  private @Nullable String input;

  @Option(
      names = "--arch",
      paramLabel = "NAME",
      description = "For bare safetensors weights: mlp, lenet, resnet8, resnet18, resnet20, ...")
  private @Nullable String architecture;

  @Option(
      names = "--arch-setting",
      paramLabel = "KEY=VALUE",
      description = "A setting of --arch that differs from its default.")
  private Map<String, String> settings = Map.of();

  @Option(
      names = "--input-shape",
      paramLabel = "CxHxW",
      description = "For --arch: the shape of one input, such as 3x32x32 or 20.")
  private @Nullable String shape;

  @Option(names = "--classes", paramLabel = "N", description = "For --arch: how many classes.")
  private int classes;

  /** Opens the model on a device. */
  Model open(Path file, Device device) {
    ModelFiles.Options options =
        ModelFiles.Options.defaults()
            .withPlaces(features, head, logits)
            .withInput(input)
            .withDevice(device.name())
            .withThreads(device.threads());
    if (architecture != null) {
      options = options.withArchitecture(architecture, settings, shape(), classes);
    }
    return ModelFiles.open(file, options);
  }

  /** The model's classes in its order, where its file says them; otherwise empty. */
  static List<String> classNames(Model model) {
    return model instanceof NeuralModel network ? network.classNames() : List.of();
  }

  /** The shape of one input, or empty. */
  long[] shape() {
    if (shape == null) {
      return new long[0];
    }
    if (!shape.matches("\\d{1,9}(x\\d{1,9})*")) {
      throw new OutriggerException(
          "--input-shape '" + shape + "' is no shape: write it as 3x32x32 or 20.");
    }
    return Arrays.stream(shape.split("x", -1)).mapToLong(Long::parseLong).toArray();
  }
}
