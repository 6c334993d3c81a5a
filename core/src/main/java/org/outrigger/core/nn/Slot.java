package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.outrigger.core.torch.Scopes;

/**
 * One named tensor of a layer, a parameter or a buffer, with the optional that libtorch's functions
 * take, so that a forward pass makes no native object for it.
 */
final class Slot {
  private final Tensor tensor;
  private final TensorOptional optional;
  private final boolean parameter;
  private final boolean owned;

  private Slot(Tensor tensor, boolean parameter, boolean owned) {
    this.tensor = tensor;
    this.optional = new TensorOptional(tensor);
    this.parameter = parameter;
    this.owned = owned;
    if (owned) {
      optional.retainReference();
    }
  }

  /** A slot with a handle of its own on {@code tensor}. */
  static Slot owning(Tensor tensor, boolean parameter) {
    return new Slot(Scopes.own(tensor), parameter, true);
  }

  /** A stand-in for one pass; the enclosing scope frees it. */
  static Slot borrowing(Tensor tensor) {
    return new Slot(tensor, false, false);
  }

  Tensor tensor() {
    return tensor;
  }

  TensorOptional optional() {
    return optional;
  }

  boolean isParameter() {
    return parameter;
  }

  /** A copy that shares no memory; it is trainable if this is. */
  Slot copy() {
    return Scopes.scoped(
        () -> {
          Tensor copy = tensor.detach().clone();
          copy.requires_grad_(tensor.requires_grad());
          return owning(copy, parameter);
        });
  }

  void release() {
    if (owned) {
      optional.releaseReference();
      Scopes.release(tensor);
    }
  }
}
