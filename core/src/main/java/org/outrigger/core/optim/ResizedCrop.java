package org.outrigger.core.optim;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Shows a random rectangle of each image, enlarged to the image's size (bilinear), and mirrors half
 * of them: the share of the area is uniform in {@code [smallest, 1]}, the ratio of width to height
 * log-uniform in [3/4, 4/3]; sides that would leave the image are cut to it. Each image draws for
 * itself.
 *
 * @param smallest the least share of the area, above 0, up to 1; 0.2 in SimCLR's runs on small
 *     photographs
 * @param flip whether left and right may be exchanged; not for digits or text
 */
public record ResizedCrop(double smallest, boolean flip) implements Augmentation {
  private static final double WIDEST = 4.0 / 3;
  private static final long BILINEAR = 0;
  private static final long BORDER = 1;

  public ResizedCrop {
    HyperParameter.require(smallest > 0 && smallest <= 1, "smallest", smallest, "above 0, up to 1");
  }

  @Override
  public Tensor apply(Tensor images, Rng rng) {
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    return Scopes.tensor(
        () -> {
          long n = images.size(0);
          double square = (double) images.size(2) / images.size(3);
          Tensor area = between(smallest, 1, rng, n);
          Tensor ratio = between(-Math.log(WIDEST), Math.log(WIDEST), rng, n).exp();
          Tensor wide = side(area.mul(ratio).mul(new Scalar(square)));
          Tensor high = side(area.div(ratio).div(new Scalar(square)));
          Tensor right = wide.neg().add(new Scalar(1.0)).mul(between(-1, 1, rng, n));
          Tensor down = high.neg().add(new Scalar(1.0)).mul(between(-1, 1, rng, n));
          if (flip) {
            wide = torch.where(rng.uniform(n).lt(new Scalar(0.5)), wide, wide.neg());
          }
          Tensor none = torch.zeros_like(wide);
          Tensor map =
              torch
                  .stack(new TensorVector(wide, none, right, none, high, down), 1)
                  .view(n, 2, 3)
                  .to(images.scalar_type());
          Tensor grid = torch.affine_grid_generator(map, images.shape(), false);
          return torch.grid_sampler(images, grid, BILINEAR, BORDER, false);
        });
  }

  /** The share of a side, at most all of it. */
  private static Tensor side(Tensor squared) {
    return squared.sqrt().clamp_max(new Scalar(1.0));
  }

  /** Uniform in that range, float64 [n]. */
  private static Tensor between(double low, double high, Rng rng, long n) {
    return rng.uniform(ScalarType.Double, n).mul(new Scalar(high - low)).add(new Scalar(low));
  }
}
