package org.outrigger.core.nn.liquid;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Liquid time-constant cell: neurons with conductance-based synapses, {@code cm dv/dt = gleak
 * (vleak - v) + sum_i w_i sigmoid(sigma_i (v_i - mu_i)) (erev_i - v)}, so that the speed of a
 * neuron depends on its inputs. A step takes {@code odeUnfolds} semi-implicit Euler steps, which
 * are stable for any elapsed time. Hasani et al., Liquid Time-constant Networks, AAAI 2021.
 *
 * <p>Parameters: {@code gleak, vleak, cm} [U]; {@code w, sigma, mu, erev} [U, U] from source to
 * destination; the same with {@code sensory_} [I, U]; the affine maps {@code input_w, input_b} [I]
 * and {@code output_w, output_b} [M]. Reversal potentials {@code erev} start at the wiring's
 * polarity and are trained; the masks are not. The output is the mapped state of the first M
 * neurons.
 */
public final class LtcCell extends LiquidCell {
  /** How inputs and outputs are mapped, each value by itself. */
  public enum Mapping {
    /** times a weight plus a bias */
    AFFINE,
    /** times a weight */
    LINEAR,
    /** as they are */
    NONE
  }

  /**
   * @param odeUnfolds solver steps within one step, 1 or more; 6 in the authors' code
   * @param epsilon guards the denominator; 1e-8
   * @param implicit whether leaks, capacitances and weights pass through a softplus; otherwise they
   *     stay at 0 or more only if {@link #constrain} is called after each step of an optimiser
   */
  public record Settings(
      int odeUnfolds, double epsilon, boolean implicit, Mapping input, Mapping output) {
    public Settings {
      HyperParameter.atLeast("odeUnfolds", odeUnfolds, 1);
      HyperParameter.notNegative("epsilon", epsilon);
    }

    public static Settings defaults() {
      return new Settings(6, 1e-8, false, Mapping.AFFINE, Mapping.AFFINE);
    }

    public Settings withImplicit(boolean softplus) {
      return new Settings(odeUnfolds, epsilon, softplus, input, output);
    }
  }

  private final Settings settings;

  /**
   * @param rng of the starting weights, uniform in the authors' ranges
   */
  public LtcCell(Wiring wiring, Settings settings, Rng rng) {
    super(wiring.inputs(), wiring.motors(), wiring.units());
    this.settings = settings;
    long u = wiring.units();
    long i = wiring.inputs();
    Scopes.run(
        () -> {
          parameter("gleak", between(rng, 0.001, 1, u));
          parameter("vleak", between(rng, -0.2, 0.2, u));
          parameter("cm", between(rng, 0.4, 0.6, u));
          parameter("sigma", between(rng, 3, 8, u, u));
          parameter("mu", between(rng, 0.3, 0.8, u, u));
          parameter("w", between(rng, 0.001, 1, u, u));
          parameter("erev", wiring.adjacency().to(ScalarType.Float));
          parameter("sensory_sigma", between(rng, 3, 8, i, u));
          parameter("sensory_mu", between(rng, 0.3, 0.8, i, u));
          parameter("sensory_w", between(rng, 0.001, 1, i, u));
          parameter("sensory_erev", wiring.sensoryAdjacency().to(ScalarType.Float));
          buffer("sparsity_mask", wiring.adjacency().abs().to(ScalarType.Float));
          buffer("sensory_sparsity_mask", wiring.sensoryAdjacency().abs().to(ScalarType.Float));
          mapping("input", settings.input, i);
          mapping("output", settings.output, wiring.motors());
        });
  }

  private void mapping(String name, Mapping mapping, long size) {
    if (mapping != Mapping.NONE) {
      parameter(name + "_w", Init.ones(size));
    }
    if (mapping == Mapping.AFFINE) {
      parameter(name + "_b", Init.zeros(size));
    }
  }

  private static Tensor between(Rng rng, double low, double high, long... shape) {
    return rng.fillUniform(
        torch.empty(shape, new TensorOptions(ScalarType.Float), null), low, high);
  }

  public Settings settings() {
    return settings;
  }

  @Override
  Steps advance(Tensor input, Tensor state, Tensor elapsed, ForwardContext context) {
    Tensor u = mapped("input", input, context);
    Tensor erev = context.tensor(this, "erev");
    Tensor sigma = context.tensor(this, "sigma");
    Tensor mu = context.tensor(this, "mu");
    Tensor w = positive("w", context).mul(context.tensor(this, "sparsity_mask"));
    Tensor leak = positive("gleak", context);
    // The input is held during the step.
    Tensor sensory =
        activation(
            u,
            context.tensor(this, "sensory_sigma"),
            context.tensor(this, "sensory_mu"),
            positive("sensory_w", context).mul(context.tensor(this, "sensory_sparsity_mask")));
    Tensor numerator =
        sensory
            .mul(context.tensor(this, "sensory_erev"))
            .sum(1)
            .add(leak.mul(context.tensor(this, "vleak")));
    Tensor c = positive("cm", context).div(elapsed.div(new Scalar(settings.odeUnfolds)));
    Tensor denominator = sensory.sum(1).add(leak).add(c).add(new Scalar(settings.epsilon));
    Tensor v = state;
    for (int k = 0; k < settings.odeUnfolds; k++) {
      Tensor synapses = activation(v, sigma, mu, w);
      v =
          c.mul(v)
              .add(numerator)
              .add(synapses.mul(erev).sum(1))
              .div(denominator.add(synapses.sum(1)));
    }
    return new Steps(mapped("output", v.narrow(1, 0, outputs()), context), v);
  }

  /** The conductance of each synapse: [B, from] to [B, from, to]. */
  private static Tensor activation(Tensor v, Tensor sigma, Tensor mu, Tensor weight) {
    return v.unsqueeze(2).sub(mu).mul(sigma).sigmoid().mul(weight);
  }

  private Tensor positive(String name, ForwardContext context) {
    Tensor value = context.tensor(this, name);
    return settings.implicit ? torch.softplus(value) : value;
  }

  private Tensor mapped(String name, Tensor x, ForwardContext context) {
    Tensor scaled = has(name + "_w") ? x.mul(context.tensor(this, name + "_w")) : x;
    return has(name + "_b") ? scaled.add(context.tensor(this, name + "_b")) : scaled;
  }

  /** Leaks, capacitances and weights below 0 become 0, unless a softplus keeps them positive. */
  @Override
  public void constrain() {
    if (settings.implicit) {
      return;
    }
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  for (String name : List.of("gleak", "cm", "w", "sensory_w")) {
                    tensor(name).relu_();
                  }
                  return true;
                }));
  }

  @Override
  public String toString() {
    return "LtcCell(" + inputs() + " -> " + stateSize() + " -> " + outputs() + ")";
  }
}
