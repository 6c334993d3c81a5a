package org.outrigger.evaluate.stream;

import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Loader;
import org.outrigger.core.torch.Rng;
import org.outrigger.evaluate.stream.StreamProtocol.Reset;

/**
 * One walk over a stream. Each batch belongs to the caller; closing the walk stops its threads. A
 * row that cannot be read is an error.
 */
public final class StreamWalk implements Iterator<StreamBatch>, AutoCloseable {
  private final TestStream stream;
  private final StreamSettings settings;
  private final Reset reset;
  private final long visits;
  private long begun;
  private long start;
  private @Nullable Visit visit;

  StreamWalk(TestStream stream) {
    this.stream = stream;
    settings = stream.protocol().settings();
    reset = stream.protocol().reset();
    visits = (long) settings.rounds() * stream.visits() * settings.passes();
  }

  @Override
  public boolean hasNext() {
    return (visit != null && visit.hasNext()) || begun < visits;
  }

  @Override
  public StreamBatch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("The stream has ended.");
    }
    boolean fresh = start == 0 || reset == Reset.EACH_BATCH;
    Visit current = visit;
    if (current == null || !current.hasNext()) {
      closeVisit();
      fresh |= reset == Reset.EACH_SHIFT && begun % settings.passes() == 0;
      current = begin();
      visit = current;
      begun++;
    }
    int from = current.next;
    Batch rows = current.read();
    StreamBatch batch =
        new StreamBatch(rows, current.domains(from, rows.size()), current.round, fresh, start);
    start += rows.size();
    return batch;
  }

  private Visit begin() {
    long inRound = (long) stream.visits() * settings.passes();
    int round = (int) (begun / inRound);
    int number = (int) (begun % inRound / settings.passes());
    long pass = begun % settings.passes();
    int[] numbers = stream.visit(number);
    IndexedDataset data = stream.data(numbers);
    long seed = Rng.derive(settings.seed(), "visit " + round + "/" + number + "/" + pass);
    int[] starts = new int[numbers.length];
    for (int i = 1; i < starts.length; i++) {
      starts[i] = starts[i - 1] + Math.toIntExact(stream.data(numbers[i - 1]).size());
    }
    return new Visit(settings, round, data, stream.order(data, seed), numbers, starts);
  }

  @Override
  public void close() {
    begun = visits;
    closeVisit();
  }

  private void closeVisit() {
    if (visit != null) {
      visit.close();
    }
  }

  /** The batches of one visit to one domain, or to several that are mixed. */
  private static final class Visit {
    private final int round;
    private final IndexedDataset data;
    private final int[] order;
    private final int[] numbers;
    private final int[] starts;

    /** Where the last batch begins if it is larger than the others; otherwise the end. */
    private final int last;

    private Batches batches;
    private int next;

    /**
     * @param numbers of the domains
     * @param starts where each begins among the rows of {@code data}
     */
    Visit(
        StreamSettings settings,
        int round,
        IndexedDataset data,
        int[] order,
        int[] numbers,
        int[] starts) {
      this.round = round;
      this.data = data;
      this.order = order;
      this.numbers = numbers;
      this.starts = starts;
      int size = settings.batchSize();
      int rest = order.length % size;
      boolean join = rest > 0 && rest < settings.minimumBatch();
      last = join ? order.length - rest - size : order.length;
      batches = last > 0 ? open(0, last, size) : open(0, order.length, order.length);
    }

    private Batches open(int from, int to, int size) {
      IndexedDataset rows = data.subset(Arrays.copyOfRange(order, from, to)).strict();
      return Loader.of(rows).batchSize(size).epoch(0);
    }

    boolean hasNext() {
      return next < order.length;
    }

    Batch read() {
      if (next == last && last > 0) {
        batches.close();
        batches = open(last, order.length, order.length - last);
      }
      Batch batch = batches.next();
      next += batch.size();
      return batch;
    }

    /** The numbers of the domains of rows in their order. */
    int[] domains(int from, int count) {
      return Arrays.stream(order, from, from + count)
          .map(
              row -> {
                int found = Arrays.binarySearch(starts, row);
                return numbers[found >= 0 ? found : -found - 2];
              })
          .toArray();
    }

    void close() {
      batches.close();
      next = order.length;
    }
  }
}
