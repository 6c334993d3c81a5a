package org.outrigger.stream;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * ADWIN: a window that grows while the mean stays and drops its oldest part once two parts differ.
 * The window is an exponential histogram, buckets of 2^r values each, so that its memory is
 * logarithmic. It is cut between two buckets where the means of the n0 older and n1 newer values
 * differ by more than {@code sqrt(2 m v L) + 2/3 L m}, with the variance v of the window, {@code L
 * = ln(2 ln(w) / delta)} and {@code m = 1 / (n0 - minWindow + 1) + 1 / (n1 - minWindow + 1)}.
 *
 * <p>The rarest false alarms of the detectors here and no tuning to the unit of the values, paid
 * with delay: it looks at every {@code clock}-th value only.
 *
 * <p>Bifet, Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007.
 */
@Card(
    slug = "adwin",
    name = "ADWIN",
    summary = "A window that keeps what still has the same mean; any number, few false alarms.",
    paper = "Bifet, Gavaldà. Learning from Time-Changing Data with Adaptive Windowing. SDM 2007",
    year = 2007,
    room = Room.STREAM,
    needs = {},
    state = "an exponential histogram of the window")
public final class Adwin extends BaseDriftDetector<Adwin.Settings> {
  private static final int MOST_ROWS = 60;

  /**
   * @param delta the chance of a false cut that the bound grants, in (0, 1)
   * @param clock how many values between two looks, 1 or more
   * @param maxBuckets buckets of one size before two are merged, 2 or more
   * @param minWindow the fewest values on either side of a cut, 1 or more
   * @param grace the window must be longer than this to be cut, 0 or more
   * @param resetOnDrift whether a drift empties the window, or leaves it shrunken as the paper does
   */
  public record Settings(
      double delta, int clock, int maxBuckets, int minWindow, int grace, boolean resetOnDrift) {
    public Settings {
      HyperParameter.inside("delta", delta, 0, 1);
      HyperParameter.atLeast("clock", clock, 1);
      HyperParameter.atLeast("maxBuckets", maxBuckets, 2);
      HyperParameter.atLeast("minWindow", minWindow, 1);
      HyperParameter.atLeast("grace", grace, 0);
    }

    public static Settings defaults() {
      return new Settings(0.002, 32, 5, 5, 10, true);
    }
  }

  /** Buckets of one size, oldest first: their sums and sums of squared deviations. */
  private static final class Row {
    final double[] sums;
    final double[] squares;
    int size;

    Row(int capacity) {
      sums = new double[capacity];
      squares = new double[capacity];
    }

    void append(double sum, double square) {
      sums[size] = sum;
      squares[size] = square;
      size++;
    }

    void drop(int buckets) {
      size -= buckets;
      System.arraycopy(sums, buckets, sums, 0, size);
      System.arraycopy(squares, buckets, squares, 0, size);
    }
  }

  private final List<Row> rows = new ArrayList<>();
  private long ticks;
  private double width;
  private double total;
  private double squares;

  public Adwin() {
    this(Settings.defaults());
  }

  public Adwin(Settings settings) {
    super(settings);
  }

  /**
   * The difference of means that makes a cut.
   *
   * @param before n0, the older values
   * @param after n1, the newer ones
   * @param variance of the window, 0 or more
   */
  public static double cut(
      double before, double after, double variance, double delta, int minWindow) {
    double m = 1 / (before - minWindow + 1) + 1 / (after - minWindow + 1);
    double log = Math.log(2 * Math.log(before + after) / delta);
    return Math.sqrt(2 * m * variance * log) + 2.0 / 3 * log * m;
  }

  @Override
  public Domain domain() {
    return Domain.REAL;
  }

  @Override
  public long warmUp() {
    Settings s = settings();
    long least = Math.max(2L * s.minWindow, s.grace + 1L);
    return (least + s.clock - 1) / s.clock * s.clock;
  }

  /** How many values the window holds. */
  public long width() {
    return (long) width;
  }

  /** The mean of the window; 0 while it is empty. */
  public double mean() {
    return width == 0 ? 0 : total / width;
  }

  /** The variance of the window, with n; 0 while it is empty. */
  public double variance() {
    return width == 0 ? 0 : Math.max(0, squares) / width;
  }

  @Override
  protected void step(double value) {
    ticks++;
    insert(value);
    Settings s = settings();
    boolean cut = false;
    if (ticks % s.clock == 0 && width > s.grace) {
      while (differs(s)) {
        dropOldest();
        cut = true;
      }
    }
    flag(cut, false);
  }

  private void insert(double value) {
    if (rows.isEmpty()) {
      rows.add(new Row(settings().maxBuckets + 1));
    }
    rows.get(0).append(value, 0);
    width++;
    if (width > 1) {
      double gap = value - total / (width - 1);
      squares += (width - 1) * gap * gap / width;
    }
    total += value;
    for (int r = 0; r < rows.size() && rows.get(r).size > settings().maxBuckets; r++) {
      merge(r);
    }
  }

  /** The two oldest buckets of a row become one of the next. */
  private void merge(int r) {
    if (r + 1 == rows.size()) {
      rows.add(new Row(settings().maxBuckets + 1));
    }
    Row row = rows.get(r);
    double n = Math.scalb(1.0, r);
    double gap = row.sums[0] / n - row.sums[1] / n;
    rows.get(r + 1)
        .append(row.sums[0] + row.sums[1], row.squares[0] + row.squares[1] + n / 2 * gap * gap);
    row.drop(2);
  }

  /** Whether some cut parts the window into two that differ. */
  private boolean differs(Settings s) {
    double before = 0;
    double sumBefore = 0;
    double variance = variance();
    for (int r = rows.size() - 1; r >= 0; r--) {
      Row row = rows.get(r);
      double n = Math.scalb(1.0, r);
      for (int b = 0; b < row.size; b++) {
        before += n;
        sumBefore += row.sums[b];
        double after = width - before;
        if (after <= 0) {
          return false;
        }
        if (before >= s.minWindow && after >= s.minWindow) {
          double gap = Math.abs(sumBefore / before - (total - sumBefore) / after);
          if (gap > cut(before, after, variance, s.delta, s.minWindow)) {
            return true;
          }
        }
      }
    }
    return false;
  }

  private void dropOldest() {
    int r = rows.size() - 1;
    Row row = rows.get(r);
    double n = Math.scalb(1.0, r);
    double sum = row.sums[0];
    width -= n;
    total -= sum;
    double gap = sum / n - total / width;
    squares -= row.squares[0] + n * width * gap * gap / (n + width);
    row.drop(1);
    while (r > 0 && rows.get(r).size == 0) {
      rows.remove(r--);
    }
  }

  @Override
  protected void startAnew() {
    if (settings().resetOnDrift) {
      super.startAnew();
    }
  }

  @Override
  protected void clear() {
    rows.clear();
    ticks = 0;
    width = 0;
    total = 0;
    squares = 0;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("ticks", ticks);
    memory.put("width", width);
    memory.put("total", total);
    memory.put("squares", squares);
    memory.put("rows", rows.size());
    for (int r = 0; r < rows.size(); r++) {
      Row row = rows.get(r);
      memory.put("sums " + r, Arrays.stream(row.sums, 0, row.size).boxed().toList());
      memory.put("squares " + r, Arrays.stream(row.squares, 0, row.size).boxed().toList());
    }
  }

  @Override
  protected void load(State memory) {
    ticks = count(memory, "ticks", 1L << 53);
    width = count(memory, "width", 1L << 53);
    total = known(memory, "total");
    squares = known(memory, "squares");
    rows.clear();
    int count = (int) count(memory, "rows", MOST_ROWS);
    double held = 0;
    for (int r = 0; r < count; r++) {
      double[] sums = numbers(memory, "sums " + r);
      double[] deviations = numbers(memory, "squares " + r);
      if (sums.length != deviations.length || sums.length > settings().maxBuckets) {
        throw new OutriggerException(
            "The saved ADWIN has a row of impossible size: the file is damaged.");
      }
      Row row = new Row(settings().maxBuckets + 1);
      for (int b = 0; b < sums.length; b++) {
        row.append(sums[b], deviations[b]);
      }
      rows.add(row);
      held += sums.length * Math.scalb(1.0, r);
    }
    if (held != width) {
      throw new OutriggerException(
          "The saved ADWIN holds "
              + (long) held
              + " values in its buckets, but says "
              + (long) width
              + ": the file is damaged.");
    }
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("width", width);
    all.put("total", total);
    all.put("squared deviations", squares);
    all.put("mean", mean());
    return all;
  }
}
