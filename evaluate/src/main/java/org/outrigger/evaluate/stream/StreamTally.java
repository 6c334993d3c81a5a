package org.outrigger.evaluate.stream;

import java.util.stream.IntStream;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.TopLabel;

/** Counts the predictions of one domain. */
final class StreamTally {
  private final EceAccumulator ece = new EceAccumulator();
  private long rows;
  private long labelled;
  private long right;
  private double brier;
  private double nll;
  private double nanos;

  /**
   * Counts rows; those with a label below 0 count for the time alone.
   *
   * @param chosen which of the rows to count
   * @param time of all of them together in nanoseconds
   */
  void add(double[][] probabilities, int[] labels, int[] chosen, double time) {
    rows += chosen.length;
    nanos += time;
    int[] known = IntStream.of(chosen).filter(i -> labels[i] >= 0).toArray();
    if (known.length == 0) {
      return;
    }
    double[][] p = IntStream.of(known).mapToObj(i -> probabilities[i]).toArray(double[][]::new);
    int[] y = IntStream.of(known).map(i -> labels[i]).toArray();
    TopLabel top = TopLabel.of(p, y);
    for (boolean correct : top.correct()) {
      right += correct ? 1 : 0;
    }
    ece.add(top);
    labelled += known.length;
    brier += Calibration.brierSum(p, y) * known.length;
    nll += Calibration.nll(p, y) * known.length;
  }

  void merge(StreamTally other) {
    ece.merge(other.ece);
    rows += other.rows;
    labelled += other.labelled;
    right += other.right;
    brier += other.brier;
    nll += other.nll;
    nanos += other.nanos;
  }

  StreamReport.Figures figures(String name) {
    boolean none = labelled == 0;
    return new StreamReport.Figures(
        name,
        rows,
        labelled,
        none ? Double.NaN : right / (double) labelled,
        none ? Double.NaN : ece.ece(),
        none ? Double.NaN : brier / labelled,
        none ? Double.NaN : nll / labelled,
        rows == 0 ? Double.NaN : nanos / 1e6 / rows);
  }
}
