package org.outrigger.core.data;

import org.outrigger.core.data.Preprocessing.Resample;

/**
 * Pillow's resampling of 8-bit images, with its fixed-point weights, so that the results are the
 * same bytes: rows first, then columns, each pass rounded and clipped.
 */
final class Resize {
  /** Fraction bits of Pillow's weights. */
  private static final int PRECISION = 32 - 8 - 2;

  private Resize() {}

  static ImageBytes to(ImageBytes image, int height, int width, Resample filter) {
    if (image.height() == height && image.width() == width) {
      return image;
    }
    if (filter == Resample.NEAREST) {
      return nearest(image, height, width);
    }
    ImageBytes result = image;
    if (width != image.width()) {
      result = rows(result, Weights.of(image.width(), width, filter), width);
    }
    if (height != image.height()) {
      result = columns(result, Weights.of(image.height(), height, filter), height);
    }
    return result;
  }

  private static ImageBytes nearest(ImageBytes image, int height, int width) {
    int channels = image.channels();
    byte[] out = new byte[Math.multiplyExact(Math.multiplyExact(height, width), channels)];
    double stepX = (double) image.width() / width;
    double stepY = (double) image.height() / height;
    int at = 0;
    for (int y = 0; y < height; y++) {
      int row = Math.min(image.height() - 1, (int) ((y + 0.5) * stepY)) * image.width();
      for (int x = 0; x < width; x++) {
        int from = (row + Math.min(image.width() - 1, (int) ((x + 0.5) * stepX))) * channels;
        for (int c = 0; c < channels; c++) {
          out[at++] = image.data()[from + c];
        }
      }
    }
    return new ImageBytes(out, height, width, channels);
  }

  private static ImageBytes rows(ImageBytes image, Weights weights, int width) {
    int channels = image.channels();
    byte[] in = image.data();
    byte[] out = new byte[Math.multiplyExact(Math.multiplyExact(image.height(), width), channels)];
    int at = 0;
    for (int y = 0; y < image.height(); y++) {
      for (int x = 0; x < width; x++) {
        int from = (y * image.width() + weights.start[x]) * channels;
        int[] weight = weights.values[x];
        for (int c = 0; c < channels; c++) {
          int sum = 1 << PRECISION - 1;
          for (int k = 0; k < weight.length; k++) {
            sum += (in[from + k * channels + c] & 255) * weight[k];
          }
          out[at++] = clip(sum);
        }
      }
    }
    return new ImageBytes(out, image.height(), width, channels);
  }

  private static ImageBytes columns(ImageBytes image, Weights weights, int height) {
    int line = image.width() * image.channels();
    byte[] in = image.data();
    byte[] out = new byte[Math.multiplyExact(height, line)];
    for (int y = 0; y < height; y++) {
      int[] weight = weights.values[y];
      for (int i = 0; i < line; i++) {
        int sum = 1 << PRECISION - 1;
        int from = weights.start[y] * line + i;
        for (int k = 0; k < weight.length; k++) {
          sum += (in[from + k * line] & 255) * weight[k];
        }
        out[y * line + i] = clip(sum);
      }
    }
    return new ImageBytes(out, height, image.width(), image.channels());
  }

  private static byte clip(int sum) {
    return (byte) Math.max(0, Math.min(255, sum >> PRECISION));
  }

  /** For each output position the first input position and the weights from there on. */
  private record Weights(int[] start, int[][] values) {
    static Weights of(int inSize, int outSize, Resample filter) {
      double scale = (double) inSize / outSize;
      double stretch = Math.max(1, scale);
      double support = (filter == Resample.BICUBIC ? 2 : 1) * stretch;
      int[] start = new int[outSize];
      int[][] values = new int[outSize][];
      for (int i = 0; i < outSize; i++) {
        double center = (i + 0.5) * scale;
        int from = Math.max(0, (int) (center - support + 0.5));
        int to = Math.min(inSize, (int) (center + support + 0.5));
        double[] weight = new double[to - from];
        double total = 0;
        for (int k = 0; k < weight.length; k++) {
          double x = (k + from - center + 0.5) / stretch;
          weight[k] = filter == Resample.BICUBIC ? cubic(x) : Math.max(0, 1 - Math.abs(x));
          total += weight[k];
        }
        start[i] = from;
        values[i] = new int[weight.length];
        for (int k = 0; k < weight.length; k++) {
          double fixed = (total == 0 ? 0 : weight[k] / total) * (1 << PRECISION);
          values[i][k] = (int) (fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
      }
      return new Weights(start, values);
    }

    private static double cubic(double value) {
      double x = Math.abs(value);
      double a = -0.5;
      if (x < 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
      }
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    }
  }
}
