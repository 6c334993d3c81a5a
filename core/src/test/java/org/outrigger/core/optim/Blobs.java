package org.outrigger.core.optim;

import java.util.Random;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Small data for the tests of training. */
final class Blobs {
  private Blobs() {}

  /** Gaussian clouds on a circle of radius 3. */
  static TensorDataset of(int rows, int classes, long seed) {
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
    return Scopes.scoped(
        () -> TensorDataset.builder(rows(x)).labels(Tensors.labels(y)).name("blobs").build());
  }

  static Tensor rows(float[][] rows) {
    float[] flat = new float[rows.length * rows[0].length];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, flat, i * rows[0].length, rows[0].length);
    }
    return Tensors.of(flat, rows.length, rows[0].length);
  }
}
