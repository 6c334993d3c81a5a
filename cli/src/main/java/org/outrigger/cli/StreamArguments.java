package org.outrigger.cli;

import java.util.List;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.evaluate.stream.StreamProtocol;
import org.outrigger.evaluate.stream.StreamSettings;
import picocli.CommandLine.Option;

/** How a stream of test data runs. */
final class StreamArguments {
  @Option(
      names = "--stream",
      paramLabel = "NAME",
      defaultValue = "continual",
      description =
          "The protocol: continual, gradual, mixed_domains, correlated, mixed_domains_correlated,"
              + " gradual_correlated, reset_each_shift, reset_each_shift_correlated, episodic,"
              + " single_sample, recurring or label_shift; ${DEFAULT-VALUE} by default.")
  private String stream;

  @Option(
      names = "--corruptions",
      split = ",",
      paramLabel = "NAME",
      description = "The corruptions in order; the classic fifteen by default.")
  private List<String> corruptions = List.of();

  @Option(
      names = "--severity",
      paramLabel = "1..5",
      description = "Of the corruptions; 5 by default.")
  private @Nullable Integer severity;

  @Option(
      names = "--delta",
      paramLabel = "D",
      description =
          "Dirichlet concentration of a correlated stream; 0 sorts by class, 0.1 by default.")
  private @Nullable Double delta;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      description = "How many times the whole sequence of domains comes.")
  private @Nullable Integer rounds;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Rows of a batch; 64 by default, 1 for single_sample.")
  private @Nullable Integer batchSize;

  /** The protocol with its settings. */
  StreamProtocol protocol(long seed) {
    StreamProtocol protocol = StreamProtocol.parse(stream).with(s -> s.withSeed(seed));
    if (!corruptions.isEmpty()) {
      List<Corruption> chosen = corruptions.stream().map(Corruption::named).toList();
      protocol = protocol.with(s -> s.withCorruptions(chosen));
    }
    protocol = change(protocol, severity, StreamSettings::withSeverity);
    protocol = change(protocol, delta, StreamSettings::withDelta);
    protocol = change(protocol, rounds, StreamSettings::withRounds);
    return change(protocol, batchSize, StreamSettings::withBatchSize);
  }

  private static <V> StreamProtocol change(
      StreamProtocol protocol,
      @Nullable V value,
      BiFunction<StreamSettings, V, StreamSettings> setting) {
    return value == null ? protocol : protocol.with(s -> setting.apply(s, value));
  }

  /** In a few words, for a report. */
  String describe(StreamProtocol protocol, boolean corrupted) {
    StreamSettings s = protocol.settings();
    return protocol.name()
        + (corrupted && protocol.sequence() != StreamProtocol.Sequence.GRADUAL
            ? " at severity " + s.severity()
            : "")
        + (protocol.order() == StreamProtocol.Order.CORRELATED ? ", delta " + s.delta() : "")
        + (s.rounds() > 1 ? ", " + s.rounds() + " rounds" : "")
        + ", batches of "
        + s.batchSize();
  }
}
