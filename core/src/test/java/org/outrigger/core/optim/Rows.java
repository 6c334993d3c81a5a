package org.outrigger.core.optim;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.torch.Tensors;

/** Rows of floats in memory; counts which were read. */
final class Rows implements IndexedDataset {
  private final float[][] inputs;
  private final int[] labels;
  private final long[] shape;
  int read;

  Rows(float[][] inputs, int[] labels, long... shape) {
    this.inputs = inputs;
    this.labels = labels;
    this.shape = shape;
  }

  /** Gaussian clouds around the corners of a circle of radius 3. */
  static Rows blobs(int rows, int classes, long seed) {
    Random random = new Random(seed);
    float[][] x = new float[rows][];
    int[] y = new int[rows];
    for (int i = 0; i < rows; i++) {
      y[i] = i % classes;
      double angle = 2 * Math.PI * y[i] / classes;
      x[i] =
          new float[] {
            (float) (3 * Math.cos(angle) + 0.7 * random.nextGaussian()),
            (float) (3 * Math.sin(angle) + 0.7 * random.nextGaussian())
          };
    }
    return new Rows(x, y, 2);
  }

  @Override
  public Batch read(int[] rows) {
    read += rows.length;
    int width = inputs[0].length;
    float[] flat = new float[rows.length * width];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(inputs[rows[i]], 0, flat, i * width, width);
    }
    long[] full = new long[shape.length + 1];
    full[0] = rows.length;
    System.arraycopy(shape, 0, full, 1, shape.length);
    Tensor y = Tensors.labels(Arrays.stream(rows).map(r -> labels[r]).toArray());
    List<String> ids = Arrays.stream(rows).mapToObj(Integer::toString).toList();
    return new Batch(Tensors.of(flat, full), y, ids, List.of());
  }

  @Override
  public int label(int row) {
    return labels[row];
  }

  @Override
  public String name() {
    return "rows";
  }

  @Override
  public long size() {
    return inputs.length;
  }

  @Override
  public List<String> classNames() {
    return List.of();
  }

  @Override
  public boolean labelled() {
    return true;
  }

  @Override
  public long[] inputShape() {
    return shape;
  }

  @Override
  public Batches batches(int batchSize) {
    return new Batches() {
      private int next;

      @Override
      public boolean hasNext() {
        return next < inputs.length;
      }

      @Override
      public Batch next() {
        int from = next;
        next = Math.min(inputs.length, from + batchSize);
        return read(IntStream.range(from, next).toArray());
      }

      @Override
      public List<Skipped> skipped() {
        return List.of();
      }

      @Override
      public void close() {}
    };
  }
}
