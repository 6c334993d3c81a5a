package org.outrigger.serve.dashboard;

import java.time.Duration;
import org.outrigger.core.method.HyperParameter;

/**
 * How the dashboard is.
 *
 * @param inputs whether the unknown inputs with the largest scores are kept for an hour and shown
 * @param subscribers the most pages that are told of news at a time
 * @param interval how often they are told
 */
public record DashboardSettings(boolean inputs, int subscribers, Duration interval) {
  public DashboardSettings {
    HyperParameter.atLeast("subscribers", subscribers, 1);
    HyperParameter.require(
        interval.toMillis() >= 100, "interval", interval, "a tenth of a second or longer");
  }

  /** No inputs, 32 pages, news every two seconds. */
  public static DashboardSettings defaults() {
    return new DashboardSettings(false, 32, Duration.ofSeconds(2));
  }

  public DashboardSettings withInputs(boolean keep) {
    return new DashboardSettings(keep, subscribers, interval);
  }

  public DashboardSettings withSubscribers(int most) {
    return new DashboardSettings(inputs, most, interval);
  }

  public DashboardSettings withInterval(Duration every) {
    return new DashboardSettings(inputs, subscribers, every);
  }
}
