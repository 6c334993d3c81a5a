package org.outrigger.cli;

import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.adaptation.Adaptation;
import org.outrigger.serve.adaptation.AdaptationSettings;
import picocli.CommandLine.Option;

/** Whether and how a server adapts. */
final class AdaptationOptions {
  @Option(
      names = "--adapt",
      arity = "0..1",
      paramLabel = "STACK",
      fallbackValue = "",
      description =
          "Let each stream that clients name follow an adapter of its own: the bundle's, or STACK,"
              + " such as eata:beta=0. Off by default; then the model itself answers.")
  private @Nullable String stack;

  @Option(
      names = "--adapt-batch",
      paramLabel = "ROWS",
      defaultValue = "64",
      description =
          "How many rows of a stream are learned from at a time; ${DEFAULT-VALUE} by default.")
  private int batch;

  @Option(
      names = "--adapt-streams",
      paramLabel = "N",
      defaultValue = "16",
      description =
          "The most streams of a guard in memory; others wait on disk. ${DEFAULT-VALUE} by"
              + " default.")
  private int streams;

  @Option(
      names = "--adapt-stored",
      paramLabel = "N",
      defaultValue = "1000",
      description =
          "The most streams of a guard on disk; the oldest are forgotten. ${DEFAULT-VALUE} by"
              + " default.")
  private int stored;

  @Option(
      names = "--adapt-checkpoint",
      paramLabel = "SECONDS",
      defaultValue = "60",
      description =
          "How often what streams learn is written; a crash loses at most that. ${DEFAULT-VALUE} by"
              + " default.")
  private int checkpoint;

  @Option(
      names = "--adapt-default-stream",
      paramLabel = "NAME",
      defaultValue = "",
      description =
          "The stream of requests that name none; without it the model itself answers them.")
  private String defaultStream = "";

  /** The server's part. */
  Adaptation part(Supplier<Path> dataDir) {
    if (stack == null) {
      return new Adaptation(AdaptationSettings.off());
    }
    return new Adaptation(
        AdaptationSettings.on(stack.isEmpty() ? null : stack, dataDir.get().resolve("adaptation"))
            .withBatch(batch)
            .withStreams(streams, stored)
            .withCheckpoint(Duration.ofSeconds(checkpoint))
            .withDefaultStream(defaultStream));
  }
}
