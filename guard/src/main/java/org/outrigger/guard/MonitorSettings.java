package org.outrigger.guard;

import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * How a {@link GuardMonitor} looks at traffic.
 *
 * @param windowRows rows that are compared with the reference together, 20 or more
 * @param windowTime a window also ends when a row comes that much later than its first, if it has
 *     20 rows by then; null for no bound
 * @param alpha the chance that a window without any drift has a channel beyond its threshold, over
 *     all channels and features, in (0, 1): false alarms come once in 1 / alpha windows or rarer
 * @param agree how many of the last {@code of} windows must be beyond before there is an alarm
 * @param of see {@code agree}
 * @param inputTest the test of the inputs: a {@code DriftTest} with settings; its own level is not
 *     used where it gives p-values. Columns of at most ten different values are always tested by
 *     their counts
 * @param errorDetectors stream detectors of the errors, a list with settings; blank for none
 * @param channels what is watched, of {@link #ALL}
 * @param history windows that are remembered, 1 or more
 * @param features at most so many are named in a change, 1 or more
 */
public record MonitorSettings(
    int windowRows,
    @Nullable Duration windowTime,
    double alpha,
    int agree,
    int of,
    String inputTest,
    String errorDetectors,
    List<String> channels,
    int history,
    int features) {
  /** The least rows of a window. */
  public static final int LEAST = 20;

  /** All channels. */
  public static final List<String> ALL =
      List.of("inputs", "scores", "unknown", "predictions", "confidence", "errors");

  public MonitorSettings {
    HyperParameter.atLeast("windowRows", windowRows, LEAST);
    HyperParameter.require(
        windowTime == null || windowTime.toMillis() > 0,
        "windowTime",
        String.valueOf(windowTime),
        "above 0");
    HyperParameter.inside("alpha", alpha, 0, 1);
    HyperParameter.atLeast("of", of, 1);
    HyperParameter.between("agree", agree, 1, of);
    HyperParameter.atLeast("history", history, 1);
    HyperParameter.atLeast("features", features, 1);
    channels = List.copyOf(channels);
    for (String channel : channels) {
      if (!ALL.contains(channel)) {
        throw new OutriggerException(
            "There is no channel '" + channel + "': choose of " + String.join(", ", ALL) + ".");
      }
    }
  }

  /** Windows of 200 rows, one false alarm in 1,000 of them, all channels. */
  public static MonitorSettings defaults() {
    return new MonitorSettings(200, null, 0.001, 1, 1, "ks-test", "hddm-w,adwin", ALL, 500, 5);
  }

  /** With windows of that size, and of that time at most. */
  public MonitorSettings withWindow(int rows, @Nullable Duration time) {
    return new MonitorSettings(
        rows, time, alpha, agree, of, inputTest, errorDetectors, channels, history, features);
  }

  /** With that rate of false alarms. */
  public MonitorSettings withAlpha(double level) {
    return new MonitorSettings(
        windowRows,
        windowTime,
        level,
        agree,
        of,
        inputTest,
        errorDetectors,
        channels,
        history,
        features);
  }

  /** With alarms only where so many of the last windows agree. */
  public MonitorSettings withPatience(int windows, int last) {
    return new MonitorSettings(
        windowRows,
        windowTime,
        alpha,
        windows,
        last,
        inputTest,
        errorDetectors,
        channels,
        history,
        features);
  }

  /** With those methods. */
  public MonitorSettings withMethods(String inputs, String errors) {
    return new MonitorSettings(
        windowRows, windowTime, alpha, agree, of, inputs, errors, channels, history, features);
  }

  /** Watching those channels alone. */
  public MonitorSettings withChannels(List<String> names) {
    return new MonitorSettings(
        windowRows,
        windowTime,
        alpha,
        agree,
        of,
        inputTest,
        errorDetectors,
        names,
        history,
        features);
  }

  /** Remembering so many windows. */
  public MonitorSettings withHistory(int windows) {
    return new MonitorSettings(
        windowRows,
        windowTime,
        alpha,
        agree,
        of,
        inputTest,
        errorDetectors,
        channels,
        windows,
        features);
  }
}
