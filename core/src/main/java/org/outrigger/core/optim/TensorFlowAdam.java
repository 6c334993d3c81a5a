package org.outrigger.core.optim;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/**
 * {@link Adam} as TensorFlow 1 has it: epsilon is added before the correction of the second moment,
 * {@code p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)}. It differs where
 * gradients are near epsilon.
 */
public final class TensorFlowAdam extends Adam {
  public TensorFlowAdam(Map<String, Tensor> parameters, Settings settings) {
    super("adam-tensorflow", false, List.of(ParameterGroup.of(parameters)), settings);
  }

  @Override
  double epsilon(double correction2) {
    return settings().epsilon() / correction2;
  }
}
