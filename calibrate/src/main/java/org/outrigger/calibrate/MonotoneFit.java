package org.outrigger.calibrate;

import java.util.Arrays;
import org.outrigger.core.torch.Tensors;

/**
 * The non-decreasing step function closest to 0/1 outcomes in squared error, by pooling adjacent
 * violators; a walk over sorted values, for which there is no tensor operation. Ayer et al., 1955.
 *
 * @param x the ends of its blocks, ascending
 * @param y the mean outcome there, non-decreasing
 */
@SuppressWarnings("ArrayRecordComponent")
record MonotoneFit(double[] x, double[] y) {
  /**
   * @param values at least one
   * @param outcomes of the same length
   */
  static MonotoneFit of(double[] values, double[] outcomes) {
    Integer[] order = new Integer[values.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, (a, b) -> Double.compare(values[a], values[b]));
    int n = values.length;
    double[] first = new double[n];
    double[] last = new double[n];
    double[] sum = new double[n];
    double[] weight = new double[n];
    int blocks = 0;
    for (int i = 0; i < n; ) {
      double value = values[order[i]];
      first[blocks] = value;
      last[blocks] = value;
      sum[blocks] = 0;
      weight[blocks] = 0;
      // Equal values share their mean outcome.
      for (; i < n && values[order[i]] == value; i++) {
        sum[blocks] += outcomes[order[i]];
        weight[blocks]++;
      }
      blocks++;
      while (blocks > 1
          && sum[blocks - 2] * weight[blocks - 1] >= sum[blocks - 1] * weight[blocks - 2]) {
        blocks--;
        last[blocks - 1] = last[blocks];
        sum[blocks - 1] += sum[blocks];
        weight[blocks - 1] += weight[blocks];
      }
    }
    return ends(first, last, sum, weight, blocks);
  }

  private static MonotoneFit ends(
      double[] first, double[] last, double[] sum, double[] weight, int blocks) {
    double[] x = new double[2 * blocks];
    double[] y = new double[2 * blocks];
    int size = 0;
    for (int b = 0; b < blocks; b++) {
      double level = Math.min(1, Math.max(0, sum[b] / weight[b]));
      x[size] = first[b];
      y[size++] = level;
      if (last[b] > first[b]) {
        x[size] = last[b];
        y[size++] = level;
      }
    }
    return new MonotoneFit(Arrays.copyOf(x, size), Arrays.copyOf(y, size));
  }

  /**
   * Several fits as one tensor.
   *
   * @return float64 [2, K, M], the ends over their levels; shorter ones repeat their last end
   */
  static org.bytedeco.pytorch.Tensor stacked(MonotoneFit... fits) {
    int longest = Arrays.stream(fits).mapToInt(fit -> fit.x.length).max().orElseThrow();
    double[] all = new double[2 * fits.length * longest];
    for (int k = 0; k < fits.length; k++) {
      for (int i = 0; i < longest; i++) {
        int at = Math.min(i, fits[k].x.length - 1);
        all[k * longest + i] = fits[k].x[at];
        all[(fits.length + k) * longest + i] = fits[k].y[at];
      }
    }
    return Tensors.of(all, 2, fits.length, longest);
  }
}
