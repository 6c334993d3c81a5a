package org.outrigger.core.optim;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.HyperParameter;

/**
 * Stochastic gradient descent with momentum, after PyTorch: {@code g += decay p; b = momentum b +
 * (1 - dampening) g} (the first {@code b} is {@code g}); {@code p -= lr b}, or with Nesterov {@code
 * p -= lr (g + momentum b)}.
 */
public final class Sgd extends AbstractOptimiser {
  /**
   * @param learningRate 0 or more
   * @param momentum 0 or more; 0 for none
   * @param dampening of the gradient that enters the momentum
   * @param weightDecay 0 or more, added to the gradient
   * @param nesterov needs a momentum and no dampening
   */
  public record Settings(
      double learningRate,
      double momentum,
      double dampening,
      double weightDecay,
      boolean nesterov) {
    public Settings {
      HyperParameter.notNegative("learningRate", learningRate);
      HyperParameter.notNegative("momentum", momentum);
      HyperParameter.between("dampening", dampening, 0, 1);
      HyperParameter.notNegative("weightDecay", weightDecay);
      if (nesterov && (momentum == 0 || dampening != 0)) {
        throw new OutriggerException(
            "Nesterov needs a momentum above 0 and dampening = 0, but momentum = "
                + momentum
                + " and dampening = "
                + dampening
                + ".");
      }
    }

    /** Plain descent. */
    public static Settings of(double learningRate) {
      return new Settings(learningRate, 0, 0, 0, false);
    }

    /** Nesterov momentum 0.9 and weight decay 5e-4, usual for residual networks. */
    public static Settings nesterov(double learningRate) {
      return new Settings(learningRate, 0.9, 0, 5e-4, true);
    }
  }

  private Settings settings;

  public Sgd(List<ParameterGroup> groups, Settings settings) {
    super("sgd", groups);
    this.settings = settings;
  }

  public Sgd(Map<String, Tensor> parameters, Settings settings) {
    this(List.of(ParameterGroup.of(parameters)), settings);
  }

  public Settings settings() {
    return settings;
  }

  @Override
  void update(Slot slot, Tensor gradient, double rate, double decay) {
    Tensor p = slot.parameter;
    Tensor g = decay == 0 ? gradient : gradient.add(p, scalar(decay));
    if (settings.momentum() != 0) {
      Tensor b = slot.get("momentum");
      if (b == null) {
        b = slot.remember("momentum", g.detach().clone());
      } else {
        b.mul_(scalar(settings.momentum())).add_(g, scalar(1 - settings.dampening()));
      }
      g = settings.nesterov() ? g.add(b, scalar(settings.momentum())) : b;
    }
    p.add_(g, scalar(-rate));
  }

  @Override
  public double learningRate() {
    return settings.learningRate();
  }

  @Override
  double weightDecay() {
    return settings.weightDecay();
  }

  @Override
  Set<String> memoryKeys() {
    return Set.of("momentum");
  }

  @Override
  Map<String, Object> settingValues() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("learningRate", settings.learningRate());
    values.put("momentum", settings.momentum());
    values.put("dampening", settings.dampening());
    values.put("weightDecay", settings.weightDecay());
    values.put("nesterov", settings.nesterov());
    return values;
  }

  @Override
  Runnable readSettings(State state) {
    Settings saved =
        new Settings(
            state.number("learningRate"),
            state.number("momentum"),
            state.number("dampening"),
            state.number("weightDecay"),
            Boolean.TRUE.equals(state.values().get("nesterov")));
    return () -> settings = saved;
  }
}
