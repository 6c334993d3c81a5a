package org.outrigger.serve;

/** Is told what guards answered; must not block, since it is told on the guard's own thread. */
@FunctionalInterface
public interface TrafficListener {
  /** A batch was judged. */
  void judged(JudgedBatch batch);
}
