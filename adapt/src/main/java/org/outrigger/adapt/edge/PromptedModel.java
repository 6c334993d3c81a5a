package org.outrigger.adapt.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A frozen copy of a network that runs with a prompt. Its last dropout layer, that nearest to the
 * head, can be switched on for passes that differ; everything else stays in evaluation mode.
 */
final class PromptedModel implements AutoCloseable {
  private static final String BLOCKS = "blocks";

  /** The names under which a prompt travels and is saved. */
  static final String VALUES = "values";

  static final String PLACES = "places";

  private final UVpa.Settings settings;
  private final String digest;
  private final NeuralModel model;
  private final long[] shape;
  private final Dropout head;
  private final Tensor values;
  private final Map<String, Tensor> affine = new LinkedHashMap<>();
  private @Nullable Tensor places;
  private @Nullable TokenPrompt tokens;
  private boolean active;

  PromptedModel(UVpa.Settings settings, Model source) {
    if (!(source instanceof NeuralModel network)) {
      throw new OutriggerException(
          "U-VPA needs a network whose dropout can be switched, which the model "
              + source.name()
              + " does not offer: take a network of Outrigger's, such as a .safetensors file.");
    }
    this.settings = settings;
    shape = network.inputShape();
    if (VisualPrompt.size(shape) == 0 || (shape.length != 1 && shape.length != 3)) {
      throw new OutriggerException(
          "A prompt has the size of the inputs, but the model "
              + network.name()
              + " takes inputs of any size: name the sizes in its input shape.");
    }
    digest = ModelDigest.of(network);
    model = network.deepCopy();
    try {
      Layer root = model.root();
      root.eval();
      head = lastDropout(network.name(), root);
      try (Rng rng = Rng.named(settings.seed(), "u-vpa dropout")) {
        Scopes.run(() -> head.rng().state(rng.state()));
      }
      Map<String, Tensor> parameters = root.parameters();
      parameters.values().forEach(parameter -> parameter.requires_grad_(false));
      if (settings.modelRate() > 0) {
        for (String name : RenormalisedCopy.affineNames(network)) {
          affine.put(name, Objects.requireNonNull(parameters.get(name)).requires_grad_(true));
        }
        if (affine.isEmpty()) {
          throw new OutriggerException(
              "modelRate trains normalisation layers, but the model "
                  + network.name()
                  + " has none: set modelRate=0.");
        }
      }
      values = Scopes.scoped(() -> Scopes.own(initial()));
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  private static Dropout lastDropout(String name, Layer root) {
    Dropout last = null;
    for (Layer layer : root.layers().values()) {
      if (layer instanceof Dropout dropout && dropout.p() > 0) {
        last = dropout;
      }
    }
    if (last == null) {
      throw new OutriggerException(
          "U-VPA measures uncertainty by dropout, but the model "
              + name
              + " has no dropout layer: train it with one.");
    }
    return last;
  }

  private Tensor initial() {
    if (settings.form() == VisualPrompt.TOKENS) {
      Layer root = model.root();
      if (!root.children().containsKey(BLOCKS) || !root.has("cls_token")) {
        throw new OutriggerException(
            "A prompt of tokens needs a vision transformer, which the model "
                + model.name()
                + " is not: use form=dense.");
      }
      try (Rng rng = Rng.named(settings.seed(), "u-vpa tokens")) {
        long width = root.tensor("cls_token").size(-1);
        Tensor start = rng.normal(settings.tokens(), width).mul_(new Scalar(0.02));
        TokenPrompt prompted = new TokenPrompt(root.get(BLOCKS), start);
        root.replace(BLOCKS, prompted);
        tokens = prompted;
        return prompted.tensor("prompt");
      }
    }
    long channels = VisualPrompt.channels(shape);
    long all = VisualPrompt.size(shape) / channels;
    long count =
        switch (settings.form()) {
          case SPARSE -> VisualPrompt.count(all, settings.rho());
          case BORDER -> {
            if (shape.length != 3) {
              throw new OutriggerException(
                  "A prompt along the border needs images: use form=dense for rows.");
            }
            places = Scopes.own(VisualPrompt.border(shape[1], shape[2], settings.border()));
            yield places.size(0);
          }
          default -> all;
        };
    return torch
        .zeros(new long[] {channels, count}, new TensorOptions(torch.ScalarType.Float))
        .requires_grad_(true);
  }

  NeuralModel model() {
    return model;
  }

  /** Of the network before it was prepared. */
  String digest() {
    return digest;
  }

  /** The prompt's values, which are trained: [C, K], or [K, W] of tokens; borrowed. */
  Tensor values() {
    return values;
  }

  /** Scales and shifts that are trained, if any; borrowed. */
  Map<String, Tensor> affine() {
    return affine;
  }

  /** The generator of the dropout; borrowed. */
  Rng rng() {
    return head.rng();
  }

  /** Where a sparse prompt is; null before that was chosen. */
  @Nullable Tensor places() {
    return places;
  }

  void places(@Nullable Tensor chosen) {
    Tensor own = chosen == null ? null : Scopes.scoped(() -> Scopes.own(chosen.clone()));
    Scopes.release(places);
    places = own;
  }

  /** Whether it runs with the prompt. */
  boolean active() {
    return active;
  }

  void active(boolean on) {
    active = on;
    if (tokens != null) {
      tokens.on(on);
    }
  }

  private Tensor prompted(Tensor inputs) {
    if (!active || settings.form() == VisualPrompt.TOKENS) {
      return inputs;
    }
    if (settings.form() == VisualPrompt.DENSE) {
      return inputs.add(values.view(shape));
    }
    return places == null ? inputs : inputs.add(VisualPrompt.place(values, places, shape));
  }

  /** Predicts with the prompt. */
  Output predict(Tensor inputs) {
    check(inputs);
    try (PointerScope scope = new PointerScope()) {
      Output output = model.predict(Scopes.grad(false, () -> prompted(inputs)));
      Scopes.keep(output.logits());
      if (output.hasFeatures()) {
        Scopes.keep(output.features());
      }
      return output;
    }
  }

  /** A pass without dropout that records gradients. */
  Tensor logits(Tensor inputs) {
    return model.forward(prompted(inputs)).logits();
  }

  /** The probabilities of passes with dropout, [T, N, C]. */
  Tensor passes(Tensor inputs) {
    check(inputs);
    head.train();
    try {
      return Scopes.noGrad(
          () -> {
            Tensor shown = prompted(inputs);
            List<Tensor> passes = new ArrayList<>();
            for (int t = 0; t < settings.passes(); t++) {
              passes.add(Scopes.tensor(() -> torch.softmax(model.forward(shown).logits(), 1)));
            }
            return torch.stack(new TensorVector(passes.toArray(new Tensor[0])), 0);
          });
    } finally {
      head.eval();
    }
  }

  private void check(Tensor inputs) {
    Shapes.notEmpty("The batch", inputs);
    Shapes.finite("The batch", inputs);
    long[] got = inputs.shape();
    if (got.length != shape.length + 1
        || !Arrays.equals(Arrays.copyOfRange(got, 1, got.length), shape)) {
      // The model's own message says what fits.
      model.predict(inputs).close();
    }
  }

  /**
   * Takes over values and, for a sparse prompt, places.
   *
   * @throws OutriggerException if they do not fit; nothing has changed then
   */
  void load(Map<String, Tensor> prompt) {
    Tensor given = prompt.get(VALUES);
    Tensor where = prompt.get(PLACES);
    boolean sparse = settings.form() == VisualPrompt.SPARSE;
    if (given == null
        || !Arrays.equals(given.shape(), values.shape())
        || (where != null && (!sparse || where.dim() != 1 || where.size(0) != values.size(1)))) {
      throw new OutriggerException(
          "The prompt has shape "
              + (given == null ? "none" : Arrays.toString(given.shape()))
              + ", but "
              + Arrays.toString(values.shape())
              + " is needed: give both sides the same device model and settings.");
    }
    Shapes.finite("The prompt", given);
    if (where != null) {
      Scopes.run(() -> VisualPrompt.place(given, where, shape));
    }
    affine.forEach(
        (name, own) -> {
          Tensor weight = prompt.get(name);
          if (weight == null || !Arrays.equals(weight.shape(), own.shape())) {
            throw new OutriggerException(
                "The update lacks '" + name + "': give both sides the same modelRate.");
          }
          Shapes.finite("The parameter '" + name + "'", weight);
        });
    Scopes.run(
        () -> {
          values.detach().copy_(given);
          affine.forEach((name, own) -> own.detach().copy_(prompt.getOrDefault(name, own)));
        });
    if (sparse) {
      places(where);
    }
  }

  /** What {@link #load} takes. */
  Map<String, Tensor> contents() {
    Map<String, Tensor> contents = new LinkedHashMap<>(affine);
    contents.put(VALUES, values);
    if (settings.form() == VisualPrompt.SPARSE && places != null) {
      contents.put(PLACES, places);
    }
    return contents;
  }

  @Override
  public void close() {
    Scopes.release(values);
    Scopes.release(places);
    places = null;
    model.close();
  }
}
