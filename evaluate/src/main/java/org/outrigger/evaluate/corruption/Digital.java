package org.outrigger.evaluate.corruption;

/**
 * Changes of light and of encoding: brightness, contrast, saturation and pixelation of CIFAR-C and
 * ImageNet-C (Hendrycks and Dietterich, ICLR 2019), stripe, quantisation and inversion of MNIST-C
 * (Mu and Gilmer, 2019). JPEG is in {@link Jpeg}.
 */
public final class Digital {
  private Digital() {}

  /** The HSV value plus {@code amount}; gray images: x + amount. */
  public static Image brightness(Image image, double amount) {
    if (image.channels() != 3) {
      return image.map(v -> Image.clip(v + amount));
    }
    return hsv(image, 1, 0, amount);
  }

  /**
   * HSV saturation times {@code factor} plus {@code offset}. A gray image has no saturation; there
   * the value is changed instead, as MNIST-C's code does.
   */
  public static Image saturate(Image image, double factor, double offset) {
    if (image.channels() != 3) {
      return image.map(v -> Image.clip(v * factor + offset));
    }
    return hsv(image, factor, offset, 0);
  }

  private static Image hsv(Image image, double factor, double offset, double lighter) {
    double[] in = image.data();
    double[] out = new double[in.length];
    int area = image.area();
    for (int i = 0; i < area; i++) {
      double r = in[i];
      double g = in[area + i];
      double b = in[2 * area + i];
      double max = Math.max(r, Math.max(g, b));
      double range = max - Math.min(r, Math.min(g, b));
      double hue = 0;
      if (range > 0) {
        // On ties the later channel decides, as in the reference.
        if (b == max) {
          hue = 4 + (r - g) / range;
        } else if (g == max) {
          hue = 2 + (b - r) / range;
        } else {
          hue = (g - b) / range;
        }
        hue -= 6 * Math.floor(hue / 6);
      }
      double saturation = range > 0 ? range / max : 0;
      double s = Image.clip(saturation * factor + offset);
      double v = Image.clip(max + lighter);
      int sector = (int) Math.floor(hue);
      double f = hue - sector;
      double p = v * (1 - s);
      double q = v * (1 - f * s);
      double t = v * (1 - (1 - f) * s);
      switch (sector % 6) {
        case 0 -> put(out, area, i, v, t, p);
        case 1 -> put(out, area, i, q, v, p);
        case 2 -> put(out, area, i, p, v, t);
        case 3 -> put(out, area, i, p, q, v);
        case 4 -> put(out, area, i, t, p, v);
        default -> put(out, area, i, v, p, q);
      }
    }
    return image.with(out);
  }

  private static void put(double[] out, int area, int i, double r, double g, double b) {
    out[i] = r;
    out[area + i] = g;
    out[2 * area + i] = b;
  }

  /** (x - mean) factor + mean, with the mean of each channel. */
  public static Image contrast(Image image, double factor) {
    double[] in = image.data();
    double[] out = new double[in.length];
    int area = image.area();
    for (int c = 0; c < image.channels(); c++) {
      double sum = 0;
      for (int i = 0; i < area; i++) {
        sum += in[c * area + i];
      }
      double mean = sum / area;
      for (int i = c * area; i < (c + 1) * area; i++) {
        out[i] = Image.clip((in[i] - mean) * factor + mean);
      }
    }
    return image.with(out);
  }

  /**
   * Fewer pixels: resized with a box filter to floor(n * factor) a side and back, in 8 bits after
   * each pass.
   */
  public static Image pixelate(Image image, double factor) {
    int h = Math.max(1, (int) (image.height() * factor));
    int w = Math.max(1, (int) (image.width() * factor));
    Image bytes = image.map(v -> Math.rint(Image.clip(v) * 255));
    Image small = boxRows(boxColumns(bytes, w), h);
    return boxRows(boxColumns(small, image.width()), image.height()).map(v -> v / 255);
  }

  /** The whole pixels whose centres a box around target {@code i} covers: first and past last. */
  private static int[][] boxes(int from, int to) {
    double scale = (double) from / to;
    double wide = Math.max(1, scale);
    int[][] boxes = new int[to][];
    for (int i = 0; i < to; i++) {
      double centre = (i + 0.5) * scale;
      int first = from;
      int end = 0;
      int low = Math.max(0, (int) Math.floor(centre - wide / 2) - 1);
      for (int k = low; k < Math.min(from, centre + wide / 2 + 1); k++) {
        double distance = (k + 0.5 - centre) / wide;
        if (distance > -0.5 && distance <= 0.5) {
          first = Math.min(first, k);
          end = k + 1;
        }
      }
      boxes[i] = new int[] {first, end};
    }
    return boxes;
  }

  private static Image boxColumns(Image image, int width) {
    int[][] boxes = boxes(image.width(), width);
    int rows = image.channels() * image.height();
    double[] in = image.data();
    double[] out = new double[rows * width];
    for (int row = 0; row < rows; row++) {
      for (int x = 0; x < width; x++) {
        double sum = 0;
        for (int k = boxes[x][0]; k < boxes[x][1]; k++) {
          sum += in[row * image.width() + k];
        }
        out[row * width + x] = Math.floor(sum / (boxes[x][1] - boxes[x][0]) + 0.5);
      }
    }
    return new Image(image.channels(), image.height(), width, out);
  }

  private static Image boxRows(Image image, int height) {
    int[][] boxes = boxes(image.height(), height);
    int w = image.width();
    double[] in = image.data();
    double[] out = new double[image.channels() * height * w];
    for (int c = 0; c < image.channels(); c++) {
      for (int y = 0; y < height; y++) {
        int to = (c * height + y) * w;
        for (int k = boxes[y][0]; k < boxes[y][1]; k++) {
          int from = (c * image.height() + k) * w;
          for (int x = 0; x < w; x++) {
            out[to + x] += in[from + x];
          }
        }
        int count = boxes[y][1] - boxes[y][0];
        for (int x = 0; x < w; x++) {
          out[to + x] = Math.floor(out[to + x] / count + 0.5);
        }
      }
    }
    return new Image(image.channels(), height, w, out);
  }

  /** Only 2^bits levels, rounded half to even. */
  public static Image quantize(Image image, int bits) {
    int levels = (1 << bits) - 1;
    // Counted on the 8-bit scale, so that ties fall where the reference has them.
    return image.map(v -> Math.rint(v * 255 * (levels / 255.0)) / levels);
  }

  /** The leftmost and rightmost quarter of the columns inverted: 0-6 and 21-27 of 28. */
  public static Image stripe(Image image) {
    int w = image.width();
    int band = w / 4;
    double[] out = image.data().clone();
    for (int i = 0; i < out.length; i++) {
      int x = i % w;
      if (x < band || x >= w - band) {
        out[i] = 1 - out[i];
      }
    }
    return image.with(out);
  }

  /** 1 - x. */
  public static Image inverse(Image image) {
    return image.map(v -> 1 - v);
  }
}
