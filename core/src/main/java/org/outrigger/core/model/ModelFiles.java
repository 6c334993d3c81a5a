package org.outrigger.core.model;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.zoo.Zoo;

/** Opens a model file of any format that is on the class path, chosen by what the file holds. */
public final class ModelFiles {
  /** Names that the last layer has in PyTorch code. */
  private static final List<String> HEADS =
      List.of("head", "fc", "fc3", "linear", "classifier", "module.fc", "module.linear");

  private ModelFiles() {}

  /**
   * What a file does not say itself; null, 0 or empty means to find it out.
   *
   * @param features where the features are: see {@link TorchScriptModel.Options}; for ONNX the name
   *     of a value
   * @param head the layer whose input are the features
   * @param logits the output that holds the logits
   * @param input the input that takes the batch, where a model has several
   * @param architecture a name from {@link Zoo#names()}, for a safetensors file of bare weights
   * @param settings what differs from the architecture's defaults
   * @param inputShape of one row, [C, H, W] or [D], for bare weights
   * @param classes for bare weights
   * @param device see {@link org.outrigger.core.torch.Torch#device}
   * @param threads for runtimes with threads of their own
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Options(
      @Nullable String features,
      @Nullable String head,
      @Nullable String logits,
      @Nullable String input,
      @Nullable String architecture,
      Map<String, String> settings,
      long[] inputShape,
      int classes,
      String device,
      int threads) {
    public Options {
      settings = Map.copyOf(settings);
      inputShape = inputShape.clone();
    }

    public static Options defaults() {
      return new Options(null, null, null, null, null, Map.of(), new long[0], 0, "cpu", 0);
    }

    /** With places in the model: each may be null. */
    public Options withPlaces(
        @Nullable String where, @Nullable String layer, @Nullable String output) {
      return new Options(
          where,
          layer,
          output,
          input,
          architecture,
          settings,
          inputShape,
          classes,
          device,
          threads);
    }

    /** With the name of the input that takes the batch. */
    public Options withInput(@Nullable String name) {
      return new Options(
          features,
          head,
          logits,
          name,
          architecture,
          settings,
          inputShape,
          classes,
          device,
          threads);
    }

    /** With the architecture that bare weights belong to. */
    public Options withArchitecture(
        String name, Map<String, String> changes, long[] shape, int classCount) {
      return new Options(
          features, head, logits, input, name, changes, shape, classCount, device, threads);
    }

    public Options withDevice(String name) {
      return new Options(
          features,
          head,
          logits,
          input,
          architecture,
          settings,
          inputShape,
          classes,
          name,
          threads);
    }

    public Options withThreads(int count) {
      return new Options(
          features,
          head,
          logits,
          input,
          architecture,
          settings,
          inputShape,
          classes,
          device,
          count);
    }
  }

  /** Opens a file that says all that is needed. */
  public static Model open(Path file) {
    return open(file, Options.defaults());
  }

  /**
   * Opens a file.
   *
   * @throws OutriggerException if it is missing, damaged, or of no format that is known
   */
  public static Model open(Path file, Options options) {
    if (!Files.exists(file)) {
      throw new OutriggerException("There is no file " + file + ": check the path of the model.");
    }
    if (Files.isDirectory(file)) {
      throw new OutriggerException(
          file + " is a folder: name the model file itself (.pt, .safetensors or .onnx).");
    }
    byte[] start;
    try (InputStream in = Files.newInputStream(file)) {
      start = in.readNBytes(16);
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: " + e.getMessage(), e);
    }
    String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
    List<ModelOpener> openers = openers();
    for (ModelOpener opener : openers) {
      if (opener.opens(name, start)) {
        return opener.open(file, options);
      }
    }
    if (name.endsWith(".onnx")) {
      throw new OutriggerException(
          file + " is an ONNX model: put the module outrigger-onnx on the class path to open it.");
    }
    throw new OutriggerException(
        file
            + (start.length == 0 ? " is empty" : " is no model that Outrigger knows")
            + ". It opens "
            + openers.stream().map(ModelOpener::format).collect(Collectors.joining(", "))
            + ".");
  }

  /** The formats that can be opened here. */
  public static List<String> formats() {
    return openers().stream().map(ModelOpener::format).toList();
  }

  private static List<ModelOpener> openers() {
    List<ModelOpener> openers = new ArrayList<>(List.of(new TorchScript(), new Weights()));
    ServiceLoader.load(ModelOpener.class, ModelFiles.class.getClassLoader()).forEach(openers::add);
    return openers;
  }

  private static final class TorchScript implements ModelOpener {
    @Override
    public String format() {
      return "TorchScript (.pt)";
    }

    @Override
    public boolean opens(String fileName, byte[] start) {
      return (start.length > 1 && start[0] == 'P' && start[1] == 'K')
          || fileName.matches(".*\\.(pt|pth|ts|torchscript|ckpt|bin)");
    }

    @Override
    public Model open(Path file, Options options) {
      return TorchScriptModel.load(
          file,
          new TorchScriptModel.Options(
              options.features(), options.head(), options.logits(), options.device()));
    }
  }

  private static final class Weights implements ModelOpener {
    @Override
    public String format() {
      return "safetensors (.safetensors)";
    }

    @Override
    public boolean opens(String fileName, byte[] start) {
      return fileName.endsWith(".safetensors") || (start.length > 8 && start[8] == '{');
    }

    @Override
    public Model open(Path file, Options options) {
      String architecture = options.architecture();
      if (architecture == null) {
        return NeuralModel.load(file);
      }
      if (options.inputShape().length == 0) {
        throw new OutriggerException(
            "The input shape of "
                + architecture
                + " is not in "
                + file
                + ": give it, as channels, height and width or as the number of columns.");
      }
      return NeuralModel.load(
          file,
          architecture,
          options.settings(),
          options.inputShape(),
          options.classes() > 0 ? options.classes() : classes(file),
          List.of());
    }

    private static int classes(Path file) {
      try (Safetensors weights = Safetensors.open(file)) {
        for (String head : HEADS) {
          String name = head + ".weight";
          if (weights.names().contains(name) && weights.shape(name).length == 2) {
            return Math.toIntExact(weights.shape(name)[0]);
          }
        }
      }
      throw new OutriggerException(
          "The number of classes cannot be told from the weights in " + file + ": give it.");
    }
  }
}
