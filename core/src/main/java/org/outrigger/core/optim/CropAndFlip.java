package org.outrigger.core.optim;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Shifts each image by up to {@code padding} pixels in both directions (zeros move in) and mirrors
 * half of them, as is usual for small photographs. Each image draws for itself.
 *
 * @param padding 0 or more
 * @param flip whether left and right may be exchanged; not for digits or text
 */
public record CropAndFlip(int padding, boolean flip) implements Augmentation {
  public CropAndFlip {
    HyperParameter.atLeast("padding", padding, 0);
  }

  /** Padding 4 with mirroring. */
  public CropAndFlip() {
    this(4, true);
  }

  @Override
  public Tensor apply(Tensor images, Rng rng) {
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    long n = images.size(0);
    long c = images.size(1);
    long h = images.size(2);
    long w = images.size(3);
    return Scopes.tensor(
        () -> {
          Tensor rows = offsets(rng, n).add(torch.arange(new Scalar(h), longs()).view(1, h));
          Tensor columns = torch.arange(new Scalar(w), longs()).view(1, w).expand(n, w);
          if (flip) {
            Tensor mirrored = rng.uniform(n, 1).lt(new Scalar(0.5));
            columns = torch.where(mirrored, columns.flip(1), columns);
          }
          columns = columns.add(offsets(rng, n));
          return torch
              .constant_pad_nd(images, new long[] {padding, padding, padding, padding})
              .gather(2, rows.view(n, 1, h, 1).expand(n, c, h, w + 2L * padding))
              .gather(3, columns.view(n, 1, 1, w).expand(n, c, h, w));
        });
  }

  /** Uniform in 0 .. 2 padding, int64 [N, 1]. */
  private Tensor offsets(Rng rng, long n) {
    return rng.uniform(ScalarType.Double, n, 1)
        .mul(new Scalar(2.0 * padding + 1))
        .floor()
        .to(ScalarType.Long);
  }

  private static TensorOptions longs() {
    return new TensorOptions(ScalarType.Long);
  }
}
