package org.outrigger.serve.adaptation;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.HyperParameter;

/**
 * How a server adapts.
 *
 * @param enabled whether it does
 * @param stack of adapters for all guards, as {@code Adapters.parse} reads it; null for the one
 *     that each bundle holds
 * @param batch how many rows of a stream are learned from at a time
 * @param streams the most streams of a guard in memory; further ones wait on disk
 * @param stored the most streams of a guard on disk; those written longest ago are forgotten
 * @param checkpoint how often what streams learned is written; a crash loses at most that
 * @param defaultStream what rows belong to whose client names no stream; {@code ""} for none, so
 *     that the model itself answers
 * @param folder where streams are kept
 */
public record AdaptationSettings(
    boolean enabled,
    @Nullable String stack,
    int batch,
    int streams,
    int stored,
    Duration checkpoint,
    String defaultStream,
    Path folder) {
  public AdaptationSettings {
    HyperParameter.atLeast("batch", batch, 1);
    HyperParameter.atLeast("streams", streams, 1);
    HyperParameter.require(stored >= streams, "stored", stored, "as many as streams, or more");
    HyperParameter.require(checkpoint.toMillis() >= 1, "checkpoint", checkpoint, "1 ms or longer");
  }

  /** Switched off. */
  public static AdaptationSettings off() {
    return new AdaptationSettings(
        false, null, 64, 16, 1000, Duration.ofSeconds(60), "", Path.of("."));
  }

  /**
   * Switched on: batches of 64 rows, 16 streams in memory and 1000 on disk, written every minute.
   */
  public static AdaptationSettings on(@Nullable String stack, Path folder) {
    return new AdaptationSettings(true, stack, 64, 16, 1000, Duration.ofSeconds(60), "", folder);
  }

  public AdaptationSettings withBatch(int rows) {
    return new AdaptationSettings(
        enabled, stack, rows, streams, stored, checkpoint, defaultStream, folder);
  }

  public AdaptationSettings withStreams(int inMemory, int onDisk) {
    return new AdaptationSettings(
        enabled, stack, batch, inMemory, onDisk, checkpoint, defaultStream, folder);
  }

  public AdaptationSettings withCheckpoint(Duration every) {
    return new AdaptationSettings(
        enabled, stack, batch, streams, stored, every, defaultStream, folder);
  }

  public AdaptationSettings withDefaultStream(String name) {
    return new AdaptationSettings(enabled, stack, batch, streams, stored, checkpoint, name, folder);
  }
}
