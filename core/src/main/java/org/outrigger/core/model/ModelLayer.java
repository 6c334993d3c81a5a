package org.outrigger.core.model;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;

/**
 * The features of a model of any kind as a layer. It is frozen: it predicts in evaluation mode and
 * without gradients, and has no parameters. It owns the model.
 */
final class ModelLayer extends Layer {
  private final Model model;

  ModelLayer(Model model) {
    this.model = model;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Output output = model.predict(x);
    Tensor features = output.features();
    output.logits().close();
    return features;
  }

  @Override
  protected void copied() {
    throw new OutriggerException(
        "A network with the model "
            + model.name()
            + " in it cannot be copied: build it again from the model's file.");
  }

  @Override
  public String toString() {
    return "Model(" + model.name() + ")";
  }

  @Override
  public void close() {
    super.close();
    model.close();
  }
}
