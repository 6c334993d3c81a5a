package org.outrigger.claims;

import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/**
 * The figures of a claim over its seeds.
 *
 * @param runs one a seed, at least one, all with the same figures
 */
public record Measurements(List<Run> runs) {
  /**
   * The figures of one seed.
   *
   * @param figures by name, finite, in the order of the table
   */
  public record Run(long seed, Map<String, Double> figures, Duration time) {
    public Run {
      figures = Collections.unmodifiableMap(new LinkedHashMap<>(figures));
      figures.forEach(
          (name, value) -> {
            if (!Double.isFinite(value)) {
              throw new OutriggerException(
                  "The figure '" + name + "' of seed " + seed + " is " + value + ".");
            }
          });
    }
  }

  public Measurements {
    runs = List.copyOf(runs);
    if (runs.isEmpty()) {
      throw new OutriggerException("A claim needs at least one seed.");
    }
    for (Run run : runs) {
      if (!run.figures().keySet().equals(runs.get(0).figures().keySet())) {
        throw new OutriggerException(
            "Seed " + run.seed() + " measured other figures than seed " + runs.get(0).seed() + ".");
      }
    }
  }

  /** The names of the figures, in order. */
  public List<String> names() {
    return List.copyOf(runs.get(0).figures().keySet());
  }

  /** A figure's value of each seed. */
  public double[] values(String figure) {
    return runs.stream()
        .mapToDouble(
            run -> {
              Double value = run.figures().get(figure);
              if (value == null) {
                throw new OutriggerException("No figure is called '" + figure + "'.");
              }
              return value;
            })
        .toArray();
  }

  /** The mean over the seeds. */
  public double mean(String figure) {
    return mean(values(figure));
  }

  /** The standard deviation over the seeds, with n - 1; NaN for a single seed. */
  public double deviation(String figure) {
    return deviation(values(figure));
  }

  static double mean(double[] values) {
    return Arrays.stream(values).sum() / values.length;
  }

  static double deviation(double[] values) {
    double mean = mean(values);
    double squares = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
    return values.length < 2 ? Double.NaN : Math.sqrt(squares / (values.length - 1));
  }

  /** Mean and deviation as text. */
  public String summary(String figure) {
    double deviation = deviation(figure);
    return number(mean(figure)) + (Double.isNaN(deviation) ? "" : " ± " + number(deviation));
  }

  /** A figure with four decimals. */
  public static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }
}
