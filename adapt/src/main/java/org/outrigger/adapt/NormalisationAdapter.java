package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;

/**
 * An adapter that is nothing but other normalisation layers. It predicts by itself, and other
 * adapters can be put over it: they then run and train a network with these layers.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class NormalisationAdapter<S extends Record> extends ModelAdapter<S> {
  protected NormalisationAdapter(S settings) {
    super(settings);
  }

  /**
   * Replaces the normalisation layers of a network, which the network then owns. The new ones are
   * {@link org.outrigger.core.nn.Normalisation}s and keep all that they learn in buffers.
   *
   * @throws OutriggerException if there is no layer to replace
   */
  public abstract void install(NeuralModel network);

  @Override
  protected final void prepare(Model copy) {
    install(network());
  }

  @Override
  protected final boolean onBatchStatistics() {
    return false;
  }

  /** Stands at the bottom of a stack: two methods cannot both replace the same layers. */
  @Override
  public Adapter over(Adapter inner) {
    throw new OutriggerException(
        card().name()
            + " replaces normalisation layers itself, so it cannot be put over "
            + inner.card().name()
            + ": put the method that trains over it.");
  }

  @Override
  protected Output step(Tensor inputs) {
    return forward(inputs);
  }
}
