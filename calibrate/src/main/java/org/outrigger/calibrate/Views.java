package org.outrigger.calibrate;

import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.ImageTurn;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.optim.ColourJitter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.RowDraws;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Views of images and of table rows, of any range of values. What is random is drawn from the row
 * itself, so that a row looks alike in every batch.
 */
public final class Views {
  private static final int RGB = 3;
  private static final int DRAWS = 3;

  private Views() {}

  /** Images [N, C, H, W] turned counter-clockwise; what comes in is 0. */
  public static View rotation(double degrees) {
    return View.of("rotation " + number(degrees), x -> ImageTurn.turn(x, degrees));
  }

  /** Images [N, 3, H, W] without colour: luma in all channels. */
  public static View greyscale() {
    return View.of("greyscale", Views::grey);
  }

  /** Images [N, C, H, W] under a Gaussian blur of {@code sigma} pixels. */
  public static View blur(double sigma) {
    return View.of("blur " + number(sigma), x -> blurred(x, sigma));
  }

  /**
   * Images [N, C, H, W] with other brightness, contrast and, for three channels, saturation: each
   * times a factor in 1 - reach .. 1 + reach that the image's content draws. Nothing is cut off, as
   * the range is not known; brightness scales about 0, which for standardised inputs is the mean
   * image.
   */
  public static View jitter(double reach, long seed) {
    long own = Rng.derive(seed, "view jitter");
    return View.of("jitter " + number(reach) + " seed " + seed, x -> jittered(x, reach, own));
  }

  /**
   * Rows [N, D] with normal noise.
   *
   * @param spread what the noise of each column is relative to, [D]; kept, not copied
   * @param noise how large it is
   * @param draw tells several such views apart
   */
  public static View noise(Tensor spread, double noise, int draw, long seed) {
    long own = Rng.derive(seed, "view noise " + draw);
    return View.of(
        "noise " + number(noise) + " draw " + draw + " seed " + seed,
        x -> noisy(x, spread, noise, own));
  }

  /** A rotation; greyscale for three channels, else a blur; a jitter. */
  static List<View> ofImages(long channels, double degrees, double jitter, double blur, long seed) {
    return List.of(
        rotation(degrees), channels == RGB ? greyscale() : blur(blur), jitter(jitter, seed));
  }

  /** Three draws of noise. */
  static List<View> ofRows(Tensor spread, double noise, long seed) {
    return IntStream.rangeClosed(1, DRAWS)
        .mapToObj(draw -> noise(spread, noise, draw, seed))
        .toList();
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value).replaceAll("\\.?0+$", "");
  }

  private static Tensor grey(Tensor x) {
    return Scopes.tensor(() -> ColourJitter.grey(x).expand_as(x).contiguous());
  }

  /** With the border's pixels repeated beyond it; the kernel ends at four sigmas. */
  private static Tensor blurred(Tensor x, double sigma) {
    return Scopes.tensor(
        () -> {
          int reach = Math.max(1, (int) (4 * sigma + 0.5));
          double[] weights = new double[2 * reach + 1];
          double sum = 0;
          for (int i = -reach; i <= reach; i++) {
            weights[i + reach] = Math.exp(-0.5 * i * i / (sigma * sigma));
            sum += weights[i + reach];
          }
          Tensor kernel =
              Tensors.of(weights, 1, 1, weights.length, 1).div(new Scalar(sum)).to(x.scalar_type());
          Tensor planes = x.reshape(-1, 1, x.size(2), x.size(3));
          Tensor padded = torch.replication_pad2d(planes, reach, reach, reach, reach);
          Tensor down = filtered(padded, kernel);
          return filtered(down, kernel.transpose(2, 3)).view(x.shape());
        });
  }

  private static Tensor filtered(Tensor x, Tensor kernel) {
    return torch.conv2d(
        x,
        kernel,
        ForwardContext.none(),
        new long[] {1, 1},
        new long[] {0, 0},
        new long[] {1, 1},
        1);
  }

  private static Tensor jittered(Tensor x, double reach, long seed) {
    return Scopes.tensor(
        () -> {
          Tensor factors =
              RowDraws.uniform(x, seed, 3)
                  .mul(new Scalar(2 * reach))
                  .add(new Scalar(1 - reach))
                  .to(x.scalar_type())
                  .view(-1, 3, 1, 1, 1);
          boolean colours = x.size(1) == RGB;
          Tensor bright = x.mul(factors.select(1, 0));
          Tensor luma =
              colours ? ColourJitter.grey(bright) : bright.mean(new long[] {1}, true, null);
          Tensor mean = luma.mean(new long[] {1, 2, 3}, true, null);
          Tensor contrasted = mean.add(bright.sub(mean).mul(factors.select(1, 1)));
          if (!colours) {
            return contrasted;
          }
          Tensor grey = ColourJitter.grey(contrasted);
          return grey.add(contrasted.sub(grey).mul(factors.select(1, 2)));
        });
  }

  private static Tensor noisy(Tensor x, Tensor spread, double noise, long seed) {
    return Scopes.tensor(
        () ->
            x.add(
                RowDraws.normal(x, seed, Math.toIntExact(x.size(1)))
                    .mul(spread)
                    .mul(new Scalar(noise))
                    .to(x.scalar_type())));
  }
}
