package org.outrigger.calibrate;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * What a calibrator has learned.
 *
 * @param classes C, the classes it was fitted for
 * @param tensors its parameters by name, float64
 * @param numbers what else is worth keeping
 */
record Fitted(long classes, Map<String, Tensor> tensors, Map<String, Double> numbers) {
  Fitted(long classes, Map<String, Tensor> tensors) {
    this(classes, tensors, Map.of());
  }

  Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "The saved calibrator lacks the tensor '" + name + "': the file is damaged.");
    }
    return tensor;
  }

  /** The same with handles that no scope owns. */
  Fitted owned() {
    Map<String, Tensor> own = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> own.put(name, Scopes.own(tensor)));
    return new Fitted(classes, own, numbers);
  }

  void release() {
    tensors.values().forEach(Scopes::release);
  }
}
