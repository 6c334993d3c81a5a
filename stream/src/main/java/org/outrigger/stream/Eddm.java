package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * EDDM, the early drift detection method: errors that come closer together. With mean p' and
 * standard deviation s' of the gaps between errors it compares {@code q = p' + 2 s'} with its
 * largest so far: a warning is {@code q / q_max < alpha}, a drift {@code q / q_max < beta}.
 *
 * <p>It decides at errors alone, so that flags stay between them, and reacts to gradual changes
 * earlier than {@link Ddm}, at the price of many more false alarms.
 *
 * <p>Baena-García et al., "Early Drift Detection Method", ECML PKDD workshop on knowledge discovery
 * from data streams 2006.
 */
@Card(
    slug = "eddm",
    name = "EDDM",
    summary = "Errors that come closer together; early, and quick to cry wolf.",
    paper = "Baena-García et al., Early Drift Detection Method, IWKDDS 2006",
    year = 2006,
    room = Room.STREAM,
    needs = {},
    state = "gaps between errors")
public final class Eddm extends BaseDriftDetector<Eddm.Settings> {
  /**
   * @param warmStart errors are judged after more than so many values and errors, 1 or more
   * @param alpha ratio for a warning, in (0, 1]
   * @param beta ratio for a drift, in (0, alpha]
   */
  public record Settings(int warmStart, double alpha, double beta) {
    public Settings {
      HyperParameter.atLeast("warmStart", warmStart, 1);
      HyperParameter.require(alpha > 0 && alpha <= 1, "alpha", alpha, "above 0 and at most 1");
      HyperParameter.require(
          beta > 0 && beta <= alpha, "beta", beta, "above 0 and at most alpha = " + alpha);
    }

    public static Settings defaults() {
      return new Settings(30, 0.95, 0.9);
    }
  }

  private long last;
  private long errors;
  private double mean;
  private double squares;
  private double largest = -1;

  public Eddm() {
    this(Settings.defaults());
  }

  public Eddm(Settings settings) {
    super(settings);
  }

  @Override
  public Domain domain() {
    return Domain.BINARY;
  }

  @Override
  public long warmUp() {
    return settings().warmStart() + 1L;
  }

  @Override
  protected void step(double value) {
    if (value == 0) {
      return;
    }
    Settings s = settings();
    double gap = seen() - last;
    last = seen();
    errors++;
    double before = gap - mean;
    mean += before / errors;
    squares += before * (gap - mean);
    if (seen() <= s.warmStart) {
      return;
    }
    double q = mean + 2 * sd();
    if (q > largest) {
      largest = q;
    } else if (errors > s.warmStart) {
      double ratio = q / largest;
      if (ratio < s.beta) {
        flag(true, warning());
      } else {
        flag(false, ratio < s.alpha);
      }
    }
  }

  private double sd() {
    return errors < 2 ? 0 : Math.sqrt(squares / (errors - 1));
  }

  @Override
  protected void clear() {
    last = 0;
    errors = 0;
    mean = 0;
    squares = 0;
    largest = -1;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("last", last);
    memory.put("errors", errors);
    memory.put("mean", mean);
    memory.put("squares", squares);
    memory.put("largest", largest);
  }

  @Override
  protected void load(State memory) {
    last = count(memory, "last", 1L << 53);
    errors = count(memory, "errors", 1L << 53);
    mean = known(memory, "mean");
    squares = known(memory, "squares");
    largest = known(memory, "largest");
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("errors", (double) errors);
    all.put("mean gap", mean);
    all.put("sd of gaps", sd());
    all.put("largest", largest);
    return all;
  }
}
