package org.outrigger.adapt;

import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * MEMO's views: a random crop, blended (uniformly) with a mixture of three chains of one to three
 * slight changes of it, whose weights are uniform on the simplex. The changes are stretching the
 * contrast, equalising the histogram, solarising, posterising, rotating, shearing and shifting;
 * their strength is uniform in [0.1, 1] on a scale to 10. Images are [N, C, H, W] in [0, 1]; what
 * lies outside is cut off. Each image draws for itself. Hendrycks et al., AugMix, ICLR 2020; Zhang
 * et al., MEMO, NeurIPS 2022.
 *
 * @param padding by how many pixels the crop may be off, 0 or more; 4 for images of 32
 * @param flip whether left and right may be exchanged; not for digits or text
 */
public record AugMix(int padding, boolean flip) implements Augmentation {
  private static final int CHAINS = 3;
  private static final int LONGEST = 3;
  private static final int CHANGES = 9;
  private static final double GREYS = 255;
  private static final double SCALE = 10;
  private static final double LEAST = 0.1;
  private static final int ROTATE = 4;
  private static final int SHEAR_X = 5;
  private static final int SHEAR_Y = 6;
  private static final int SHIFT_X = 7;
  private static final int SHIFT_Y = 8;

  public AugMix {
    HyperParameter.atLeast("padding", padding, 0);
  }

  @Override
  public Tensor apply(Tensor images, Rng rng) {
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    return Scopes.tensor(
        () -> {
          ScalarType type = images.scalar_type().intern();
          long n = images.size(0);
          Tensor start = new CropAndFlip(padding, flip).apply(limited(images), rng);
          // Exponentials over their sum are uniform on the simplex.
          Tensor parts = rng.uniform(type, n, CHAINS).neg().add(new Scalar(1.0)).log().neg();
          Tensor weights = parts.div(parts.sum(new long[] {1}, true, null));
          Tensor mix = torch.zeros_like(start);
          for (int chain = 0; chain < CHAINS; chain++) {
            Tensor weight = weights.narrow(1, chain, 1).view(n, 1, 1, 1);
            mix = mix.add(chain(start, rng).mul(weight));
          }
          return mix.lerp(start, rng.uniform(type, n, 1, 1, 1));
        });
  }

  private static Tensor limited(Tensor x) {
    return x.clamp_min(new Scalar(0.0)).clamp_max(new Scalar(1.0));
  }

  /** One to three changes in a row. */
  private static Tensor chain(Tensor start, Rng rng) {
    long n = start.size(0);
    Tensor length = below(LONGEST, n, rng);
    Tensor x = start;
    for (int i = 0; i < LONGEST; i++) {
      Tensor change = below(CHANGES, n, rng).masked_fill(length.lt(new Scalar(i)), new Scalar(-1));
      Tensor level =
          rng.uniform(ScalarType.Double, n).mul(new Scalar(1 - LEAST)).add(new Scalar(LEAST));
      Tensor sign = below(2, n, rng).mul(new Scalar(2)).sub(new Scalar(1)).to(ScalarType.Double);
      x = changed(x, change, level, sign);
    }
    return x;
  }

  /** Uniform in 0 .. count - 1, int64 [n]. */
  private static Tensor below(int count, long n, Rng rng) {
    return rng.uniform(ScalarType.Double, n)
        .mul(new Scalar((double) count))
        .floor()
        .to(ScalarType.Long);
  }

  /** Each image with its own change; -1 leaves it as it is. */
  private static Tensor changed(Tensor x, Tensor change, Tensor level, Tensor sign) {
    Tensor y = x.clone();
    Tensor solarized = level.mul(new Scalar((GREYS + 1) / SCALE)).floor();
    Tensor dropped = level.mul(new Scalar(4 / SCALE)).floor();
    put(y, x, change.eq(new Scalar(0)), rows -> stretched(x.index_select(0, rows)));
    put(y, x, change.eq(new Scalar(1)), rows -> equalised(x.index_select(0, rows)));
    put(
        y,
        x,
        change.eq(new Scalar(2)),
        rows -> solarised(x.index_select(0, rows), solarized.index_select(0, rows)));
    put(
        y,
        x,
        change.eq(new Scalar(3)),
        rows -> posterised(x.index_select(0, rows), dropped.index_select(0, rows)));
    Tensor map = maps(x, change, level, sign);
    put(
        y,
        x,
        change.ge(new Scalar(ROTATE)),
        rows -> warped(x.index_select(0, rows), map.index_select(0, rows)));
    return y;
  }

  private static void put(Tensor y, Tensor x, Tensor chosen, UnaryOperator<Tensor> change) {
    Tensor rows = chosen.nonzero().flatten();
    if (rows.numel() > 0) {
      y.index_copy_(0, rows, change.apply(rows).to(x.scalar_type()));
    }
  }

  /** The values as whole numbers of 0 to 255, in float64. */
  private static Tensor bytes(Tensor x) {
    return x.to(ScalarType.Double).mul(new Scalar(GREYS)).round();
  }

  private static Tensor unbytes(Tensor bytes) {
    return bytes.div(new Scalar(GREYS));
  }

  /** Each channel stretched to the whole range. */
  static Tensor stretched(Tensor x) {
    Tensor low = x.amin(new long[] {2, 3}, true);
    Tensor span = x.amax(new long[] {2, 3}, true).sub(low);
    Tensor flat = span.le(new Scalar(0.0));
    return torch.where(flat, x, x.sub(low).div(span.masked_fill(flat, new Scalar(1.0))));
  }

  /** Each channel with an even histogram, in whole steps; too small images stay as they are. */
  static Tensor equalised(Tensor x) {
    Tensor grey = bytes(x).flatten(2, -1).to(ScalarType.Long);
    Tensor counts =
        torch
            .zeros(
                new long[] {x.size(0), x.size(1), (long) GREYS + 1},
                new TensorOptions(ScalarType.Double))
            .scatter_add_(2, grey, torch.ones_like(grey).to(ScalarType.Double));
    Tensor last = counts.gather(2, grey.amax(new long[] {2}, true));
    Tensor step = last.neg().add(new Scalar((double) grey.size(2))).div(new Scalar(GREYS)).floor();
    Tensor none = step.lt(new Scalar(1.0));
    Tensor by = step.clamp_min(new Scalar(1.0));
    Tensor before = counts.cumsum(2).sub(counts);
    Tensor table =
        before.add(by.div(new Scalar(2.0)).floor()).div(by).floor().clamp_max(new Scalar(GREYS));
    Tensor even = unbytes(table.gather(2, grey)).view(x.shape()).to(x.scalar_type());
    return torch.where(none.unsqueeze(3), x, even);
  }

  /** Values of 256 - {@code depth} and more inverted. */
  static Tensor solarised(Tensor x, Tensor depth) {
    Tensor grey = bytes(x);
    Tensor from = depth.neg().add(new Scalar(GREYS + 1)).view(-1, 1, 1, 1);
    return torch.where(
        grey.lt(from), x.to(ScalarType.Double), unbytes(grey.neg().add(new Scalar(GREYS))));
  }

  /** Values with the upper 4 - {@code dropped} of 8 bits. */
  static Tensor posterised(Tensor x, Tensor dropped) {
    Tensor step = dropped.add(new Scalar(4.0)).exp2().view(-1, 1, 1, 1);
    return unbytes(bytes(x).div(step).floor().mul(step));
  }

  /** The affine map of each image from output to input, in units of half the sides, [N, 2, 3]. */
  private static Tensor maps(Tensor x, Tensor change, Tensor level, Tensor sign) {
    double h = x.size(2);
    double w = x.size(3);
    Tensor angle =
        only(ROTATE, change, level.mul(new Scalar(30 / SCALE)).floor(), sign)
            .mul(new Scalar(Math.PI / 180));
    Tensor shearX = only(SHEAR_X, change, level.mul(new Scalar(0.3 / SCALE)), sign);
    Tensor shearY = only(SHEAR_Y, change, level.mul(new Scalar(0.3 / SCALE)), sign);
    Tensor right = only(SHIFT_X, change, level.mul(new Scalar(w / 3 / SCALE)).floor(), sign);
    Tensor down = only(SHIFT_Y, change, level.mul(new Scalar(h / 3 / SCALE)).floor(), sign);
    // Shears keep the upper left corner.
    Tensor slantX = shearX.mul(new Scalar(h / w));
    Tensor slantY = shearY.mul(new Scalar(w / h));
    return torch
        .stack(
            new TensorVector(
                angle.cos(),
                angle.sin().mul(new Scalar(h / w)).add(slantX),
                right.mul(new Scalar(2 / w)).add(slantX),
                angle.sin().mul(new Scalar(-w / h)).add(slantY),
                angle.cos(),
                down.mul(new Scalar(2 / h)).add(slantY)),
            1)
        .view(-1, 2, 3)
        .to(x.scalar_type());
  }

  private static Tensor only(int which, Tensor change, Tensor value, Tensor sign) {
    return value.mul(sign).mul(change.eq(new Scalar(which)).to(ScalarType.Double));
  }

  /** Moved by that map, bilinear, with black moving in. */
  private static Tensor warped(Tensor x, Tensor map) {
    Tensor grid = torch.affine_grid_generator(map, x.shape(), false);
    return torch.grid_sampler(x, grid, 0, 0, false);
  }
}
