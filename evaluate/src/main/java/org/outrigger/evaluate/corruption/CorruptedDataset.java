package org.outrigger.evaluate.corruption;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;

/**
 * A data set of images whose batches are corrupted as they are read, so that memory does not grow
 * with its size. Labels, ids and times stay. An image's noise depends on the seed and on its
 * position in the data set, not on the size or order of the batches.
 */
public class CorruptedDataset implements Dataset {
  private final Dataset source;
  private final Corruption corruption;
  private final int severity;
  private final Corruption.Settings settings;

  private CorruptedDataset(
      Dataset source, Corruption corruption, int severity, Corruption.Settings settings) {
    this.source = source;
    this.corruption = corruption;
    this.severity = severity;
    this.settings = settings;
    corruption.parameters(Scale.CIFAR, severity);
    long[] shape = source.inputShape();
    if (shape.length != 3 || (shape[0] != 1 && shape[0] != 3)) {
      throw new OutriggerException(
          source.name()
              + " has inputs of shape "
              + Arrays.toString(shape)
              + ": corruptions need images [C, H, W] with 1 or 3 channels.");
    }
  }

  /**
   * A corrupted view.
   *
   * @param source images in [0, 1]; not closed with the view
   * @param severity 1 to 5
   * @throws OutriggerException if the severity is out of range or the source holds no images
   */
  public static Dataset of(
      Dataset source, Corruption corruption, int severity, Corruption.Settings settings) {
    return source instanceof IndexedDataset indexed
        ? of(indexed, corruption, severity, settings)
        : new CorruptedDataset(source, corruption, severity, settings);
  }

  /** As above, for a source whose rows can be read by position. */
  public static IndexedDataset of(
      IndexedDataset source, Corruption corruption, int severity, Corruption.Settings settings) {
    return new Indexed(source, corruption, severity, settings);
  }

  /** The views of severity 1 to 5, in that order. */
  public static List<Dataset> sweep(
      Dataset source, Corruption corruption, Corruption.Settings settings) {
    return IntStream.rangeClosed(1, Corruption.SEVERITIES)
        .mapToObj(severity -> of(source, corruption, severity, settings))
        .toList();
  }

  @Override
  public String name() {
    return source.name() + " + " + corruption.slug() + " " + severity;
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
  public boolean labelled() {
    return source.labelled();
  }

  @Override
  public long[] inputShape() {
    return source.inputShape();
  }

  @Override
  public Batches batches(int batchSize) {
    Batches walk = source.batches(batchSize);
    return new Batches() {
      private long next;

      @Override
      public List<Skipped> skipped() {
        return walk.skipped();
      }

      @Override
      public boolean hasNext() {
        return walk.hasNext();
      }

      @Override
      public Batch next() {
        Batch clean = walk.next();
        long first = next;
        next += clean.size();
        return corrupt(clean, LongStream.range(first, next).toArray());
      }

      @Override
      public void close() {
        walk.close();
      }
    };
  }

  /** Takes over a batch and hands out a corrupted one. */
  Batch corrupt(Batch clean, long[] positions) {
    if (positions.length == 0) {
      return clean;
    }
    try {
      Tensor images = corruption.apply(clean.inputs(), severity, settings, positions);
      clean.inputs().close();
      return new Batch(images, clean.labels(), clean.ids(), clean.times());
    } catch (RuntimeException e) {
      clean.close();
      throw e;
    }
  }

  /** For sources with positions; walks, shuffling and reading ahead come with the interface. */
  private static final class Indexed extends CorruptedDataset implements IndexedDataset {
    private final IndexedDataset source;

    Indexed(
        IndexedDataset source, Corruption corruption, int severity, Corruption.Settings settings) {
      super(source, corruption, severity, settings);
      this.source = source;
    }

    @Override
    public Batch read(int[] rows) {
      return corrupt(source.read(rows), Arrays.stream(rows).asLongStream().toArray());
    }

    @Override
    public int label(int row) {
      return source.label(row);
    }

    @Override
    public IndexedDataset strict() {
      return IndexedDataset.super.strict();
    }

    @Override
    public Batches batches(int batchSize) {
      return IndexedDataset.super.batches(batchSize);
    }
  }
}
