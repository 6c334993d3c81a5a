package org.outrigger.evaluate.corruption;

import org.outrigger.core.OutriggerException;

/**
 * Noise of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
 * and Perturbations" (ICLR 2019). Images and draws are in the order [C, H, W]; results are in [0,
 * 1].
 */
public final class Noise {
  private Noise() {}

  /**
   * x + c n.
   *
   * @param normal standard normal draws, one a value
   */
  public static Image gaussian(Image image, double amount, double[] normal) {
    double[] x = image.data();
    double[] out = same(image, normal);
    for (int i = 0; i < x.length; i++) {
      out[i] = Image.clip(x[i] + amount * normal[i]);
    }
    return image.with(out);
  }

  /** x + x c n: noise in proportion to the light. */
  public static Image speckle(Image image, double amount, double[] normal) {
    double[] x = image.data();
    double[] out = same(image, normal);
    for (int i = 0; i < x.length; i++) {
      out[i] = Image.clip(x[i] + x[i] * amount * normal[i]);
    }
    return image.with(out);
  }

  /**
   * Poisson(x c) / c.
   *
   * @param photons c, the count that white stands for
   * @param counts Poisson draws with the means {@code x * photons}
   */
  public static Image shot(Image image, double photons, double[] counts) {
    double[] out = same(image, counts);
    for (int i = 0; i < out.length; i++) {
      out[i] = Image.clip(counts[i] / photons);
    }
    return image.with(out);
  }

  /**
   * Each value on its own becomes black or white with probability {@code amount}.
   *
   * @param flip uniform draws in [0, 1): below {@code amount} the value is replaced
   * @param salt uniform draws in [0, 1): below one half it becomes 1, else 0
   */
  public static Image impulse(Image image, double amount, double[] flip, double[] salt) {
    double[] x = image.data();
    double[] out = same(image, flip);
    same(image, salt);
    for (int i = 0; i < x.length; i++) {
      out[i] = flip[i] < amount ? (salt[i] < 0.5 ? 1 : 0) : x[i];
    }
    return image.with(out);
  }

  private static double[] same(Image image, double[] draws) {
    int size = image.data().length;
    if (draws.length != size) {
      throw new OutriggerException(
          draws.length + " random draws were given for an image of " + size + " values.");
    }
    return new double[size];
  }
}
