package org.outrigger.evaluate.corruption;

/** Linear filters and resampling that several corruptions share. */
final class Filters {
  private Filters() {}

  /** What lies beyond the border of an image. */
  enum Border {
    /** The nearest pixel: aaa|abc|ccc. */
    NEAREST {
      @Override
      int index(int i, int size) {
        return Math.max(0, Math.min(size - 1, i));
      }
    },
    /** A mirror on the edge of the last pixel: cba|abc|cba. */
    REFLECT {
      @Override
      int index(int i, int size) {
        int folded = Math.floorMod(i, 2 * size);
        return folded < size ? folded : 2 * size - 1 - folded;
      }
    },
    /** A mirror in the middle of the last pixel: cb|abc|ba. */
    REFLECT_101 {
      @Override
      int index(int i, int size) {
        if (size == 1) {
          return 0;
        }
        int folded = Math.floorMod(i, 2 * size - 2);
        return folded < size ? folded : 2 * size - 2 - folded;
      }
    };

    abstract int index(int i, int size);
  }

  /** One half of a normalised Gaussian: the weights at distance 0 .. radius. */
  static double[] gaussianWeights(double sigma, int radius) {
    double[] weights = new double[radius + 1];
    double sum = 0;
    for (int i = -radius; i <= radius; i++) {
      double weight = Math.exp(-0.5 / (sigma * sigma) * i * i);
      weights[Math.abs(i)] = weight;
      sum += weight;
    }
    for (int i = 0; i <= radius; i++) {
      weights[i] /= sum;
    }
    return weights;
  }

  /** Gaussian blur with a kernel cut at {@code truncate} sigmas; sigma 0 changes nothing. */
  static Image gaussian(Image image, double sigma, double truncate, Border border) {
    int radius = (int) (truncate * sigma + 0.5);
    if (radius == 0) {
      return image;
    }
    return symmetric(image, gaussianWeights(sigma, radius), border);
  }

  /** Correlation with the same symmetric kernel along the columns, then along the rows. */
  static Image symmetric(Image image, double[] half, Border border) {
    int h = image.height();
    int w = image.width();
    int radius = half.length - 1;
    int[] ys = indices(h, radius, border);
    int[] xs = indices(w, radius, border);
    double[] in = image.data();
    double[] columns = new double[in.length];
    double[] out = new double[in.length];
    double[] padded = new double[w + 2 * radius];
    for (int c = 0; c < image.channels(); c++) {
      int plane = c * h * w;
      for (int y = 0; y < h; y++) {
        int to = plane + y * w;
        for (int x = 0; x < w; x++) {
          columns[to + x] = in[to + x] * half[0];
        }
        for (int d = radius; d > 0; d--) {
          int above = plane + ys[y + radius - d] * w;
          int below = plane + ys[y + radius + d] * w;
          double weight = half[d];
          for (int x = 0; x < w; x++) {
            columns[to + x] += (in[above + x] + in[below + x]) * weight;
          }
        }
        for (int x = 0; x < padded.length; x++) {
          padded[x] = columns[to + xs[x]];
        }
        for (int x = 0; x < w; x++) {
          out[to + x] = padded[x + radius] * half[0];
        }
        for (int d = radius; d > 0; d--) {
          double weight = half[d];
          for (int x = 0; x < w; x++) {
            out[to + x] += (padded[x + radius - d] + padded[x + radius + d]) * weight;
          }
        }
      }
    }
    return image.with(out);
  }

  /** Where each position of a line padded by {@code radius} on both ends reads from. */
  static int[] indices(int size, int radius, Border border) {
    int[] out = new int[size + 2 * radius];
    for (int i = 0; i < out.length; i++) {
      out[i] = border.index(i - radius, size);
    }
    return out;
  }

  /** Correlation with a square kernel of odd side; weights too small to matter are skipped. */
  static Image correlate(Image image, double[] kernel, int kernelSide, Border border) {
    int h = image.height();
    int w = image.width();
    int radius = kernelSide / 2;
    int[] ys = indices(h, radius, border);
    int[] xs = indices(w, radius, border);
    int paddedWidth = w + 2 * radius;
    double[] in = image.data();
    double[] out = new double[in.length];
    double[] padded = new double[(h + 2 * radius) * paddedWidth];
    for (int c = 0; c < image.channels(); c++) {
      int plane = c * h * w;
      for (int y = 0; y < ys.length; y++) {
        for (int x = 0; x < paddedWidth; x++) {
          padded[y * paddedWidth + x] = in[plane + ys[y] * w + xs[x]];
        }
      }
      for (int k = 0; k < kernel.length; k++) {
        double weight = kernel[k];
        if (Math.abs(weight) < 1e-14) {
          continue;
        }
        for (int y = 0; y < h; y++) {
          int from = (y + k / kernelSide) * paddedWidth + k % kernelSide;
          int to = plane + y * w;
          for (int x = 0; x < w; x++) {
            out[to + x] += weight * padded[from + x];
          }
        }
      }
    }
    return image.with(out);
  }

  /** The bilinear value at (y, x) of a plane; pixels beyond the border count as 0. */
  static double bilinearZero(double[] in, int plane, int h, int w, double y, double x) {
    double y0 = Math.floor(y);
    double x0 = Math.floor(x);
    if (!(y0 >= -1 && y0 < h && x0 >= -1 && x0 < w)) {
      return 0;
    }
    int yi = (int) y0;
    int xi = (int) x0;
    double fy = y - y0;
    double fx = x - x0;
    double top = (1 - fx) * at(in, plane, h, w, yi, xi) + fx * at(in, plane, h, w, yi, xi + 1);
    double low =
        (1 - fx) * at(in, plane, h, w, yi + 1, xi) + fx * at(in, plane, h, w, yi + 1, xi + 1);
    return (1 - fy) * top + fy * low;
  }

  private static double at(double[] in, int plane, int h, int w, int y, int x) {
    return y < 0 || y >= h || x < 0 || x >= w ? 0 : in[plane + y * w + x];
  }

  /** The bilinear value at (y, x) of a plane with that border. */
  static double bilinear(double[] in, int plane, int h, int w, double y, double x, Border border) {
    int yi = (int) Math.floor(y);
    int xi = (int) Math.floor(x);
    double fy = y - yi;
    double fx = x - xi;
    int y0 = plane + border.index(yi, h) * w;
    int y1 = plane + border.index(yi + 1, h) * w;
    int x0 = border.index(xi, w);
    int x1 = border.index(xi + 1, w);
    double top = (1 - fx) * in[y0 + x0] + fx * in[y0 + x1];
    double low = (1 - fx) * in[y1 + x0] + fx * in[y1 + x1];
    return (1 - fy) * top + fy * low;
  }
}
