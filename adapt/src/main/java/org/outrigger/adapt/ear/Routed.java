package org.outrigger.adapt.ear;

import org.bytedeco.pytorch.Tensor;

/**
 * What EAR says about a batch. Whoever received it closes it, unless a scope owns its tensors.
 *
 * @param logits float32 [N, C], by the adaptor and head of each row's domain; minus infinity for
 *     classes which that head does not know
 * @param scores float64 [N], OOD scores in [-1, 1]: minus the cosine to the nearest class
 *     descriptor; larger means less familiar
 * @param domains int64 [N], the positions of the domains that the rows were routed to
 * @param unknown bool [N], whether the row is less familiar than the threshold of its domain allows
 */
public record Routed(Tensor logits, Tensor scores, Tensor domains, Tensor unknown)
    implements AutoCloseable {
  /** The number of rows. */
  public long size() {
    return scores.size(0);
  }

  @Override
  public void close() {
    logits.close();
    scores.close();
    domains.close();
    unknown.close();
  }
}
