package org.outrigger.core.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * The last linear layer: logits = features weight^T + bias.
 *
 * @param weight [C, D], borrowed from the model
 * @param bias [C], borrowed from the model; zeros if the layer has none
 */
public record LinearHead(Tensor weight, Tensor bias) {
  /** The logits [N, C] of features [N, D], in the features' type. */
  public Tensor apply(Tensor features) {
    return torch.addmm(
        bias.to(features.scalar_type()), features, weight.to(features.scalar_type()).t());
  }
}
