package org.outrigger.core.metric;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.outrigger.core.OutriggerException;

/**
 * Percentile bootstrap: the figure is computed on resamples of the data, and the interval spans the
 * middle {@code level} of what comes out (Efron, 1979). Figures of two samples are stratified: each
 * sample is resampled from itself.
 *
 * @param resamples at least 10; 1000 is usual
 * @param level confidence in (0, 1)
 * @param seed same seed, same interval
 */
public record Bootstrap(int resamples, double level, long seed) {
  public Bootstrap {
    if (resamples < 10) {
      throw new OutriggerException(
          "resamples = " + resamples + " is out of range: use 10 or more.");
    }
    Rate.checkLevel(level);
  }

  /** 1000 resamples, 95 %. */
  public static Bootstrap of(long seed) {
    return new Bootstrap(1000, 0.95, seed);
  }

  /**
   * The interval of a detection figure, such as {@code Auroc::of}. The scores are sorted once; a
   * resample only draws how often each occurs, O(n).
   */
  public Interval detection(ScoreTable scores, ToDoubleFunction<ScoreTable> figure) {
    int[] idGroup = groups(scores, true);
    int[] oodGroup = groups(scores, false);
    SplittableRandom random = new SplittableRandom(seed);
    int[] id = new int[scores.size()];
    int[] ood = new int[scores.size()];
    ScoreTable resample = scores.withCounts(id, ood);
    double[] figures = new double[resamples];
    for (int r = 0; r < resamples; r++) {
      draw(random, idGroup, id);
      draw(random, oodGroup, ood);
      figures[r] = figure.applyAsDouble(resample);
    }
    return interval(figure.applyAsDouble(scores), figures);
  }

  private static int[] groups(ScoreTable scores, boolean id) {
    int[] groups = new int[id ? scores.idTotal() : scores.oodTotal()];
    int item = 0;
    for (int i = 0; i < scores.size(); i++) {
      int count = id ? scores.id(i) : scores.ood(i);
      Arrays.fill(groups, item, item + count, i);
      item += count;
    }
    return groups;
  }

  private static void draw(SplittableRandom random, int[] groups, int[] counts) {
    Arrays.fill(counts, 0);
    for (int i = 0; i < groups.length; i++) {
      counts[groups[random.nextInt(groups.length)]]++;
    }
  }

  /** The interval of a mean, such as an accuracy from 0s and 1s. */
  public Interval mean(double... values) {
    return rows(
        values.length,
        rows -> {
          double sum = 0;
          for (int row : rows) {
            sum += values[row];
          }
          return sum / rows.length;
        });
  }

  /**
   * The interval of any figure of one sample.
   *
   * @param count how many rows the sample has, at least 1
   * @param figure the figure on the rows with these indices (0 .. count-1, with repetitions); the
   *     array is reused
   */
  public Interval rows(int count, ToDoubleFunction<int[]> figure) {
    if (count < 1) {
      throw new OutriggerException("There is no row to resample.");
    }
    int[] rows = new int[count];
    Arrays.setAll(rows, i -> i);
    double estimate = figure.applyAsDouble(rows);
    SplittableRandom random = new SplittableRandom(seed);
    double[] figures = new double[resamples];
    for (int r = 0; r < resamples; r++) {
      for (int i = 0; i < count; i++) {
        rows[i] = random.nextInt(count);
      }
      figures[r] = figure.applyAsDouble(rows);
    }
    return interval(estimate, figures);
  }

  /**
   * The intervals of several figures of one sample that are computed in one go.
   *
   * @param count how many rows the sample has, at least 1
   * @param figures the figures by name, of rows that count so often; the array is reused
   */
  public Map<String, Interval> counts(int count, Function<int[], Map<String, Double>> figures) {
    if (count < 1) {
      throw new OutriggerException("There is no row to resample.");
    }
    int[] counts = new int[count];
    Arrays.fill(counts, 1);
    Map<String, Double> estimates = figures.apply(counts);
    Map<String, double[]> resampled = new LinkedHashMap<>();
    estimates.keySet().forEach(name -> resampled.put(name, new double[resamples]));
    SplittableRandom random = new SplittableRandom(seed);
    for (int r = 0; r < resamples; r++) {
      Arrays.fill(counts, 0);
      for (int i = 0; i < count; i++) {
        counts[random.nextInt(count)]++;
      }
      int at = r;
      Map<String, Double> now = figures.apply(counts);
      resampled.forEach((name, values) -> values[at] = now.getOrDefault(name, Double.NaN));
    }
    Map<String, Interval> intervals = new LinkedHashMap<>();
    estimates.forEach(
        (name, estimate) ->
            intervals.put(
                name, interval(estimate, resampled.getOrDefault(name, new double[] {estimate}))));
    return intervals;
  }

  private Interval interval(double estimate, double[] figures) {
    double[] sorted = Arrays.stream(figures).filter(f -> !Double.isNaN(f)).sorted().toArray();
    if (sorted.length == 0) {
      return new Interval(Double.NaN, estimate, Double.NaN, level);
    }
    double tail = (1 - level) / 2;
    return new Interval(
        Quantiles.ofSorted(sorted, tail), estimate, Quantiles.ofSorted(sorted, 1 - tail), level);
  }
}
