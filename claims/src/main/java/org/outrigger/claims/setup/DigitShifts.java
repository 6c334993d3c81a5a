package org.outrigger.claims.setup;

import java.util.List;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.Shift;
import org.outrigger.core.torch.Rng;

/** The corruptions of the digits bench: images [N, 1, 16, 16] to values in [0, 1]. */
public final class DigitShifts {
  private DigitShifts() {}

  /**
   * Seven that a network still reads in part: gauss, contrast, brightness, fog, impulse, blur,
   * stripe.
   *
   * @param seed of the noise; a row's noise is the same in every pass
   */
  public static List<Shift> mild(long seed) {
    return List.of(
        gauss(.25, seed),
        Shift.of("contrast", x -> clip(contrast(x, .6))),
        Shift.of("brightness", x -> clip(x.add(new Scalar(.18)))),
        fog(.35, seed),
        impulse(.10, seed),
        Shift.of("blur", DigitShifts::blur),
        stripe(3));
  }

  /**
   * Four that leave little to read: gauss, impulse, stripe, contrast.
   *
   * @param seed of the noise; a row's noise is the same in every pass
   */
  public static List<Shift> hard(long seed) {
    return List.of(
        gauss(.5, seed),
        impulse(.35, seed),
        stripe(6),
        Shift.random("contrast", seed, (x, rng) -> clip(noise(contrast(x, .15), .05, rng))));
  }

  private static Shift gauss(double sigma, long seed) {
    return Shift.random("gauss", seed, (x, rng) -> clip(noise(x, sigma, rng)));
  }

  /** A share of the pixels becomes black or white, equally likely. */
  private static Shift impulse(double share, long seed) {
    return Shift.random(
        "impulse",
        seed,
        (x, rng) -> {
          Tensor u = rng.uniform(x.shape());
          return x.masked_fill(u.lt(new Scalar(share / 2)), new Scalar(0.0))
              .masked_fill(u.ge(new Scalar(1 - share / 2)), new Scalar(1.0));
        });
  }

  /** A smooth bright field of random strength, {@code (x + amount u) / (1 + amount)}. */
  private static Shift fog(double amount, long seed) {
    return Shift.random(
        "fog",
        seed,
        (x, rng) -> {
          Tensor field = bilinear(rng.uniform(1, 1, 3, 3), x.size(2), x.size(3));
          return x.add(field, new Scalar(amount)).div(new Scalar(1 + amount));
        });
  }

  private static Shift stripe(int columns) {
    return Shift.of(
        "stripe",
        x -> {
          Tensor first = x.narrow(3, 0, columns).neg().add(new Scalar(1.0));
          Tensor rest = x.narrow(3, columns, x.size(3) - columns);
          return torch.cat(new TensorVector(first, rest), 3);
        });
  }

  private static Tensor contrast(Tensor x, double factor) {
    Tensor mean = x.mean(new long[] {2, 3}, true, null);
    return x.sub(mean).mul(new Scalar(factor)).add(mean);
  }

  private static Tensor blur(Tensor x) {
    Tensor box =
        torch.avg_pool2d(
            x,
            new long[] {5, 5},
            new long[] {1, 1},
            new long[] {2, 2},
            false,
            true,
            new LongOptional());
    return box.mul(new Scalar(.6)).add(x, new Scalar(.4));
  }

  private static Tensor noise(Tensor x, double sigma, Rng rng) {
    return x.add(rng.normal(x.shape()), new Scalar(sigma));
  }

  private static Tensor clip(Tensor x) {
    return x.clamp_min(new Scalar(0.0)).clamp_max(new Scalar(1.0));
  }

  /** Resizes with half-pixel centres. */
  static Tensor bilinear(Tensor images, long height, long width) {
    return torch.upsample_bilinear2d(
        images, new long[] {height, width}, false, new DoubleOptional(), new DoubleOptional());
  }
}
