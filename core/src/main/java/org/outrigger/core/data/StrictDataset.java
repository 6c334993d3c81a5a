package org.outrigger.core.data;

import java.util.List;
import java.util.NoSuchElementException;
import org.outrigger.core.OutriggerException;

/** The view behind {@link Dataset#strict()}: a row that cannot be read ends the walk. */
class StrictDataset implements Dataset {
  private final Dataset source;

  StrictDataset(Dataset source) {
    this.source = source;
  }

  private static OutriggerException stopped(Dataset source, String id, String reason) {
    return new OutriggerException(
        source.name()
            + ": '"
            + id
            + "' cannot be read: "
            + reason
            + ". Reading is strict, so it stops here; without strict such rows are left out.");
  }

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
  public Dataset strict() {
    return this;
  }

  @Override
  public Batches batches(int batchSize) {
    Batches walk = source.batches(batchSize);
    return new Batches() {
      @Override
      public List<Skipped> skipped() {
        return walk.skipped();
      }

      @Override
      public boolean hasNext() {
        boolean more = walk.hasNext();
        check();
        return more;
      }

      @Override
      public Batch next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        Batch batch = walk.next();
        try {
          check();
        } catch (OutriggerException e) {
          batch.close();
          throw e;
        }
        return batch;
      }

      private void check() {
        if (!walk.skipped().isEmpty()) {
          Skipped first = walk.skipped().get(0);
          close();
          throw stopped(source, first.id(), first.reason());
        }
      }

      @Override
      public void close() {
        walk.close();
      }
    };
  }

  /** For indexed data the error of {@link #read} is one that no walk skips. */
  static final class Indexed extends StrictDataset implements IndexedDataset {
    private final IndexedDataset source;

    Indexed(IndexedDataset source) {
      super(source);
      this.source = source;
    }

    @Override
    public Batch read(int[] rows) {
      try {
        return source.read(rows);
      } catch (UnreadableRow e) {
        OutriggerException stop = stopped(source, e.id(), e.reason());
        stop.initCause(e);
        throw stop;
      }
    }

    @Override
    public int label(int row) {
      return source.label(row);
    }

    @Override
    public boolean inMemory() {
      return source.inMemory();
    }

    @Override
    public IndexedDataset strict() {
      return this;
    }

    @Override
    public Batches batches(int batchSize) {
      return IndexedDataset.super.batches(batchSize);
    }
  }
}
