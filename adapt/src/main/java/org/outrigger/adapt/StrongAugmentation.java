package org.outrigger.adapt;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.ColourJitter;
import org.outrigger.core.optim.GaussianNoise;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * CoTTA's augmentation, which RoTTA uses too: brightness, contrast, saturation, hue and gamma in
 * random order, then a rotation of up to 15 degrees with a shift of up to an eighth of the side and
 * a scale of 0.9 to 1.1 (what moves in repeats the edge), a slight blur, mirroring, and noise.
 * Images are [N, 1, H, W] or [N, 3, H, W] in [0, 1]; what lies outside is cut off. Each image draws
 * for itself. Wang et al., Continual Test-Time Domain Adaptation, CVPR 2022.
 *
 * @param flip whether left and right may be exchanged; not for digits or text
 */
public record StrongAugmentation(boolean flip) implements Augmentation {
  private static final double DEGREES = 15;
  private static final double SHIFT = 0.25;
  private static final double SCALE = 0.1;
  private static final double GAMMA = 0.3;
  private static final double LEAST_SIGMA = 0.001;
  private static final double MOST_SIGMA = 0.5;
  private static final int MARGIN = 2;
  private static final long BILINEAR = 0;
  private static final long BORDER = 1;
  private static final GaussianNoise NOISE = new GaussianNoise(0.005);
  private static final List<Augmentation> COLOURS =
      List.of(
          new ColourJitter(0.4, 0, 0, 0, 1, 0),
          new ColourJitter(0, 0.3, 0, 0, 1, 0),
          new ColourJitter(0, 0, 0.5, 0, 1, 0),
          new ColourJitter(0, 0, 0, 0.06, 1, 0),
          StrongAugmentation::gamma);

  /**
   * Demands images that can be augmented.
   *
   * @param who the method, for the message
   * @throws OutriggerException if they are none, or have neither 1 nor 3 channels
   */
  static void check(String who, Tensor images) {
    if (images.dim() != 4 || (images.size(1) != 1 && images.size(1) != 3)) {
      throw new OutriggerException(
          who
              + " augments images [N, C, H, W] with 1 or 3 channels, but this batch has shape "
              + Arrays.toString(images.shape())
              + ": use a method without augmentation, such as tent or eata.");
    }
  }

  @Override
  public Tensor apply(Tensor images, Rng rng) {
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    return Scopes.tensor(
        () -> {
          Tensor x = limited(images);
          for (long next : order(rng)) {
            x = COLOURS.get((int) next).apply(x, rng);
          }
          x = blurred(moved(x, rng), rng);
          if (flip) {
            x = torch.where(uniform(0, 1, x, rng).lt(new Scalar(0.5)), x.flip(3), x);
          }
          return limited(NOISE.apply(x, rng));
        });
  }

  private static long[] order(Rng rng) {
    return Tensors.longs(rng.permutation(COLOURS.size()));
  }

  private static Tensor limited(Tensor x) {
    return x.clamp_min(new Scalar(0.0)).clamp_max(new Scalar(1.0));
  }

  /** Uniform in that range for each image, [N, 1, 1, 1]. */
  private static Tensor uniform(double low, double high, Tensor images, Rng rng) {
    return rng.uniform(images.scalar_type().intern(), images.size(0), 1, 1, 1)
        .mul(new Scalar(high - low))
        .add(new Scalar(low));
  }

  private static Tensor gamma(Tensor x, Rng rng) {
    return Scopes.tensor(() -> x.pow(uniform(1 - GAMMA, 1 + GAMMA, x, rng)));
  }

  /** Turned, shifted and scaled, with a margin around it: [N, C, H + 4, W + 4]. */
  private static Tensor moved(Tensor x, Rng rng) {
    long n = x.size(0);
    double h = x.size(2);
    double w = x.size(3);
    double high = (h + 2 * MARGIN) / h;
    double wide = (w + 2 * MARGIN) / w;
    double turn = Math.toRadians(DEGREES);
    Tensor angle = uniform(-turn, turn, x, rng).view(n);
    Tensor size = uniform(1 - SCALE, 1 + SCALE, x, rng).view(n);
    Tensor cos = angle.cos().div(size);
    Tensor sin = angle.sin().div(size);
    Tensor map =
        torch
            .stack(
                new TensorVector(
                    cos.mul(new Scalar(wide)),
                    sin.mul(new Scalar(h / w * high)),
                    uniform(-SHIFT, SHIFT, x, rng).view(n),
                    sin.mul(new Scalar(-w / h * wide)),
                    cos.mul(new Scalar(high)),
                    uniform(-SHIFT, SHIFT, x, rng).view(n)),
                1)
            .view(n, 2, 3);
    long[] larger = {n, x.size(1), x.size(2) + 2 * MARGIN, x.size(3) + 2 * MARGIN};
    Tensor grid = torch.affine_grid_generator(map, larger, false);
    return torch.grid_sampler(x, grid, BILINEAR, BORDER, false);
  }

  /** Blurred by five taps each way, which takes the margin off. */
  private static Tensor blurred(Tensor x, Rng rng) {
    long n = x.size(0);
    long c = x.size(1);
    Tensor taps =
        torch
            .arange(
                new Scalar(-MARGIN), new Scalar(MARGIN + 1), new TensorOptions(ScalarType.Double))
            .square()
            .to(x.scalar_type());
    Tensor sigma = uniform(LEAST_SIGMA, MOST_SIGMA, x, rng).view(n, 1);
    Tensor weights = taps.div(sigma.square().mul(new Scalar(-2.0))).softmax(1);
    Tensor kernels =
        weights.unsqueeze(1).expand(n, c, 2 * MARGIN + 1).reshape(n * c, 1, 2 * MARGIN + 1, 1);
    Tensor y = x.reshape(1, n * c, x.size(2), x.size(3));
    y = filtered(y, kernels, n * c);
    y = filtered(y, kernels.transpose(2, 3), n * c);
    return y.view(n, c, y.size(2), y.size(3));
  }

  private static Tensor filtered(Tensor x, Tensor kernels, long groups) {
    return torch.conv2d(
        x,
        kernels,
        ForwardContext.none(),
        new long[] {1, 1},
        new long[] {0, 0},
        new long[] {1, 1},
        groups);
  }
}
