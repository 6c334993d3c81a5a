package org.outrigger.claims.golden;

/**
 * Checks the cases of one slug. Other files of the same format are run too: decide by the inputs
 * and outputs that a case has, not by its file name.
 */
public interface GoldenSuite {
  /** The folder's name, such as {@code ood-baselines}. */
  String slug();

  /**
   * Computes what the case asks for and hands each result to {@link GoldenCase#expect}. Runs inside
   * a scope.
   *
   * @throws org.outrigger.core.OutriggerException if this kind of case is unknown
   */
  void check(GoldenCase golden);
}
