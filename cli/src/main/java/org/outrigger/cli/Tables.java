package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;

/** Tables are streamed; what shuffles and splits them needs them in memory. */
final class Tables {
  private Tables() {}

  /** The data itself if its rows can be read by position, otherwise a copy in memory. */
  static IndexedDataset inMemory(Dataset data, PrintWriter err) {
    if (data instanceof IndexedDataset indexed) {
      return indexed;
    }
    AtomicReference<Batches> walk = new AtomicReference<>();
    TensorDataset copy = TensorDataset.copyOf(new Watched(data, walk));
    Skips.report(err, data.name(), List.copyOf(Objects.requireNonNull(walk.get()).skipped()));
    return copy;
  }

  /** Remembers its walk, which knows the rows that could not be read. */
  private record Watched(Dataset source, AtomicReference<Batches> walk) implements Dataset {
    @Override
    public String name() {
      return source.name();
    }

    @Override
    public long size() {
      return source.size();
    }

    @Override
    public List<String> classNames() {
      return source.classNames();
    }

    @Override
    public List<String> featureColumns() {
      return source.featureColumns();
    }

    @Override
    public boolean labelled() {
      return source.labelled();
    }

    @Override
    public long[] inputShape() {
      return source.inputShape();
    }

    @Override
    public Batches batches(int batchSize) {
      Batches batches = source.batches(batchSize);
      walk.set(batches);
      return batches;
    }
  }
}
