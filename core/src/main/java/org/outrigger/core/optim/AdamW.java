package org.outrigger.core.optim;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/**
 * Adam with decoupled weight decay, after PyTorch: {@code p *= 1 - lr decay} before a step of
 * {@link Adam} without decay. Loshchilov and Hutter, ICLR 2019.
 */
public final class AdamW extends Adam {
  /** The usual settings with weight decay 0.01. */
  public static Settings settings(double learningRate) {
    return Settings.of(learningRate, 0.01);
  }

  public AdamW(List<ParameterGroup> groups, Settings settings) {
    super("adamw", true, groups, settings);
  }

  public AdamW(Map<String, Tensor> parameters, Settings settings) {
    this(List.of(ParameterGroup.of(parameters)), settings);
  }
}
