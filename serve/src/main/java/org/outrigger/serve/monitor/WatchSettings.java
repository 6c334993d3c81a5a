package org.outrigger.serve.monitor;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.HyperParameter;

/**
 * How drift is watched for and told.
 *
 * @param folder where monitors are kept over restarts; null keeps nothing
 * @param repeat after which time a channel that still drifts is told again
 * @param quiet after how many windows without drift a channel has recovered
 * @param queueBatches how many batches of a guard may wait for its monitor
 * @param queueValues how many input values may wait, so that large inputs take no more memory
 * @param save how often monitors are kept; a crash loses at most what came in that time
 */
public record WatchSettings(
    @Nullable Path folder,
    Duration repeat,
    int quiet,
    int queueBatches,
    long queueValues,
    Duration save) {
  public WatchSettings {
    HyperParameter.require(!repeat.isNegative(), "repeat", repeat, "0 or longer");
    HyperParameter.atLeast("quiet", quiet, 1);
    HyperParameter.atLeast("queueBatches", queueBatches, 1);
    HyperParameter.require(queueValues >= 1, "queueValues", queueValues, "1 or more");
    HyperParameter.require(save.toMillis() >= 1, "save", save, "1 ms or longer");
  }

  /** Tells again after an hour, recovers after three windows, keeps monitors every minute. */
  public static WatchSettings of(@Nullable Path folder) {
    return new WatchSettings(
        folder, Duration.ofHours(1), 3, 256, 16_000_000, Duration.ofMinutes(1));
  }

  /** The same with another time to tell again and another number of quiet windows. */
  public WatchSettings withAlerts(Duration newRepeat, int newQuiet) {
    return new WatchSettings(folder, newRepeat, newQuiet, queueBatches, queueValues, save);
  }

  /** The same with another time between two saves. */
  public WatchSettings withSave(Duration newSave) {
    return new WatchSettings(folder, repeat, quiet, queueBatches, queueValues, newSave);
  }

  /** The same with another queue. */
  public WatchSettings withQueue(int batches, long values) {
    return new WatchSettings(folder, repeat, quiet, batches, values, save);
  }
}
