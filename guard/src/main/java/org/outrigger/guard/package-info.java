/**
 * The product: a model plus its keepers. {@link org.outrigger.guard.Guard} is built by {@link
 * org.outrigger.guard.GuardBuilder} on validation data, gives {@link org.outrigger.guard.Verdict}s
 * for batches, and is saved as one bundle. {@link org.outrigger.guard.GuardEvaluation} measures it
 * on known and unknown data; {@code report} draws what it measured. {@link
 * org.outrigger.guard.GuardMonitor} compares later traffic with the {@link
 * org.outrigger.guard.GuardReference} that was saved with the guard.
 */
@NullMarked
package org.outrigger.guard;

import org.jspecify.annotations.NullMarked;
