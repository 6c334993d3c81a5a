package org.outrigger.claims.setup;

import java.util.function.Supplier;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Images of 28 x 28 pixels at half the size, as the pilot runs used them. */
public final class SmallImages {
  private static final int SIZE = 14;

  private SmallImages() {}

  /** The shape of one image. */
  public static long[] shape() {
    return new long[] {1, SIZE, SIZE};
  }

  /**
   * A random choice of images, each averaged over blocks of 2 x 2.
   *
   * @param source images [C, 28, 28]; opened and closed here
   * @param rows at most this many
   * @param seed of the choice
   * @return rows in memory with the same labels and class names; the caller closes them
   */
  public static TensorDataset half(Supplier<TensorDataset> source, int rows, long seed) {
    return Scopes.scoped(
        () -> {
          try (TensorDataset all = source.get();
              TensorDataset some = TensorDataset.copyOf(all.shuffled(seed).limit(rows))) {
            return TensorDataset.builder(torch.avg_pool2d(some.inputs(), 2))
                .labels(Tensors.labels(some.labels()))
                .classNames(some.classNames())
                .name(some.name())
                .build();
          }
        });
  }
}
