package org.outrigger.evaluate.corruption;

import org.outrigger.core.OutriggerException;
import org.outrigger.evaluate.corruption.Filters.Border;

/** Blurs of CIFAR-C and ImageNet-C (Hendrycks and Dietterich, ICLR 2019). */
public final class Blur {
  private Blur() {}

  /**
   * Gaussian blur of that sigma in pixels, cut at 4 sigmas, the nearest pixel beyond the border.
   */
  public static Image gaussian(Image image, double sigma) {
    return Filters.gaussian(image, sigma, 4, Border.NEAREST);
  }

  /** The side of the kernel of {@link #disk}: 17, or 2r+1 for radii above 8. */
  public static int diskSide(double radius) {
    return radius <= 8 ? 17 : 2 * (int) radius + 1;
  }

  /**
   * A disk with a softened edge: cells within {@code radius} share the weight 1, then a Gaussian of
   * 3x3 taps (5x5 for radii above 8) of sigma {@code alias}.
   *
   * @return a square kernel of side {@link #diskSide}, row by row
   */
  public static double[] disk(double radius, double alias) {
    int side = diskSide(radius);
    int middle = side / 2;
    double[] disk = new double[side * side];
    int cells = 0;
    for (int i = 0; i < disk.length; i++) {
      int y = i / side - middle;
      int x = i % side - middle;
      if (x * x + y * y <= radius * radius) {
        disk[i] = 1;
        cells++;
      }
    }
    for (int i = 0; i < disk.length; i++) {
      disk[i] /= cells;
    }
    double[] soft = Filters.gaussianWeights(alias, radius <= 8 ? 1 : 2);
    return Filters.symmetric(new Image(1, side, side, disk), soft, Border.REFLECT_101).data();
  }

  /**
   * Out of focus: correlation with {@link #disk}, mirrored at the border.
   *
   * @throws OutriggerException if a side of the image is not larger than the kernel's radius
   */
  public static Image defocus(Image image, double radius, double alias) {
    int side = diskSide(radius);
    if (image.side() <= side / 2) {
      throw new OutriggerException(
          "The defocus kernel reaches "
              + side / 2
              + " pixels, too far for an image of "
              + image.height()
              + " x "
              + image.width()
              + ": use larger images.");
    }
    return Filters.correlate(image, disk(radius, alias), side, Border.REFLECT_101);
  }

  /** How many offsets {@link #glass} takes. */
  public static int glassOffsets(Image image, int delta, int iterations) {
    if (image.side() <= 2 * delta) {
      throw new OutriggerException(
          "glass_blur moves pixels by up to "
              + delta
              + ", too far for an image of "
              + image.height()
              + " x "
              + image.width()
              + ": use larger images.");
    }
    return iterations * (image.height() - 2 * delta) * (image.width() - 2 * delta);
  }

  /**
   * Frosted glass: blur, 8 bits, pixels change place with a neighbour, blur again. The benchmark's
   * code exchanges the pixels of gray images; in colour images it copies the neighbour (both sides
   * of its assignment are views), and the published data have that, so it is kept.
   *
   * @param offsets pairs (dx, dy), each in -delta .. delta-1, in the order of visits: rows from
   *     height-delta down to delta+1, in each the columns likewise, {@code iterations} times
   */
  public static Image glass(Image image, double sigma, int delta, int iterations, int[] offsets) {
    if (offsets.length != 2 * glassOffsets(image, delta, iterations)) {
      throw new OutriggerException(
          offsets.length / 2
              + " offsets were given, but glass_blur visits "
              + glassOffsets(image, delta, iterations)
              + " pixels.");
    }
    int w = image.width();
    int area = image.area();
    double[] x = gaussian(image, sigma).map(v -> (int) (v * 255) / 255.0).data();
    int next = 0;
    for (int round = 0; round < iterations; round++) {
      for (int row = image.height() - delta; row > delta; row--) {
        for (int column = w - delta; column > delta; column--) {
          int here = row * w + column;
          int there = (row + offsets[next + 1]) * w + column + offsets[next];
          next += 2;
          for (int c = 0; c < image.channels(); c++) {
            double old = x[c * area + here];
            x[c * area + here] = x[c * area + there];
            if (image.channels() == 1) {
              x[there] = old;
            }
          }
        }
      }
    }
    return gaussian(image.with(x), sigma).clip();
  }

  /** The 2 radius + 1 weights of a streak: exp(-i^2 / (2 sigma^2)), normalised. */
  public static double[] streak(int radius, double sigma) {
    double[] weights = new double[2 * radius + 1];
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Math.exp(-(double) i * i / (2 * sigma * sigma));
      sum += weights[i];
    }
    for (int i = 0; i < weights.length; i++) {
      weights[i] /= sum;
    }
    return weights;
  }

  /**
   * Motion blur: a one-sided streak by whole pixels, the nearest pixel beyond the border. It ends
   * where a shift reaches the image's size; the weights are not renormalised then.
   *
   * @param angle in degrees
   */
  public static Image motion(Image image, int radius, double sigma, double angle) {
    int h = image.height();
    int w = image.width();
    double[] weights = streak(radius, sigma);
    double down = Math.sin(Math.toRadians(angle));
    double right = Math.cos(Math.toRadians(angle));
    double[] in = image.data();
    double[] out = new double[in.length];
    for (int i = 0; i < weights.length; i++) {
      int dy = (int) Math.ceil(i * down - 0.5);
      int dx = (int) Math.ceil(i * right - 0.5);
      if (Math.abs(dy) >= h || Math.abs(dx) >= w) {
        break;
      }
      double weight = weights[i];
      int first = Math.max(0, -dx);
      int last = Math.min(w, w - dx);
      for (int row = 0; row < image.channels() * h; row++) {
        int to = row * w;
        int from = (row / h * h + Border.NEAREST.index(row % h + dy, h)) * w;
        for (int x = 0; x < first; x++) {
          out[to + x] += weight * in[from];
        }
        for (int x = first; x < last; x++) {
          out[to + x] += weight * in[from + x + dx];
        }
        for (int x = last; x < w; x++) {
          out[to + x] += weight * in[from + w - 1];
        }
      }
    }
    return image.with(out);
  }

  /** The factors 1, 1 + step, ... of a zoom blur. */
  public static double[] zoomFactors(double step, int count) {
    double[] factors = new double[count];
    for (int i = 0; i < count; i++) {
      // Steps as the difference of floats, which decides where a crop rounds up.
      factors[i] = 1 + i * (1 + step - 1);
    }
    return factors;
  }

  /** The mean of the image and of its enlargements by {@code factors}. */
  public static Image zoom(Image image, double... factors) {
    double[] sum = image.data().clone();
    for (double factor : factors) {
      double[] zoomed = clippedZoom(image, factor).data();
      for (int i = 0; i < sum.length; i++) {
        sum[i] += zoomed[i];
      }
    }
    int parts = factors.length + 1;
    return image.with(sum).map(v -> v / parts);
  }

  /**
   * Enlarges the middle of a square image to the image's size: crop to ceil(n / factor), bilinear
   * with the corner pixels aligned, crop to n again.
   *
   * @param factor at least 1
   * @throws OutriggerException if the image is not square
   */
  public static Image clippedZoom(Image image, double factor) {
    int n = image.height();
    if (n != image.width()) {
      throw new OutriggerException(
          "A zoom needs square images, but these are "
              + image.height()
              + " x "
              + image.width()
              + ": crop or resize them first.");
    }
    int crop = (int) Math.ceil(n / factor);
    int top = (n - crop) / 2;
    int enlarged = (int) Math.rint(crop * factor);
    int trim = (enlarged - n) / 2;
    double ratio = enlarged > 1 ? (crop - 1.0) / (enlarged - 1) : 0;
    int[] low = new int[n];
    double[] fraction = new double[n];
    for (int i = 0; i < n; i++) {
      double at = (i + trim) * ratio;
      low[i] = Math.min((int) at, Math.max(0, crop - 2));
      fraction[i] = at - low[i];
      low[i] += top;
    }
    double[] in = image.data();
    double[] out = new double[in.length];
    int right = crop > 1 ? 1 : 0;
    for (int c = 0; c < image.channels(); c++) {
      int plane = c * n * n;
      for (int y = 0; y < n; y++) {
        int upper = plane + low[y] * n;
        int lower = upper + right * n;
        double fy = fraction[y];
        for (int x = 0; x < n; x++) {
          int l = low[x];
          double fx = fraction[x];
          out[plane + y * n + x] =
              (1 - fy) * ((1 - fx) * in[upper + l] + fx * in[upper + l + right])
                  + fy * ((1 - fx) * in[lower + l] + fx * in[lower + l + right]);
        }
      }
    }
    return image.with(out);
  }
}
