package org.outrigger.calibrate.conformal;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * What a predictor has learned: the sizes it was fitted on, named tensors and named numbers. Filled
 * while fitting, then only read.
 */
public final class Learned {
  private final long rows;
  private final long classes;
  private final long dimension;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Double> numbers = new LinkedHashMap<>();

  /**
   * @param rows how many rows the thresholds are of
   * @param classes the number of classes C
   * @param dimension the number of features D; 0 if features are not used
   */
  public Learned(long rows, long classes, long dimension) {
    this.rows = rows;
    this.classes = classes;
    this.dimension = dimension;
  }

  /** Adds a tensor that nothing else will change. */
  public Learned with(String name, Tensor tensor) {
    tensors.put(name, tensor);
    return this;
  }

  /** Adds a number. */
  public Learned with(String name, double number) {
    numbers.put(name, number);
    return this;
  }

  public long rows() {
    return rows;
  }

  public long classes() {
    return classes;
  }

  public long dimension() {
    return dimension;
  }

  /** The named tensor, borrowed. */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "The saved predictor lacks the tensor '" + name + "': the file is damaged.");
    }
    return tensor;
  }

  /** Whether there is a tensor of that name. */
  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  /** The named number. */
  public double number(String name) {
    Double number = numbers.get(name);
    if (number == null) {
      throw new OutriggerException(
          "The saved predictor lacks the number '" + name + "': the file is damaged.");
    }
    return number;
  }

  Map<String, Tensor> tensors() {
    return tensors;
  }

  Map<String, Double> numbers() {
    return numbers;
  }

  /** Makes the handles independent of every scope; {@link #release} undoes it. */
  Learned owned() {
    Learned owned = new Learned(rows, classes, dimension);
    tensors.forEach((name, t) -> owned.with(name, Scopes.own(t.detach().contiguous())));
    numbers.forEach(owned::with);
    return owned;
  }

  void release() {
    tensors.values().forEach(Scopes::release);
  }
}
