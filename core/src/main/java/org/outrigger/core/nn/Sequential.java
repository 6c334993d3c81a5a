package org.outrigger.core.nn;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/** Layers one after another, named 0, 1, 2, ... or as given. */
public final class Sequential extends Layer {
  public Sequential(Layer... layers) {
    for (int i = 0; i < layers.length; i++) {
      child(String.valueOf(i), layers[i]);
    }
  }

  /** With names of the caller's choice, in the map's order. */
  public Sequential(Map<String, ? extends Layer> layers) {
    layers.forEach(this::child);
  }

  /** The number of layers. */
  public int size() {
    return children().size();
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor value = x;
    for (Layer layer : children().values()) {
      Tensor next = layer.forward(value, context);
      release(value, x, next);
      value = next;
    }
    return value;
  }
}
