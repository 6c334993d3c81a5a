package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.torch.Scopes;

/**
 * What a detector has learned: the sizes it was fitted for, named tensors and named numbers. Filled
 * while fitting, then only read.
 */
public final class Fitted {
  private final long classes;
  private final long dimension;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Double> numbers = new LinkedHashMap<>();
  private final Map<String, Tensor> casts = new ConcurrentHashMap<>();

  /**
   * @param classes the number of classes C
   * @param dimension the number of features D; 0 if features are not used
   */
  public Fitted(long classes, long dimension) {
    this.classes = classes;
    this.dimension = dimension;
  }

  /** Adds a tensor that nothing else will change. */
  public Fitted with(String name, Tensor tensor) {
    tensors.put(name, tensor);
    return this;
  }

  /** Adds a number. */
  public Fitted with(String name, double number) {
    numbers.put(name, number);
    return this;
  }

  /** Adds a copy of a head, as the tensors {@code weight} and {@code bias}. */
  public Fitted with(LinearHead head) {
    return with("weight", head.weight().detach().clone())
        .with("bias", head.bias().detach().clone());
  }

  /** The number of classes C. */
  public long classes() {
    return classes;
  }

  /** The number of features D; 0 if features are not used. */
  public long dimension() {
    return dimension;
  }

  /** The named tensor, borrowed. */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "The saved detector lacks the tensor '" + name + "': the file is damaged.");
    }
    return tensor;
  }

  /** The named tensor in another type, borrowed; converted once. */
  public Tensor tensor(String name, ScalarType type) {
    Tensor tensor = tensor(name);
    return tensor.scalar_type().intern() == type
        ? tensor
        : casts.computeIfAbsent(name + " " + type, key -> Scopes.own(tensor.to(type)));
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
          "The saved detector lacks the number '" + name + "': the file is damaged.");
    }
    return number;
  }

  /** The copied head in that type, borrowed. */
  public LinearHead head(ScalarType type) {
    return new LinearHead(tensor("weight", type), tensor("bias", type));
  }

  Map<String, Tensor> tensors() {
    return tensors;
  }

  Map<String, Double> numbers() {
    return numbers;
  }

  /** Makes the handles independent of every scope; {@link #release} undoes it. */
  Fitted owned() {
    Fitted owned = new Fitted(classes, dimension);
    tensors.forEach((name, t) -> owned.with(name, Scopes.own(t.detach().contiguous())));
    numbers.forEach(owned::with);
    return owned;
  }

  void release() {
    tensors.values().forEach(Scopes::release);
    casts.values().forEach(Scopes::release);
  }
}
