package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Identity;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.zoo.MultiModal;

/**
 * Joins two or three models as the encoders of one network over several modalities, whose heads are
 * new: their features are put side by side. It takes rows as {@code IndexedDataset.pack} makes
 * them, the modalities in the same order.
 *
 * <pre>{@code
 * NeuralModel both =
 *     new Fusion().add("vision", resnet).add("audio", spectrogramNet).build(10, seed);
 * }</pre>
 *
 * <p>Models of the zoo are trained on, unless their parameters are frozen, and the network can be
 * saved if all are of the zoo. Other models, such as TorchScript and ONNX files, give frozen
 * features; to save a network over those, let them encode the data once and train the encoder
 * {@code none} on their features.
 */
public final class Fusion {
  @SuppressWarnings("ArrayRecordComponent")
  private record Part(String name, Model model, long[] shape) {}

  private final List<Part> parts = new ArrayList<>();

  /** Adds a network, whose head will not be used; what is built owns it. */
  public Fusion add(String name, NeuralModel model) {
    return add(name, model, model.inputShape());
  }

  /**
   * Adds a model of any kind that gives features; what is built owns it.
   *
   * @param shape of one input row: [C, H, W] or [D]
   */
  public Fusion add(String name, Model model, long... shape) {
    parts.add(new Part(name, model, shape.clone()));
    return this;
  }

  /**
   * Builds the network.
   *
   * @param classes of all heads
   * @param seed of the heads' weights
   * @throws OutriggerException if there are not two or three, a shape is open, or a model gives no
   *     features
   */
  public NeuralModel build(int classes, long seed) {
    String described =
        parts.stream()
            .map(part -> part.name + ":" + text(part.shape))
            .collect(Collectors.joining("+"));
    boolean zoo =
        parts.stream()
            .allMatch(part -> part.model instanceof NeuralModel n && !n.architecture().isEmpty());
    return zoo ? ofZoo(described, classes, seed) : ofLayers(described, classes, seed);
  }

  private long columns() {
    return parts.stream()
        .mapToLong(part -> Arrays.stream(part.shape).reduce(1, Math::multiplyExact))
        .sum();
  }

  private static String text(long[] shape) {
    return Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining("x"));
  }

  private NeuralModel ofZoo(String described, int classes, long seed) {
    List<String> encoders = new ArrayList<>();
    Map<String, Tensor> state = new LinkedHashMap<>();
    List<String> frozen = new ArrayList<>();
    for (Part part : parts) {
      NeuralModel model = (NeuralModel) part.model;
      StringBuilder encoder = new StringBuilder(model.name());
      if (model.architecture().get("settings") instanceof Map<?, ?> settings) {
        settings.forEach(
            (key, value) -> encoder.append(':').append(key).append('=').append(plain(value)));
      }
      encoders.add(encoder.toString());
      String prefix = "encoders." + part.name + ".";
      model
          .root()
          .stateDict()
          .forEach(
              (name, tensor) -> {
                if (!name.startsWith(model.headPath() + ".")) {
                  state.put(prefix + name, tensor);
                }
              });
      model
          .root()
          .parameters()
          .forEach(
              (name, tensor) -> {
                if (!tensor.requires_grad() && state.containsKey(prefix + name)) {
                  frozen.add(prefix + name);
                }
              });
    }
    NeuralModel joint =
        NeuralModel.create(
            "multimodal",
            Map.of("parts", described, "encoders", String.join("+", encoders)),
            new long[] {columns()},
            classes,
            seed);
    Map<String, Tensor> all = new LinkedHashMap<>(joint.root().stateDict());
    all.putAll(state);
    joint.root().loadStateDict(all, true);
    frozen.forEach(name -> joint.root().freeze(name));
    parts.forEach(part -> part.model.close());
    return joint;
  }

  private static String plain(Object value) {
    return value instanceof List<?> list
        ? list.stream().map(String::valueOf).collect(Collectors.joining("x"))
        : String.valueOf(value);
  }

  private NeuralModel ofLayers(String described, int classes, long seed) {
    Map<String, Layer> encoders = new LinkedHashMap<>();
    List<Long> widths = new ArrayList<>();
    for (Part part : parts) {
      widths.add(width(part));
    }
    for (Part part : parts) {
      encoders.put(part.name, encoder(part.model));
    }
    return NeuralModel.of(
        "multimodal",
        MultiModal.of(described, encoders, widths, classes, seed),
        "head",
        new long[] {columns()},
        List.of());
  }

  /** How many features a model gives, seen on a row of zeros. */
  private static long width(Part part) {
    if (Arrays.stream(part.shape).anyMatch(size -> size < 1)) {
      throw new OutriggerException(
          "The modality '" + part.name + "' takes inputs of any size: name one when you add it.");
    }
    return Scopes.scoped(
        () -> {
          long[] shape = new long[part.shape.length + 1];
          shape[0] = 1;
          System.arraycopy(part.shape, 0, shape, 1, part.shape.length);
          Tensor zeros = torch.zeros(shape, new TensorOptions(ScalarType.Float));
          return part.model.predict(zeros).features().size(1);
        });
  }

  private static Layer encoder(Model model) {
    if (model instanceof NeuralModel network && network.headPath().indexOf('.') < 0) {
      network.root().replace(network.headPath(), new Identity()).close();
      return network.root();
    }
    return new ModelLayer(model);
  }
}
