package org.outrigger.calibrate.conformal;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.TopLabel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Selection with guaranteed risk: a threshold on confidence such that, with probability 1 - delta
 * over the draw of the held-out rows, at most a share {@code risk} of the accepted predictions is
 * wrong. A binary search over the held-out confidences accepts as many rows as it can: the exact
 * binomial bound of the error among those accepted, at delta over the number of steps, must not
 * exceed the risk.
 *
 * <p>Geifman, El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
 */
@Card(
    slug = "selective-risk",
    name = "Selection with guaranteed risk",
    summary = "A confidence threshold above which at most a wanted share of answers is wrong.",
    paper = "Geifman, El-Yaniv. Selective Classification for Deep Neural Networks. NeurIPS 2017",
    year = 2017,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the threshold and what it was chosen on")
public final class SelectiveRisk implements Method, Stateful {
  private static final Logger LOG = LoggerFactory.getLogger(SelectiveRisk.class);
  private static final String TYPE = "selection/selective-risk";

  /**
   * @param risk the highest share of wrong answers among those accepted, in (0, 1)
   * @param delta the probability that it is exceeded all the same, in (0, 1)
   */
  public record Settings(double risk, double delta) {
    public Settings {
      HyperParameter.inside("risk", risk, 0, 1);
      HyperParameter.inside("delta", delta, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.05, 0.001);
    }
  }

  /**
   * What was chosen.
   *
   * @param threshold predictions at least this confident are accepted; infinite if none can be
   * @param coverage the share of the held-out rows that is accepted
   * @param error the share of wrong ones among those; 0 if there are none
   * @param bound what the true share is below with probability 1 - delta; 1 if nothing is accepted
   * @param rows how many held-out rows there were
   */
  public record Choice(double threshold, double coverage, double error, double bound, long rows) {}

  private volatile Settings settings;
  private volatile Choice choice = new Choice(Double.NaN, 0, 0, 1, 0);

  public SelectiveRisk() {
    this(Settings.defaults());
  }

  public SelectiveRisk(Settings settings) {
    this.settings = settings;
  }

  /**
   * The threshold that accepts most.
   *
   * @param held confidences of held-out rows and whether each was right
   */
  public static Choice choose(TopLabel held, double risk, double delta) {
    int m = held.size();
    int[] order =
        IntStream.range(0, m)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> held.confidence()[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    double[] sorted = Arrays.stream(order).mapToDouble(i -> held.confidence()[i]).toArray();
    int[] wrongFrom = new int[m + 1];
    for (int i = m - 1; i >= 0; i--) {
      wrongFrom[i] = wrongFrom[i + 1] + (held.correct()[order[i]] ? 0 : 1);
    }
    int steps = Math.max(1, 32 - Integer.numberOfLeadingZeros(m));
    Choice best = new Choice(Double.POSITIVE_INFINITY, 0, 0, 1, m);
    int low = 0;
    int high = m - 1;
    for (int step = 0; step < steps && low <= high; step++) {
      int middle = (low + high) >>> 1;
      // Equal confidences are accepted together.
      int from = middle;
      while (from > 0 && sorted[from - 1] == sorted[middle]) {
        from--;
      }
      int accepted = m - from;
      double bound = RiskBounds.binomialBound(wrongFrom[from], accepted, delta / steps);
      if (bound <= risk) {
        double coverage = accepted / (double) m;
        if (coverage > best.coverage) {
          double error = wrongFrom[from] / (double) accepted;
          best = new Choice(sorted[from], coverage, error, bound, m);
        }
        high = middle - 1;
      } else {
        low = middle + 1;
      }
    }
    return best;
  }

  /**
   * Chooses the threshold.
   *
   * @param held confidences of held-out rows and whether each was right; {@link TopLabel#of} makes
   *     them of probabilities and labels
   */
  public Choice fit(TopLabel held) {
    Settings now = settings;
    Choice made = choose(held, now.risk, now.delta);
    if (made.coverage == 0) {
      LOG.warn(
          "No confidence guarantees an error of {} at most with delta = {} on {} held-out rows:"
              + " nothing will be accepted. Give more rows, or allow more error.",
          now.risk,
          now.delta,
          made.rows);
    }
    choice = made;
    return made;
  }

  /** Whether a threshold has been chosen. */
  public boolean fitted() {
    return !Double.isNaN(choice.threshold);
  }

  /** What was chosen. */
  public Choice choice() {
    Choice now = choice;
    if (Double.isNaN(now.threshold)) {
      throw new OutriggerException(
          "No threshold has been chosen: call fit with held-out rows first, or restore a saved"
              + " one.");
    }
    return now;
  }

  /** Whether a prediction of that confidence is accepted. */
  public boolean accepts(double confidence) {
    return confidence >= choice().threshold;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Choice now = choice();
    return new State(
        TYPE,
        1,
        Map.of("settings", Methods.values(settings), "choice", Methods.values(now)),
        Map.of());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved =
        Methods.create(SelectiveRisk.class, card().slug(), state.map("settings")).settings();
    State values = new State(TYPE, 1, state.map("choice"), Map.of());
    Choice next =
        new Choice(
            values.number("threshold"),
            values.number("coverage"),
            values.number("error"),
            values.number("bound"),
            (long) values.number("rows"));
    if (Double.isNaN(next.threshold) || next.rows < 1) {
      throw new OutriggerException("The saved threshold is not a number: the file is damaged.");
    }
    settings = saved;
    choice = next;
  }
}
