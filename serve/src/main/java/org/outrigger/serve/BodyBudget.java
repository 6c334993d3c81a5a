package org.outrigger.serve;

import java.util.concurrent.atomic.AtomicLong;

/**
 * The memory that bodies of requests may take together, from before they are read until they are
 * answered: many large requests at once must not use up the heap.
 */
final class BodyBudget {
  private final long bytes;
  private final AtomicLong taken = new AtomicLong();

  BodyBudget(long bytes) {
    this.bytes = bytes;
  }

  /**
   * An eighth of the heap, since a body's numbers take several times its size while it is read; at
   * least one body of the largest size.
   */
  static BodyBudget ofHeap(int largest) {
    return new BodyBudget(Math.max(largest, Runtime.getRuntime().maxMemory() / 8));
  }

  /** What one request holds; closing it gives all back. */
  final class Lease implements AutoCloseable {
    private final AtomicLong held = new AtomicLong();

    private Lease() {}

    /** Takes room for more bytes, unless there is none at the moment. */
    boolean grow(long size) {
      if (taken.addAndGet(size) > bytes) {
        taken.addAndGet(-size);
        return false;
      }
      held.addAndGet(size);
      return true;
    }

    @Override
    public void close() {
      taken.addAndGet(-held.getAndSet(0));
    }
  }

  /** For one request, which holds nothing yet. */
  Lease lease() {
    return new Lease();
  }
}
