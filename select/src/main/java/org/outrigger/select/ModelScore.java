package org.outrigger.select;

import org.outrigger.core.method.Method;

/**
 * A transferability score: one number for a candidate model (or a layer of one) on a labelled
 * target set, without training it. Larger means that fine-tuning it is likely to end better. Only
 * numbers of one score for different candidates on the same rows can be compared.
 */
public interface ModelScore extends Method {
  /**
   * The score.
   *
   * @return finite
   * @throws org.outrigger.core.OutriggerException if the candidate lacks what {@link #needs()} says
   *     or the score is not defined for it
   */
  double score(Candidate candidate);
}
