package org.outrigger.select.scaling;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TimeSeries;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;

/**
 * A fixed collection of series, of which windows are drawn: a series by its number of points, then
 * a number of patches and a place in it.
 */
public final class SeriesPool implements SeriesSource {
  /**
   * A collection cut in two.
   *
   * @param training to draw training windows of
   * @param heldOut windows of it measure the loss in distribution
   */
  public record Split(List<TimeSeries> training, List<TimeSeries> heldOut) {}

  private final List<TimeSeries> series;
  private final long[] upTo;

  /**
   * A pool of those series that are long enough.
   *
   * @param shortest points that a series must have: two patches
   * @throws OutriggerException if none is
   */
  public SeriesPool(List<TimeSeries> all, int shortest) {
    series = all.stream().filter(each -> each.length() >= shortest).toList();
    if (series.isEmpty()) {
      throw new OutriggerException(
          "No series has "
              + shortest
              + " points, which two patches take; the longest of "
              + all.size()
              + " has "
              + all.stream().mapToInt(TimeSeries::length).max().orElse(0)
              + ": use longer series or a smaller patch.");
    }
    upTo = new long[series.size()];
    long sum = 0;
    for (int i = 0; i < upTo.length; i++) {
      sum += series.get(i).length();
      upTo[i] = sum;
    }
  }

  /**
   * Cuts a collection. A tenth of the series is held out where there are ten or more; otherwise the
   * last fifth of each, in time.
   */
  public static Split split(List<TimeSeries> all, long seed) {
    List<TimeSeries> order = shuffled(all, seed);
    if (all.size() >= 10) {
      int held = Math.max(1, all.size() / 10);
      return new Split(
          List.copyOf(order.subList(held, order.size())), List.copyOf(order.subList(0, held)));
    }
    List<TimeSeries> training = new ArrayList<>();
    List<TimeSeries> heldOut = new ArrayList<>();
    for (TimeSeries each : order) {
      int cut = each.length() - each.length() / 5;
      training.add(each.part(0, cut));
      heldOut.add(each.part(cut, each.length() - cut));
    }
    return new Split(training, heldOut);
  }

  private static List<TimeSeries> shuffled(List<TimeSeries> all, long seed) {
    List<TimeSeries> order = new ArrayList<>(all);
    SplittableRandom random = new SplittableRandom(Rng.derive(seed, "order of series"));
    for (int i = order.size() - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      TimeSeries other = order.get(j);
      order.set(j, order.get(i));
      order.set(i, other);
    }
    return order;
  }

  /**
   * The first points of a collection, so that smaller amounts of data are part of larger ones.
   *
   * @param points D
   * @throws OutriggerException if there are not so many
   */
  public static List<TimeSeries> first(List<TimeSeries> all, long points) {
    HyperParameter.atLeast("points", points, 1);
    long there = all.stream().mapToLong(TimeSeries::length).sum();
    if (points > there) {
      throw new OutriggerException(
          "The training data have "
              + there
              + " points, not "
              + points
              + ": ask for fewer, or give more data.");
    }
    List<TimeSeries> some = new ArrayList<>();
    long left = points;
    for (TimeSeries each : all) {
      if (left == 0) {
        break;
      }
      int take = (int) Math.min(left, each.length());
      some.add(take == each.length() ? each : each.part(0, take));
      left -= take;
    }
    return some;
  }

  @Override
  public double points() {
    return (double) upTo[upTo.length - 1];
  }

  @Override
  public float[] draw(int patch, int least, int most, SplittableRandom random) {
    long point = random.nextLong(upTo[upTo.length - 1]);
    int at = Arrays.binarySearch(upTo, point + 1);
    TimeSeries chosen = series.get(at < 0 ? -at - 1 : at);
    int fits = Math.min(most, chosen.length() / patch);
    int patches = fits <= least ? Math.min(least, fits) : random.nextInt(least, fits + 1);
    int length = patches * patch;
    int start = random.nextInt(chosen.length() - length + 1);
    return Arrays.copyOfRange(chosen.values(), start, start + length);
  }

  /**
   * Windows that do not overlap, spread evenly over all series, for evaluation.
   *
   * @param points of each window
   * @param most windows at most
   * @throws OutriggerException if no series is long enough
   */
  public static List<float[]> windows(List<TimeSeries> all, int points, int most) {
    List<float[]> every = new ArrayList<>();
    for (TimeSeries each : all) {
      for (int start = 0; start + points <= each.length(); start += points) {
        every.add(Arrays.copyOfRange(each.values(), start, start + points));
      }
    }
    if (every.isEmpty()) {
      throw new OutriggerException(
          "No series to be evaluated has "
              + points
              + " points, which context and horizon take; the longest has "
              + all.stream().mapToInt(TimeSeries::length).max().orElse(0)
              + ": use longer series, a smaller patch, or a shorter context or horizon.");
    }
    List<float[]> some = new ArrayList<>();
    int count = Math.min(most, every.size());
    for (int i = 0; i < count; i++) {
      some.add(every.get((int) ((long) i * every.size() / count)));
    }
    return some;
  }
}
