package org.outrigger.core.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.zoo.Architecture;
import org.outrigger.core.zoo.ClipConfig;
import org.outrigger.core.zoo.ClipText;
import org.outrigger.core.zoo.ClipVision;
import org.outrigger.core.zoo.Network;
import org.outrigger.core.zoo.TextTower;
import org.outrigger.core.zoo.ZeroShotNetwork;
import org.outrigger.core.zoo.Zoo;

/**
 * An image tower and a text tower that were trained to map an image and its caption to the same
 * direction. From the names of classes it makes a classifier, {@link #zeroShot}. Radford et al.,
 * "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
 */
public final class DualEncoder implements AutoCloseable {
  /** Logit scales are clamped to [1, 100], as in training. */
  private static final double MOST = Math.log(100);

  private final String name;
  private final Layer image;
  private final TextTower text;
  private final long[] inputShape;
  private final double scale;
  private final @Nullable ClipConfig config;

  private DualEncoder(
      String name,
      Layer image,
      TextTower text,
      long[] inputShape,
      double logScale,
      @Nullable ClipConfig config) {
    this.name = name;
    this.image = image;
    this.text = text;
    this.inputShape = inputShape.clone();
    this.scale = Math.exp(Math.max(0, Math.min(MOST, logScale)));
    this.config = config;
  }

  /**
   * Two towers of one's own, which it then owns.
   *
   * @param name what it is called in reports
   * @param image inputs [N, ...] to [N, P]
   * @param text tokens [N, L] to [N, P]
   * @param inputShape of one image, [C, H, W]
   * @param logScale the logarithm of the factor on cosines that it was trained with
   */
  public static DualEncoder of(
      String name, Layer image, TextTower text, long[] inputShape, double logScale) {
    if (!Double.isFinite(logScale)) {
      throw new OutriggerException("The logarithm of the logit scale is " + logScale + ".");
    }
    return new DualEncoder(name, image, text, inputShape, logScale, null);
  }

  /** CLIP of these sizes with drawn weights and the scale that training starts at. */
  public static DualEncoder create(ClipConfig config, long seed) {
    return create("clip", config, Math.log(1 / 0.07), seed);
  }

  private static DualEncoder create(String name, ClipConfig config, double logScale, long seed) {
    try (Rng rng = Rng.named(seed, "weights")) {
      return new DualEncoder(
          name,
          new ClipVision(config, rng),
          new ClipText(config, rng),
          new long[] {config.channels(), config.image(), config.image()},
          logScale,
          config);
    }
  }

  /**
   * Opens CLIP from a folder in Hugging Face's layout: {@code config.json} and {@code
   * model.safetensors}, such as openai/clip-vit-base-patch32.
   *
   * @throws OutriggerException if a file is missing or damaged, or the weights do not fit the sizes
   */
  public static DualEncoder load(Path folder) {
    ClipConfig config = ClipConfig.read(folder.resolve("config.json"));
    Path file = folder.resolve("model.safetensors");
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException(
          "There is no file "
              + file
              + ": save the model as one file of safetensors (in Python:"
              + " model.save_pretrained(FOLDER, max_shard_size=\"100GB\")).");
    }
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> state = new LinkedHashMap<>(Safetensors.read(file));
          state.keySet().removeIf(key -> key.endsWith(".position_ids"));
          Tensor scale = state.remove("logit_scale");
          if (scale == null || scale.numel() != 1) {
            throw new OutriggerException(file + " lacks the number logit_scale: is it CLIP?");
          }
          String name = String.valueOf(folder.toAbsolutePath().normalize().getFileName());
          DualEncoder made = create(name, config, scale.item_double(), 0);
          try {
            made.fill(file, state);
            return made;
          } catch (RuntimeException e) {
            made.close();
            throw e;
          }
        });
  }

  private void fill(Path file, Map<String, Tensor> state) {
    Map<String, Tensor> rest = new LinkedHashMap<>(state);
    for (Layer tower : List.of(image, text)) {
      Map<String, Tensor> own = new LinkedHashMap<>(state);
      own.keySet().retainAll(tower.stateDict().keySet());
      tower.loadStateDict(own, true);
      rest.keySet().removeAll(own.keySet());
    }
    if (!rest.isEmpty()) {
      throw new OutriggerException(
          file
              + " holds tensors that CLIP of these sizes does not have: "
              + String.join(
                  ", ", new ArrayList<>(rest.keySet()).subList(0, Math.min(6, rest.size())))
              + (rest.size() > 6 ? " and " + (rest.size() - 6) + " more." : "."));
    }
  }

  /** What it is called in reports. */
  public String name() {
    return name;
  }

  /** The image tower: images to embeddings, not yet of unit length. */
  public Layer image() {
    return image;
  }

  /** The text tower: tokens to embeddings, not yet of unit length. */
  public TextTower text() {
    return text;
  }

  /** The shape of one image, [C, H, W]. */
  public long[] inputShape() {
    return inputShape.clone();
  }

  /** The factor on cosines that it was trained with, 1 to 100. */
  public double scale() {
    return scale;
  }

  /**
   * Embeds images, in evaluation mode and without recording gradients.
   *
   * @param images [N, C, H, W]
   * @return unit rows [N, P], owned by the enclosing scope or the caller
   */
  public Tensor images(Tensor images) {
    if (images.dim() != inputShape.length + 1
        || images.size(0) == 0
        || !Arrays.equals(
            Arrays.copyOfRange(images.shape(), 1, images.shape().length), inputShape)) {
      throw new OutriggerException(
          name
              + " takes images of shape [N, "
              + Arrays.toString(inputShape).substring(1)
              + ", but this batch has shape "
              + Arrays.toString(images.shape())
              + ".");
    }
    return Scopes.noGrad(
        () -> ZeroShotNetwork.unit(image.forward(images, ForwardContext.EVALUATION)));
  }

  /**
   * Embeds texts, in evaluation mode and without recording gradients.
   *
   * @param tokens int64 [N, L]
   * @return unit rows [N, P], owned by the enclosing scope or the caller
   */
  public Tensor texts(Tensor tokens) {
    return Scopes.noGrad(
        () -> ZeroShotNetwork.unit(text.forward(tokens, ForwardContext.EVALUATION)));
  }

  /**
   * A classifier whose logits are scaled cosines between an image and each class. Its features are
   * unit image embeddings and its last layer is linear, so every detector that wants such applies.
   * It shares nothing with this object; made of a CLIP, it can be saved.
   *
   * @param weights unit rows [C, P], see {@link ClassPrompts}
   * @param negated what a CLIPN text tower says of the same classes, unit rows [C, P]; or null
   * @param classNames one for each row
   * @param scale on the cosines, above 0; {@link #scale()} is the usual one
   * @throws OutriggerException if there are fewer than two classes, the parts disagree, or a row
   *     has not unit length
   */
  public NeuralModel zeroShot(
      Tensor weights, @Nullable Tensor negated, List<String> classNames, double scale) {
    ClassPrompts.check(weights, negated);
    if (classNames.size() != weights.size(0)) {
      throw new OutriggerException(
          "There are "
              + classNames.size()
              + " class names for "
              + weights.size(0)
              + " class weights.");
    }
    if (!(scale > 0) || Double.isInfinite(scale)) {
      throw new OutriggerException("The scale " + scale + " is no finite number above 0.");
    }
    int classes = classNames.size();
    ClipConfig sizes = config;
    if (sizes != null) {
      Shapes.check().size("P", sizes.projection(), name).tensor("The weights", weights, "C", "P");
      Network network =
          Zoo.create(
              new Architecture(
                  "clip", sizes.zooSettings(negated != null), shape(inputShape), classes),
              0);
      copy(network.root(), weights, negated, scale);
      return NeuralModel.of(network, classNames);
    }
    try (Rng rng = new Rng(0)) {
      int projection = Math.toIntExact(weights.size(1));
      Layer root = new ZeroShotNetwork(image.deepCopy(), projection, classes, negated != null, rng);
      copy(root, weights, negated, scale);
      return NeuralModel.of(name, root, "head", inputShape, classNames);
    }
  }

  private static List<Long> shape(long[] shape) {
    return Arrays.stream(shape).boxed().toList();
  }

  private void copy(Layer root, Tensor weights, @Nullable Tensor negated, double scale) {
    Scopes.run(
        () -> {
          root.get("image").loadStateDict(image.stateDict(), true);
          fill(root.get("head"), weights, scale);
          if (negated != null) {
            fill(root.get("head_no"), negated, scale);
          }
        });
  }

  private static void fill(Layer head, Tensor weights, double scale) {
    ((Linear) head).tensor("weight").detach().copy_(weights.mul(Tensors.number(scale)));
  }

  @Override
  public void close() {
    image.close();
    text.close();
  }

  @Override
  public String toString() {
    return name + "\n" + image.describe() + text.describe();
  }
}
