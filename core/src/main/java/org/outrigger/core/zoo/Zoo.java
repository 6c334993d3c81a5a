package org.outrigger.core.zoo;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Torch;

/** The architectures by name. */
public final class Zoo {
  /** Makes the layers of one architecture. */
  @FunctionalInterface
  private interface Builder {
    Layer build(Settings settings, long[] inputShape, int classes, long seed, Rng rng);
  }

  /** What inputs an architecture takes. */
  private enum Input {
    IMAGE,
    ANY
  }

  private record Entry(
      String summary, Input input, String head, Map<String, Object> defaults, Builder builder) {}

  private static final Map<String, Entry> ENTRIES = new LinkedHashMap<>();

  static {
    ENTRIES.put(
        "mlp",
        new Entry(
            "Fully connected layers over rows or flattened images",
            Input.ANY,
            "head",
            ordered("hidden", List.of(256, 128), "activation", "relu", "dropout", 0.0),
            Mlp::build));
    ENTRIES.put(
        "recommender",
        new Entry(
            "Embeddings of categorical ids, then fully connected layers",
            Input.ANY,
            "head",
            ordered("rows", List.of(), "embedding", 8, "hidden", List.of(32, 16)),
            (settings, shape, classes, seed, rng) ->
                Recommender.build(settings, shape, classes, rng)));
    ENTRIES.put(
        "lenet",
        new Entry(
            "Two convolutions and two fully connected layers; LeCun et al. 1998, with ReLU",
            Input.IMAGE,
            "fc3",
            ordered(),
            (settings, shape, classes, seed, rng) -> LeNet.build(shape, classes, rng)));
    resNet("resnet8", "8 layers, widths 16 to 64, for small images", List.of(1, 1, 1), 16);
    resNet("resnet20", "20 layers, widths 16 to 64, for small images", List.of(3, 3, 3), 16);
    resNet("resnet18", "18 layers, widths 64 to 512, for small images", List.of(2, 2, 2, 2), 64);
    wide("wrn16-2", 16, 2);
    wide("wrn28-10", 28, 10);
    ENTRIES.put(
        "vit",
        new Entry(
            "Vision transformer of any size; Dosovitskiy et al., ICLR 2021",
            Input.IMAGE,
            "head",
            ordered("patch", 4, "width", 192, "depth", 6, "heads", 3, "mlp", 4.0, "dropout", 0.0),
            VisionTransformer::new));
    ENTRIES.put(
        "multimodal",
        new Entry(
            "Two or three modalities in one input, each with an encoder and a head, and a joint"
                + " head",
            Input.ANY,
            "head",
            ordered("parts", "", "encoders", "mlp", "frozen", "evaluation"),
            MultiModal::build));
    ENTRIES.put(
        "clip",
        new Entry(
            "CLIP's image tower with class weights from texts; Radford et al., ICML 2021",
            Input.IMAGE,
            "head",
            ordered(
                "patch",
                4,
                "width",
                192,
                "hidden",
                768,
                "layers",
                6,
                "heads",
                3,
                "activation",
                "quick_gelu",
                "epsilon",
                1e-5,
                "projection",
                128,
                "no",
                false),
            (settings, shape, classes, seed, rng) ->
                ZeroShotNetwork.build(settings, shape, classes, rng)));
  }

  private Zoo() {}

  private static void resNet(String name, String summary, List<Integer> blocks, int width) {
    ENTRIES.put(
        name,
        new Entry(
            "Residual network, " + summary + "; He et al., CVPR 2016",
            Input.IMAGE,
            "fc",
            ordered("width", width),
            (settings, shape, classes, seed, rng) ->
                ResNet.build(
                    Math.toIntExact(shape[0]), blocks, settings.integer("width"), classes, rng)));
  }

  private static void wide(String name, int depth, int widen) {
    ENTRIES.put(
        name,
        new Entry(
            "Wide residual network, depth "
                + depth
                + ", width x"
                + widen
                + "; Zagoruyko and Komodakis, BMVC 2016",
            Input.IMAGE,
            "fc",
            ordered("dropout", 0.0),
            (settings, shape, classes, seed, rng) ->
                WideResNet.build(
                    Math.toIntExact(shape[0]),
                    depth,
                    widen,
                    settings.number("dropout"),
                    classes,
                    seed,
                    rng)));
  }

  private static Map<String, Object> ordered(Object... pairs) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      map.put((String) pairs[i], pairs[i + 1]);
    }
    return map;
  }

  /** The names of all architectures. */
  public static List<String> names() {
    return List.copyOf(ENTRIES.keySet());
  }

  /** One line on an architecture. */
  public static String summary(String name) {
    return entry(name).summary;
  }

  /** The settings of an architecture with their defaults. */
  public static Map<String, Object> defaults(String name) {
    return new LinkedHashMap<>(entry(name).defaults);
  }

  /**
   * Makes a network with drawn weights.
   *
   * @param name one of {@link #names()}
   * @param settings what differs from the defaults; texts are converted
   * @param inputShape of one row: [C, H, W], or [D] for an {@code mlp}
   * @param classes the number of outputs
   * @param seed of the weights (and, mixed, of its dropout)
   * @throws OutriggerException if the name or a setting is unknown (with the nearest names), or a
   *     value is out of range
   */
  public static Network create(
      String name, Map<String, ?> settings, long[] inputShape, int classes, long seed) {
    String key = name.toLowerCase(Locale.ROOT);
    Entry entry = entry(key);
    Settings all = Settings.of(key, entry.defaults, settings);
    HyperParameter.atLeast("classes", classes, 1);
    if (inputShape.length == 0 || Arrays.stream(inputShape).anyMatch(size -> size < 1)) {
      throw new OutriggerException(
          "The input shape " + Arrays.toString(inputShape) + " is not [C, H, W] or [D].");
    }
    if (entry.input == Input.IMAGE && inputShape.length != 3) {
      throw new OutriggerException(
          "Architecture "
              + key
              + " takes images [C, H, W], not rows of shape "
              + Arrays.toString(inputShape)
              + "; mlp takes any shape.");
    }
    try (Rng rng = Rng.named(seed, "weights")) {
      Layer root =
          Torch.call(
              "Architecture "
                  + key
                  + " could not be built with "
                  + all.values()
                  + ", input shape "
                  + Arrays.toString(inputShape)
                  + " and "
                  + classes
                  + " classes: it may be too large for the memory.",
              () -> entry.builder.build(all, inputShape, classes, seed, rng));
      return new Network(
          root,
          entry.head,
          new Architecture(key, all.values(), Architecture.shape(inputShape), classes));
    }
  }

  /** Makes the network that an architecture describes, with drawn weights. */
  public static Network create(Architecture architecture, long seed) {
    return create(
        architecture.name(),
        architecture.settings(),
        architecture.shape(),
        architecture.classes(),
        seed);
  }

  /**
   * Renames the keys of a PyTorch state dict to this network's where other code uses other names:
   * drops a {@code module.} or {@code model.} prefix, and takes {@code linear} and {@code
   * classifier} for {@code fc} or {@code head}, and {@code shortcut} for {@code downsample}.
   */
  public static Map<String, Tensor> canonical(Layer root, Map<String, Tensor> state) {
    return StateNames.canonical(root.stateDict().keySet(), state);
  }

  private static Entry entry(String name) {
    Entry entry = ENTRIES.get(name.toLowerCase(Locale.ROOT));
    if (entry == null) {
      List<String> near = Methods.nearest(name, ENTRIES.keySet());
      throw new OutriggerException(
          "There is no architecture called '"
              + name
              + "'."
              + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
              + " All: "
              + String.join(", ", ENTRIES.keySet())
              + ".");
    }
    return entry;
  }
}
