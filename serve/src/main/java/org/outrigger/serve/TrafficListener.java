package org.outrigger.serve;

import java.util.List;
import org.outrigger.guard.Verdict;

/** Is told what guards answered; must not block. */
@FunctionalInterface
public interface TrafficListener {
  /**
   * A batch was judged.
   *
   * @param guard the served name
   * @param version of it
   * @param shadow whether clients saw the verdicts, or this guard only watches
   * @param inputs [rows][values of a row]; not to be changed
   * @param verdicts one a row
   */
  void judged(
      String guard, String version, boolean shadow, List<float[]> inputs, List<Verdict> verdicts);
}
