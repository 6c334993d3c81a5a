package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Scopes;

/**
 * Weights that {@link Mol} may adopt: what inner steps on a support set made of others.
 *
 * @param weights by name
 * @param logits [S, C] of the support set with them
 * @param before the support loss at the start
 * @param after the support loss now; infinite if the steps diverged
 */
record MolCandidate(Map<String, Tensor> weights, Tensor logits, double before, double after) {
  static MolCandidate of(
      FunctionalNetwork network,
      Map<String, Tensor> from,
      Tensor inputs,
      Tensor labels,
      Mol.Settings settings) {
    Map<String, Tensor> start = new LinkedHashMap<>();
    from.forEach((name, tensor) -> start.put(name, tensor.detach().requires_grad_(true)));
    MolGradient.Inner inner =
        MolGradient.steps(network::logits, start, inputs, labels, settings, false);
    Tensor logits = Scopes.noGrad(() -> network.logits(inputs, inner.weights()));
    double after =
        MolGradient.innerLoss(logits, labels, settings.lambda(), settings.marginIn()).item_double();
    double before = inner.losses().length == 0 ? after : inner.losses()[0];
    boolean failed = inner.diverged() || MolGradient.diverged(before, after);
    return new MolCandidate(
        inner.weights(), logits, before, failed ? Double.POSITIVE_INFINITY : after);
  }

  boolean failed() {
    return Double.isInfinite(after);
  }
}
