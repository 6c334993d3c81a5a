package org.outrigger.stream;

import java.util.Map;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;

/**
 * Watches one number that comes again and again, such as whether a prediction was wrong, and says
 * when it is no longer what it was. One pass, a constant or logarithmic memory, plain Java numbers.
 *
 * <ul>
 *   <li>The level is what holds <em>right after</em> an update.
 *   <li>After a drift the detector starts anew by itself at the next update, whose value is the
 *       first of the new stream.
 *   <li>No flag is raised before {@link #warmUp} values have been seen since the last start.
 *   <li>A value that is refused changes nothing.
 *   <li>A detector saved between two updates and restored goes on to the last bit.
 * </ul>
 *
 * <p>All of these detectors take values for independent of each other; streams whose values depend
 * on the ones before raise more false alarms than the {@link RunLength} tables say.
 *
 * <p>Not safe for concurrent use: one stream, one detector, one thread at a time.
 */
public interface DriftDetector extends Method, Stateful {
  /** Which values a detector takes. */
  enum Domain {
    /** Any finite number. */
    REAL("a finite number"),
    /** Numbers from 0 to 1, such as errors or losses that are bounded. */
    UNIT("between 0 and 1"),
    /** 1 for an error, 0 for none. */
    BINARY("0 or 1 (1 = error)");

    private final String words;

    Domain(String words) {
      this.words = words;
    }

    /** Whether {@code value} is one. */
    public boolean accepts(double value) {
      return switch (this) {
        case REAL -> Double.isFinite(value);
        case UNIT -> value >= 0 && value <= 1;
        case BINARY -> value == 0 || value == 1;
      };
    }

    /** In a few words, for messages. */
    public String words() {
      return words;
    }
  }

  /** Which values it takes. */
  Domain domain();

  /** How many values must have been seen since the last start before a flag can be raised. */
  long warmUp();

  /**
   * Takes the next value.
   *
   * @throws org.outrigger.core.OutriggerException if the value is not of its {@link #domain};
   *     nothing has changed then
   */
  DriftLevel update(double value);

  /** What the last update said; NONE before the first. */
  DriftLevel level();

  /**
   * Whether a warning is up. A drift clears it, except where the authors' rule keeps it: EDDM
   * leaves a warning that stood before, and a two-sided HDDM one that its other side gave.
   */
  boolean warning();

  /** How many values it has seen since it last started anew. */
  long seen();

  /** Forgets the stream; settings stay. */
  void reset();

  /** The numbers it decides by, by name, for display and logs; NaN or infinite while unset. */
  Map<String, Double> statistics();
}
