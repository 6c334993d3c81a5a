package org.outrigger.core.optim;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.io.State;
import org.outrigger.core.method.HyperParameter;

/**
 * Adam, after PyTorch: {@code g += decay p; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2)
 * g^2; p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)}; AMSGrad takes the largest
 * {@code v} so far. The count t is each parameter's own. Kingma and Ba, ICLR 2015; Reddi et al.,
 * ICLR 2018.
 */
public class Adam extends AbstractOptimiser {
  /**
   * @param learningRate 0 or more
   * @param beta1 decay of the mean, in [0, 1)
   * @param beta2 decay of the second moment, in [0, 1)
   * @param epsilon above 0
   * @param weightDecay 0 or more; Adam adds it to the gradient, AdamW shrinks the weights
   * @param amsgrad whether the second moment never falls
   */
  public record Settings(
      double learningRate,
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay,
      boolean amsgrad) {
    public Settings {
      HyperParameter.notNegative("learningRate", learningRate);
      HyperParameter.require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "0 or more and below 1");
      HyperParameter.require(beta2 >= 0 && beta2 < 1, "beta2", beta2, "0 or more and below 1");
      HyperParameter.positive("epsilon", epsilon);
      HyperParameter.notNegative("weightDecay", weightDecay);
    }

    /** The paper's betas and epsilon, no decay. */
    public static Settings of(double learningRate) {
      return of(learningRate, 0);
    }

    /** The paper's betas and epsilon. */
    public static Settings of(double learningRate, double weightDecay) {
      return new Settings(learningRate, 0.9, 0.999, 1e-8, weightDecay, false);
    }
  }

  private final boolean decoupled;
  private Settings settings;

  public Adam(List<ParameterGroup> groups, Settings settings) {
    this("adam", false, groups, settings);
  }

  public Adam(Map<String, Tensor> parameters, Settings settings) {
    this(List.of(ParameterGroup.of(parameters)), settings);
  }

  /**
   * @param decoupled whether decay shrinks the weights and leaves the gradient alone
   */
  Adam(String type, boolean decoupled, List<ParameterGroup> groups, Settings settings) {
    super(type, groups);
    this.decoupled = decoupled;
    this.settings = settings;
  }

  public Settings settings() {
    return settings;
  }

  @Override
  void update(Slot slot, Tensor gradient, double rate, double decay) {
    Tensor p = slot.parameter;
    Tensor g = gradient;
    if (decay != 0) {
      if (decoupled) {
        p.mul_(scalar(1 - rate * decay));
      } else {
        g = g.add(p, scalar(decay));
      }
    }
    Tensor m = memory(slot, "mean");
    Tensor v = memory(slot, "square");
    m.lerp_(g, scalar(1 - settings.beta1()));
    v.mul_(scalar(settings.beta2())).addcmul_(g, g, scalar(1 - settings.beta2()));
    if (settings.amsgrad()) {
      Tensor largest = memory(slot, "largest");
      torch.maximum_out(largest, largest, v);
      v = largest;
    }
    double correction1 = 1 - Math.pow(settings.beta1(), (double) slot.steps);
    double correction2 = Math.sqrt(1 - Math.pow(settings.beta2(), (double) slot.steps));
    Tensor denominator = v.sqrt().div_(scalar(correction2)).add_(scalar(epsilon(correction2)));
    p.addcdiv_(m, denominator, scalar(-rate / correction1));
  }

  /** What is added to the corrected root of the second moment. */
  double epsilon(double correction2) {
    return settings.epsilon();
  }

  private static Tensor memory(Slot slot, String key) {
    Tensor known = slot.get(key);
    return known != null ? known : slot.remember(key, torch.zeros_like(slot.parameter));
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
    return Set.of("mean", "square", "largest");
  }

  @Override
  Map<String, Object> settingValues() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("learningRate", settings.learningRate());
    values.put("beta1", settings.beta1());
    values.put("beta2", settings.beta2());
    values.put("epsilon", settings.epsilon());
    values.put("weightDecay", settings.weightDecay());
    values.put("amsgrad", settings.amsgrad());
    return values;
  }

  @Override
  Runnable readSettings(State state) {
    Settings saved =
        new Settings(
            state.number("learningRate"),
            state.number("beta1"),
            state.number("beta2"),
            state.number("epsilon"),
            state.number("weightDecay"),
            Boolean.TRUE.equals(state.values().get("amsgrad")));
    return () -> settings = saved;
  }
}
