package org.outrigger.adapt.edge;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;

/**
 * The side of a method that predicts. It runs its model forward only and goes on with the
 * parameters it has, whether or not the cloud answers. For one thread.
 */
public interface EdgeDevice extends Stateful, AutoCloseable {
  /** The slug of the method. */
  String method();

  /** What the cloud must know to serve it: the number of classes and the names of its tensors. */
  Map<String, Object> hello();

  /**
   * Predicts with the parameters that are there.
   *
   * @param inputs [N, ...], finite
   * @return an output that the caller owns, or the enclosing scope
   * @throws org.outrigger.core.OutriggerException if the inputs do not fit
   */
  Output predict(Tensor inputs);

  /**
   * Chooses what to upload of a batch that was just predicted.
   *
   * @return an upload, perhaps without rows; its tensors belong to the enclosing scope
   */
  Message choose(Tensor inputs, Output output);

  /**
   * Takes over what the cloud answered.
   *
   * @throws org.outrigger.core.OutriggerException if it does not fit; nothing has changed then
   */
  void receive(Message answer);

  /** The version of the update it has; 0 before the first. */
  long version();

  /** The rows that passed its first filter so far. */
  long reliable();

  /** How many times it went back to its source model by itself. */
  default long restarts() {
    return 0;
  }

  /** The model that it predicts with; borrowed. */
  NeuralModel model();

  @Override
  void close();
}
