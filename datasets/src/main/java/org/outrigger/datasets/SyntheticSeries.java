package org.outrigger.datasets;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import org.outrigger.core.data.TimeSeries;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;

/**
 * Series whose law is known: {@code a (sin(2 pi t / p1 + f1) + sin(2 pi t / p2 + f2) + s t +
 * noise)} with amplitude, periods, phases and slope of each series drawn uniformly.
 */
public enum SyntheticSeries {
  /** Periods of 6 to 18 points, slopes up to 0.01 a point, noise 0.1. */
  KNOWN(6, 18, 0.01, 0.1),
  /** A harder kind that is out of distribution: periods 18 to 28, steeper, more noise. */
  SHIFTED(18, 28, 0.03, 0.15);

  private final double shortest;
  private final double longest;
  private final double slope;
  private final double noise;

  SyntheticSeries(double shortest, double longest, double slope, double noise) {
    this.shortest = shortest;
    this.longest = longest;
    this.slope = slope;
    this.noise = noise;
  }

  /** One series of that many points; amplitudes are 1 to 5. */
  public float[] draw(int points, SplittableRandom random) {
    HyperParameter.atLeast("points", points, 1);
    double amplitude = random.nextDouble(1, 5);
    double first = 2 * Math.PI / random.nextDouble(shortest, longest);
    double second = 2 * Math.PI / random.nextDouble(shortest, longest);
    double firstPhase = random.nextDouble(2 * Math.PI);
    double secondPhase = random.nextDouble(2 * Math.PI);
    double trend = random.nextDouble(-slope, slope);
    float[] values = new float[points];
    for (int t = 0; t < points; t++) {
      values[t] =
          (float)
              (amplitude
                  * (Math.sin(first * t + firstPhase)
                      + Math.sin(second * t + secondPhase)
                      + trend * t
                      + noise * gaussian(random)));
    }
    return values;
  }

  /** Of two uniform draws, so that a series takes the same number of draws on every Java. */
  private static double gaussian(SplittableRandom random) {
    double radius = Math.sqrt(-2 * Math.log(1 - random.nextDouble()));
    return radius * Math.cos(2 * Math.PI * random.nextDouble());
  }

  /** Several series of the same length. */
  public List<TimeSeries> series(int count, int points, long seed) {
    HyperParameter.atLeast("count", count, 1);
    String name = name().toLowerCase(Locale.ROOT);
    SplittableRandom random = new SplittableRandom(Rng.derive(seed, "series " + name));
    List<TimeSeries> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      all.add(new TimeSeries(name + "-" + i, draw(points, random)));
    }
    return all;
  }
}
