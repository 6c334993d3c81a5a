package org.outrigger.evaluate.stream;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;

/**
 * A stream of test data, read as it is walked: it keeps the order of the rows of one visit to a
 * domain (of all domains where they are mixed) and a few batches that are read ahead, however long
 * it is. Every walk gives the same batches. Rows are shuffled before they are ordered in any other
 * way, and anew for each pass and round. A batch never holds rows of two visits.
 *
 * <pre>{@code
 * try (StreamWalk walk = stream.walk()) {
 *   while (walk.hasNext()) {
 *     try (StreamBatch batch = walk.next()) { ... }
 *   }
 * }
 * }</pre>
 */
public final class TestStream {
  private final StreamProtocol protocol;
  private final StreamSettings settings;
  private final List<Domain> domains;
  private final List<int[]> visits;

  /**
   * @param visits the numbers of the domains that come together, visit by visit
   */
  TestStream(StreamProtocol protocol, List<Domain> domains, List<int[]> visits) {
    this.protocol = protocol;
    this.settings = protocol.settings();
    this.domains = List.copyOf(domains);
    this.visits = List.copyOf(visits);
    if (domains.isEmpty()) {
      throw new OutriggerException("The stream has no domain: give at least one.");
    }
    Set<String> names = new HashSet<>();
    for (Domain domain : domains) {
      if (!names.add(domain.name())) {
        throw new OutriggerException(
            "Two domains of the stream are called '" + domain.name() + "': name them apart.");
      }
      if (protocol.order() != StreamProtocol.Order.SHUFFLED && !domain.data().labelled()) {
        throw new OutriggerException(
            "The domain '"
                + domain.name()
                + "' has no labels, which the protocol "
                + protocol.name()
                + " orders by: give labelled data, or a protocol that shuffles.");
      }
    }
    for (int[] visit : visits) {
      long rows = size(visit);
      if (rows < settings.minimumBatch() || rows > Integer.MAX_VALUE - 8) {
        throw new OutriggerException(
            "The domain '"
                + domains.get(visit[0]).name()
                + (visit.length == 1 ? "' has " : "' and those mixed with it have ")
                + rows
                + " rows, but at least minimumBatch = "
                + settings.minimumBatch()
                + " are needed, and at most 2^31 can be shuffled at once.");
      }
    }
  }

  /** How it was made. */
  public StreamProtocol protocol() {
    return protocol;
  }

  /** The names of the domains, by number. */
  public List<String> domains() {
    return domains.stream().map(Domain::name).toList();
  }

  /** How many rows it has in all. */
  public long rows() {
    long round = visits.stream().mapToLong(this::size).sum();
    return Math.multiplyExact(Math.multiplyExact(round, settings.passes()), settings.rounds());
  }

  private long size(int... visit) {
    return Arrays.stream(visit).mapToLong(domain -> domains.get(domain).data().size()).sum();
  }

  /** Starts at the first batch. Several walks do not disturb each other. */
  public StreamWalk walk() {
    return new StreamWalk(this);
  }

  /** How many visits there are in a round. */
  int visits() {
    return visits.size();
  }

  /** The numbers of the domains that come together in a visit. */
  int[] visit(int visit) {
    return visits.get(visit);
  }

  /** Their rows, laid end to end. */
  IndexedDataset data(int... visit) {
    return visit.length == 1
        ? domains.get(visit[0]).data()
        : IndexedDataset.concat(
            Arrays.stream(visit)
                .mapToObj(domain -> domains.get(domain).data())
                .toArray(IndexedDataset[]::new));
  }

  /** These rows in the order that they come in. */
  int[] order(IndexedDataset data, long seed) {
    int size = Math.toIntExact(data.size());
    return switch (protocol.order()) {
      case SHUFFLED -> new OrderDraws(seed, "shuffle").shuffle(IntStream.range(0, size).toArray());
      case CORRELATED -> DirichletOrder.draw(data.labels(), settings.delta(), seed);
      case LABEL_SHIFT -> {
        int[] labels = data.labels();
        int[] classes = Arrays.stream(labels).filter(c -> c >= 0).distinct().sorted().toArray();
        double[] drawn = LabelShift.zipf(classes.length, settings.zipf(), seed);
        double[] frequencies = new double[classes[classes.length - 1] + 1];
        for (int i = 0; i < classes.length; i++) {
          frequencies[classes[i]] = drawn[i];
        }
        yield LabelShift.rows(labels, frequencies, size, seed);
      }
    };
  }
}
