package org.outrigger.core.model;

import java.util.Arrays;
import java.util.List;

/**
 * What a model is made of.
 *
 * @param format such as {@code TorchScript}
 * @param inputShape of one row, 0 where any size will do; empty if unknown
 * @param layers in the order of the model
 * @param parameters tensors that training may change
 * @param buffers other tensors that are saved with it
 * @param notes anything a user should know, each a clause
 */
public record Description(
    String format,
    List<Long> inputShape,
    List<Layer> layers,
    List<Stored> parameters,
    List<Stored> buffers,
    List<String> notes) {
  public Description {
    inputShape = List.copyOf(inputShape);
    layers = List.copyOf(layers);
    parameters = List.copyOf(parameters);
    buffers = List.copyOf(buffers);
    notes = List.copyOf(notes);
  }

  /**
   * A layer.
   *
   * @param path its place in the model; empty for the whole
   * @param kind such as {@code Conv2d}
   * @param parameters the number of values in its own parameters, without inner layers
   */
  public record Layer(String path, String kind, long parameters) {}

  /**
   * A stored tensor.
   *
   * @param name its state-dict name
   * @param shape its shape
   * @param trainable whether it asks for gradients
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Stored(String name, long[] shape, boolean trainable) {
    /** The number of values. */
    public long count() {
      return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }
  }
}
