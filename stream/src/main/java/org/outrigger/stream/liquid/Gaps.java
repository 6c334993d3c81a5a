package org.outrigger.stream.liquid;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.outrigger.core.OutriggerException;

/**
 * Series without gaps: a value that is missing is the last one before it; a step at which all are
 * missing is left out, and the next step takes that much longer.
 *
 * @param loads [steps][links]
 * @param elapsed the time that each step took
 * @param filled how many values were filled in
 * @param left how many steps were left out
 */
public record Gaps(double[][] loads, double[] elapsed, long filled, int left) {
  /**
   * Closes the gaps.
   *
   * @param loads [steps][links], NaN where a value is missing
   * @param times of the steps, ascending
   * @throws OutriggerException if a link has no value at the first step that counts, or times do
   *     not ascend
   */
  public static Gaps close(double[][] loads, double[] times) {
    if (loads.length != times.length || loads.length == 0) {
      throw new OutriggerException(
          "There are " + times.length + " times for " + loads.length + " steps.");
    }
    List<double[]> rows = new ArrayList<>();
    List<Double> steps = new ArrayList<>();
    long filled = 0;
    double before = Double.NaN;
    for (int t = 0; t < loads.length; t++) {
      if (t > 0 && !(times[t] > times[t - 1])) {
        throw new OutriggerException(
            "Step "
                + t
                + " is at "
                + times[t]
                + ", not after "
                + times[t - 1]
                + ": sort the steps by time.");
      }
      double[] row = loads[t].clone();
      if (Arrays.stream(row).allMatch(Double::isNaN)) {
        continue;
      }
      for (int i = 0; i < row.length; i++) {
        if (Double.isNaN(row[i])) {
          if (rows.isEmpty()) {
            throw new OutriggerException(
                "Link " + i + " has no value at the first step: begin where all links have one.");
          }
          row[i] = rows.get(rows.size() - 1)[i];
          filled++;
        }
      }
      steps.add(rows.isEmpty() ? 1.0 : times[t] - before);
      before = times[t];
      rows.add(row);
    }
    return new Gaps(
        rows.toArray(new double[0][]),
        steps.stream().mapToDouble(Double::doubleValue).toArray(),
        filled,
        loads.length - rows.size());
  }
}
