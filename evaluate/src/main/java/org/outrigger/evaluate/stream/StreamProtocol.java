package org.outrigger.evaluate.stream;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.evaluate.corruption.Corruption;

/**
 * How a stream of test data runs: which domains come when, in what order of labels, and where a
 * model starts anew.
 *
 * <pre>{@code
 * TestStream stream =
 *     StreamProtocol.parse("correlated").with(s -> s.withDelta(0.1).withSeed(1)).over(images);
 * TestStream rotating =
 *     StreamProtocol.parse("continual").over(images, Rotation.range(20, 75, 5));
 * }</pre>
 *
 * <p>Domains are corruptions, other shifts of one data set, or data sets of their own. The
 * protocols and their names are those of the benchmarks of test-time adaptation (Wang et al.,
 * "CoTTA", CVPR 2022; Gong et al., "NOTE", NeurIPS 2022; Boudiaf et al., "LAME", CVPR 2022; Marsden
 * et al., "ROID", WACV 2024).
 *
 * @param name such as {@code continual}
 * @param sequence which domains come when
 * @param order of the rows of a domain, or of all of them together
 * @param reset where a model starts anew
 * @param settings what can be chosen of any stream
 */
public record StreamProtocol(
    String name, Sequence sequence, Order order, Reset reset, StreamSettings settings) {
  /** Which domains come when. */
  public enum Sequence {
    /** One after the other. */
    ONE_BY_ONE,
    /** One after the other, each with the severities 1, 2, 3, 4, 5, 4, 3, 2, 1. */
    GRADUAL,
    /** All of them at once. */
    MIXED
  }

  /** How rows are ordered. */
  public enum Order {
    SHUFFLED,
    /** Neighbours share a class; see {@link DirichletOrder}. */
    CORRELATED,
    /** Drawn with class frequencies of Zipf's law, as many as there are; see {@link LabelShift}. */
    LABEL_SHIFT
  }

  /** Where a model starts anew, besides the start of the stream. */
  public enum Reset {
    NEVER,
    EACH_SHIFT,
    EACH_BATCH
  }

  private static final int[] SEVERITIES = {1, 2, 3, 4, 5, 4, 3, 2, 1};
  private static final int RECURRING = 20;
  private static final List<StreamProtocol> ALL =
      List.of(
          of("reset_each_shift", Sequence.ONE_BY_ONE, Order.SHUFFLED, Reset.EACH_SHIFT),
          of("continual", Sequence.ONE_BY_ONE, Order.SHUFFLED, Reset.NEVER),
          of("gradual", Sequence.GRADUAL, Order.SHUFFLED, Reset.NEVER),
          of("mixed_domains", Sequence.MIXED, Order.SHUFFLED, Reset.NEVER),
          of("correlated", Sequence.ONE_BY_ONE, Order.CORRELATED, Reset.NEVER),
          of("mixed_domains_correlated", Sequence.MIXED, Order.CORRELATED, Reset.NEVER),
          of("gradual_correlated", Sequence.GRADUAL, Order.CORRELATED, Reset.NEVER),
          of(
              "reset_each_shift_correlated",
              Sequence.ONE_BY_ONE,
              Order.CORRELATED,
              Reset.EACH_SHIFT),
          of("episodic", Sequence.ONE_BY_ONE, Order.SHUFFLED, Reset.EACH_BATCH),
          of("single_sample", Sequence.ONE_BY_ONE, Order.SHUFFLED, Reset.NEVER)
              .with(s -> s.withBatchSize(1)),
          of("recurring", Sequence.ONE_BY_ONE, Order.SHUFFLED, Reset.NEVER)
              .with(s -> s.withRounds(RECURRING)),
          of("label_shift", Sequence.ONE_BY_ONE, Order.LABEL_SHIFT, Reset.NEVER));

  private static StreamProtocol of(String name, Sequence sequence, Order order, Reset reset) {
    return new StreamProtocol(name, sequence, order, reset, StreamSettings.defaults());
  }

  /** All that have a name, with default settings. */
  public static List<StreamProtocol> all() {
    return ALL;
  }

  /**
   * The protocol of that name with its default settings; hyphens count as underscores.
   *
   * @throws OutriggerException that lists the names there are
   */
  public static StreamProtocol parse(String name) {
    String wanted = name.strip().toLowerCase(Locale.ROOT).replace('-', '_');
    return ALL.stream()
        .filter(protocol -> protocol.name.equals(wanted))
        .findFirst()
        .orElseThrow(
            () ->
                new OutriggerException(
                    "Unknown stream protocol '"
                        + name
                        + "': choose from "
                        + ALL.stream().map(StreamProtocol::name).collect(Collectors.joining(", "))
                        + "."));
  }

  /** The same with other settings. */
  public StreamProtocol with(UnaryOperator<StreamSettings> change) {
    return new StreamProtocol(name, sequence, order, reset, change.apply(settings));
  }

  /** The same with other starts, such as {@link Reset#EACH_BATCH} for an episodic stream. */
  public StreamProtocol withReset(Reset value) {
    return new StreamProtocol(name, sequence, order, value, settings);
  }

  /**
   * The stream of images under the corruptions of the settings.
   *
   * @param images in [0, 1]; they must stay open as long as the stream is read
   */
  public TestStream over(IndexedDataset images) {
    Corruption.Settings noise = Corruption.Settings.seeded(settings.seed());
    return overFamilies(
        images,
        settings.corruptions().stream()
            .map(corruption -> ShiftFamily.of(corruption, noise))
            .toList());
  }

  /**
   * The stream of data under shifts that come in severities.
   *
   * @param data must stay open as long as the stream is read
   * @param families at least one, no two of one name
   */
  public TestStream overFamilies(IndexedDataset data, List<ShiftFamily> families) {
    if (sequence != Sequence.GRADUAL) {
      return over(data, families.stream().map(f -> named(f, settings.severity(), "")).toList());
    }
    List<Shift> shifts = new ArrayList<>();
    List<int[]> visits = new ArrayList<>();
    for (ShiftFamily family : families) {
      int first = shifts.size() - 1;
      for (int severity = 1; severity <= Corruption.SEVERITIES; severity++) {
        shifts.add(named(family, severity, " " + severity));
      }
      for (int severity : SEVERITIES) {
        visits.add(new int[] {first + severity});
      }
    }
    return new TestStream(this, Domain.of(data, shifts), visits);
  }

  private static Shift named(ShiftFamily family, int severity, String suffix) {
    return Shift.view(family.name() + suffix, family.at(severity)::of);
  }

  /**
   * The stream of data under these shifts.
   *
   * @param data must stay open as long as the stream is read
   * @param shifts at least one, no two of one name
   */
  public TestStream over(IndexedDataset data, List<Shift> shifts) {
    return over(Domain.of(data, shifts));
  }

  /**
   * The stream of these domains.
   *
   * @throws OutriggerException if there is none, two have one name, one has too few rows or lacks
   *     labels that the order needs, or the protocol is gradual
   */
  public TestStream over(List<Domain> domains) {
    List<int[]> visits = new ArrayList<>();
    switch (sequence) {
      case ONE_BY_ONE -> {
        for (int i = 0; i < domains.size(); i++) {
          visits.add(new int[] {i});
        }
      }
      case MIXED -> {
        int[] all = new int[domains.size()];
        Arrays.setAll(all, i -> i);
        visits.add(all);
      }
      case GRADUAL ->
          throw new OutriggerException(
              "The protocol "
                  + name
                  + " needs shifts that come in severities: give it corruptions or families of"
                  + " shifts.");
    }
    return new TestStream(this, domains, visits);
  }
}
