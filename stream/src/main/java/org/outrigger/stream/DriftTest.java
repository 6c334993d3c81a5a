package org.outrigger.stream;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;

/**
 * Compares a batch with a reference: do both come from one distribution? Fit it once on reference
 * rows, then test batches.
 *
 * <p>A p-value is the chance of a difference at least as large where nothing has changed, given
 * rows that are independent of each other; rows that depend on their neighbours make every test
 * here reject too often. Testing is safe for concurrent use once fitted; fitting, restoring and
 * closing need exclusive access.
 */
public interface DriftTest extends Method, Stateful, AutoCloseable {
  /**
   * Takes the reference.
   *
   * @param reference [n, d], n of 2 or more, finite
   * @throws org.outrigger.core.OutriggerException if it cannot be used; the earlier one stays
   */
  void fit(Tensor reference);

  /** Whether it has a reference. */
  boolean fitted();

  /**
   * Compares a batch with the reference.
   *
   * @param batch [m, d], m of 2 or more, finite
   */
  DriftTestResult test(Tensor batch);

  @Override
  default void close() {}
}
