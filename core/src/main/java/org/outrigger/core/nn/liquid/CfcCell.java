package org.outrigger.core.nn.liquid;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Closed-form continuous-time cell: a liquid neuron without a solver. With z the backbone of input
 * and state, the new state is {@code tanh(ff1 z) (1 - g) + g tanh(ff2 z)} with the time gate {@code
 * g = sigmoid(t time_a(z) + time_b(z))}. Hasani et al., Closed-form Continuous-time Neural
 * Networks, Nature Machine Intelligence 2022.
 *
 * <p>Parameters: {@code backbone.N}, {@code ff1}, {@code ff2}, {@code time_a}, {@code time_b};
 * {@code w_tau} and {@code A} [1, H] in place of the last three in mode {@link Mode#PURE}. The
 * output is the new state.
 */
public final class CfcCell extends LiquidCell {
  /** How the two heads meet. */
  public enum Mode {
    /** a gate moves from one head to the other with time */
    DEFAULT,
    /** the gated second head is added to the first */
    NO_GATE,
    /** the exact solution with one time constant a neuron: -A exp(-t (|w_tau| + |ff1|)) ff1 + A */
    PURE;

    /** The mode of that name in the authors' code: default, no_gate or pure. */
    public static Mode of(String name) {
      for (Mode mode : values()) {
        if (mode.name().equalsIgnoreCase(name.replace('-', '_'))) {
          return mode;
        }
      }
      throw new OutriggerException(
          "There is no CfC mode '" + name + "': default, no_gate and pure are.");
    }
  }

  /**
   * @param backboneUnits width of the shared layers, 1 or more
   * @param backboneLayers how many shared layers; 0: none
   * @param backboneDropout after the second and later ones, 0 to below 1
   */
  public record Settings(
      Mode mode,
      int backboneUnits,
      int backboneLayers,
      double backboneDropout,
      Activation.Kind activation) {
    public Settings {
      HyperParameter.atLeast("backboneUnits", backboneUnits, 1);
      HyperParameter.atLeast("backboneLayers", backboneLayers, 0);
      HyperParameter.require(
          backboneDropout >= 0 && backboneDropout < 1,
          "backboneDropout",
          backboneDropout,
          "0 to below 1");
    }

    /** The authors': one layer of 128 units. */
    public static Settings defaults() {
      return new Settings(Mode.DEFAULT, 128, 1, 0, Activation.Kind.LECUN_TANH);
    }

    public Settings withMode(Mode value) {
      return new Settings(value, backboneUnits, backboneLayers, backboneDropout, activation);
    }

    public Settings withBackbone(int units, int layers) {
      return new Settings(mode, units, layers, backboneDropout, activation);
    }

    public Settings withActivation(Activation.Kind kind) {
      return new Settings(mode, backboneUnits, backboneLayers, backboneDropout, kind);
    }
  }

  private final Settings settings;

  /** A dense cell. */
  public CfcCell(long inputs, long hidden, Settings settings, Rng rng) {
    this(inputs, hidden, settings, null, rng);
  }

  /**
   * @param mask [hidden, inputs + hidden], 0 where {@code ff1} and {@code ff2} have no synapse;
   *     null: dense. A masked cell has no backbone.
   */
  public CfcCell(long inputs, long hidden, Settings settings, @Nullable Tensor mask, Rng rng) {
    super(inputs, hidden, hidden);
    HyperParameter.atLeast("inputs", inputs, 1);
    HyperParameter.atLeast("hidden", hidden, 1);
    if (mask != null && settings.backboneLayers > 0) {
      throw new OutriggerException(
          "A cell with a sparsity mask has no backbone: set backboneLayers to 0.");
    }
    this.settings = settings;
    Scopes.run(
        () -> {
          if (mask != null) {
            buffer("sparsity_mask", mask.detach().to(ScalarType.Float).clone());
          }
          if (settings.mode == Mode.PURE) {
            // The authors draw every matrix, these two included.
            parameter("w_tau", Init.xavierUniform(rng, 1, hidden));
            parameter("A", Init.xavierUniform(rng, 1, hidden));
          }
        });
    long width = inputs + hidden;
    if (settings.backboneLayers > 0) {
      child("backbone", backbone(width, settings, rng));
      width = settings.backboneUnits;
    }
    child("ff1", xavier(width, hidden, rng));
    if (settings.mode != Mode.PURE) {
      child("ff2", xavier(width, hidden, rng));
      child("time_a", xavier(width, hidden, rng));
      child("time_b", xavier(width, hidden, rng));
    }
  }

  private static Layer backbone(long width, Settings settings, Rng rng) {
    Map<String, Layer> layers = new LinkedHashMap<>();
    long in = width;
    for (int i = 0; i < settings.backboneLayers; i++) {
      layers.put(String.valueOf(layers.size()), xavier(in, settings.backboneUnits, rng));
      layers.put(String.valueOf(layers.size()), new Activation(settings.activation));
      if (i > 0 && settings.backboneDropout > 0) {
        layers.put(
            String.valueOf(layers.size()),
            new Dropout(settings.backboneDropout, Rng.derive(rng.seed(), "backbone " + i)));
      }
      in = settings.backboneUnits;
    }
    return new Sequential(layers);
  }

  private static Linear xavier(long in, long out, Rng rng) {
    Linear linear = new Linear(in, out, rng);
    Scopes.run(
        () ->
            Scopes.grad(
                false, () -> linear.tensor("weight").copy_(Init.xavierUniform(rng, out, in))));
    return linear;
  }

  public Settings settings() {
    return settings;
  }

  @Override
  Steps advance(Tensor input, Tensor state, Tensor elapsed, ForwardContext context) {
    Tensor z = torch.cat(new TensorVector(input, state), 1);
    Layer backbone = children().get("backbone");
    if (backbone != null) {
      z = backbone.forward(z, context);
    }
    Tensor one = head("ff1", z, context);
    Tensor next;
    if (settings.mode == Mode.PURE) {
      Tensor a = context.tensor(this, "A");
      Tensor rate = context.tensor(this, "w_tau").abs().add(one.abs());
      next = a.sub(a.mul(elapsed.mul(rate).neg().exp()).mul(one));
    } else {
      Tensor gate =
          get("time_a").forward(z, context).mul(elapsed).add(get("time_b").forward(z, context));
      Tensor g = gate.sigmoid();
      Tensor first = one.tanh();
      Tensor second = g.mul(head("ff2", z, context).tanh());
      next =
          settings.mode == Mode.NO_GATE ? first.add(second) : first.sub(first.mul(g)).add(second);
    }
    return new Steps(next, next);
  }

  private Tensor head(String name, Tensor z, ForwardContext context) {
    Layer linear = get(name);
    if (!has("sparsity_mask")) {
      return linear.forward(z, context);
    }
    Tensor weight = context.tensor(linear, "weight").mul(context.tensor(this, "sparsity_mask"));
    return torch.linear(z, weight, context.optional(linear, "bias"));
  }

  @Override
  public String toString() {
    return "CfcCell("
        + inputs()
        + " -> "
        + stateSize()
        + ", "
        + settings.mode.name().toLowerCase(Locale.ROOT)
        + (has("sparsity_mask") ? ", sparse)" : ")");
  }
}
