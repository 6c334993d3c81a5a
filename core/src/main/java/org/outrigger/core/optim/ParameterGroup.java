package org.outrigger.core.optim;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;

/**
 * Parameters that are trained alike.
 *
 * @param parameters by name; borrowed
 * @param learningRate in place of the optimiser's, if present
 * @param weightDecay in place of the optimiser's, if present
 */
public record ParameterGroup(
    Map<String, Tensor> parameters, OptionalDouble learningRate, OptionalDouble weightDecay) {
  public ParameterGroup {
    parameters = Collections.unmodifiableMap(new LinkedHashMap<>(parameters));
    learningRate.ifPresent(v -> HyperParameter.notNegative("learningRate", v));
    weightDecay.ifPresent(v -> HyperParameter.notNegative("weightDecay", v));
  }

  /** A group with the optimiser's own settings. */
  public static ParameterGroup of(Map<String, Tensor> parameters) {
    return new ParameterGroup(parameters, OptionalDouble.empty(), OptionalDouble.empty());
  }

  public ParameterGroup withLearningRate(double value) {
    return new ParameterGroup(parameters, OptionalDouble.of(value), weightDecay);
  }

  public ParameterGroup withWeightDecay(double value) {
    return new ParameterGroup(parameters, learningRate, OptionalDouble.of(value));
  }

  /**
   * Two groups: matrices and kernels, which decay, and vectors (biases, scales and shifts of
   * normalisation layers), which do not.
   */
  public static List<ParameterGroup> decayMatricesOnly(Map<String, Tensor> parameters) {
    Map<String, Tensor> matrices = new LinkedHashMap<>();
    Map<String, Tensor> vectors = new LinkedHashMap<>();
    parameters.forEach((name, p) -> (p.dim() > 1 ? matrices : vectors).put(name, p));
    List<ParameterGroup> groups = new ArrayList<>();
    groups.add(of(matrices));
    groups.add(of(vectors).withWeightDecay(0));
    return groups;
  }
}
