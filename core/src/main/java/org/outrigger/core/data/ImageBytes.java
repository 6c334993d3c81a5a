package org.outrigger.core.data;

import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.util.List;

/**
 * The pixels of an image as bytes, channels interleaved, row by row.
 *
 * @param data one byte a channel and pixel
 * @param channels 1 or 3
 */
record ImageBytes(byte[] data, int height, int width, int channels) {
  /** Takes {@code wanted} channels, or as many as the image has (grey: 1) when that is 0. */
  static ImageBytes of(BufferedImage image, int wanted) {
    int height = image.getHeight();
    int width = image.getWidth();
    boolean grey =
        image.getType() == BufferedImage.TYPE_BYTE_GRAY
            || image.getType() == BufferedImage.TYPE_USHORT_GRAY
            || (image.getColorModel().getNumColorComponents() == 1
                && image.getColorModel().getColorSpace().getType()
                    == java.awt.color.ColorSpace.TYPE_GRAY);
    int channels = wanted == 0 ? (grey ? 1 : 3) : wanted;
    byte[] data = new byte[Math.multiplyExact(Math.multiplyExact(height, width), channels)];
    if (grey) {
      readGrey(image, data, channels);
    } else {
      readColour(image, data, channels);
    }
    return new ImageBytes(data, height, width, channels);
  }

  /** Grey levels as stored: Java's own conversion would apply a gamma curve to them. */
  private static void readGrey(BufferedImage image, byte[] data, int channels) {
    Raster raster = image.getRaster();
    int bits = image.getColorModel().getComponentSize(0);
    int width = image.getWidth();
    int[] line = new int[width];
    int at = 0;
    for (int y = 0; y < image.getHeight(); y++) {
      raster.getSamples(0, y, width, 1, 0, line);
      for (int x = 0; x < width; x++) {
        int level =
            bits == 8
                ? line[x]
                : bits > 8 ? line[x] >> (bits - 8) : line[x] * 255 / ((1 << bits) - 1);
        for (int c = 0; c < channels; c++) {
          data[at++] = (byte) level;
        }
      }
    }
  }

  private static void readColour(BufferedImage image, byte[] data, int channels) {
    int width = image.getWidth();
    int[] line = new int[width];
    int at = 0;
    for (int y = 0; y < image.getHeight(); y++) {
      image.getRGB(0, y, width, 1, line, 0, width);
      for (int x = 0; x < width; x++) {
        int red = line[x] >> 16 & 255;
        int green = line[x] >> 8 & 255;
        int blue = line[x] & 255;
        if (channels == 3) {
          data[at++] = (byte) red;
          data[at++] = (byte) green;
          data[at++] = (byte) blue;
        } else {
          // ITU-R 601 luma in Pillow's fixed-point arithmetic.
          data[at++] = (byte) (red * 19595 + green * 38470 + blue * 7471 + 0x8000 >> 16);
        }
      }
    }
  }

  /** The centre; what lies outside of the image is black. */
  ImageBytes crop(int newHeight, int newWidth) {
    if (newHeight == height && newWidth == width) {
      return this;
    }
    byte[] out = new byte[Math.multiplyExact(Math.multiplyExact(newHeight, newWidth), channels)];
    int top = offset(height, newHeight);
    int left = offset(width, newWidth);
    int fromX = Math.max(0, left);
    int toX = Math.min(width, left + newWidth);
    for (int y = Math.max(0, top); y < Math.min(height, top + newHeight); y++) {
      System.arraycopy(
          data,
          (y * width + fromX) * channels,
          out,
          ((y - top) * newWidth + fromX - left) * channels,
          (toX - fromX) * channels);
    }
    return new ImageBytes(out, newHeight, newWidth, channels);
  }

  /**
   * torchvision rounds half of an odd rest to even when cutting, and pads its smaller half first.
   */
  private static int offset(int from, int to) {
    return from >= to ? (int) Math.rint((from - to) / 2.0) : -((to - from) / 2);
  }

  /** Float planes, channel by channel: (byte * scale - mean) / std. */
  float[] planes(double scale, List<Double> mean, List<Double> std) {
    int pixels = height * width;
    float[] out = new float[data.length];
    float[] table = new float[256];
    for (int c = 0; c < channels; c++) {
      double m = mean.isEmpty() ? 0 : mean.get(Math.min(c, mean.size() - 1));
      double s = std.isEmpty() ? 1 : std.get(Math.min(c, std.size() - 1));
      for (int v = 0; v < 256; v++) {
        // Rounded step by step as float32 code does.
        float scaled = (float) (v * scale);
        table[v] = mean.isEmpty() ? scaled : (scaled - (float) m) / (float) s;
      }
      for (int i = 0; i < pixels; i++) {
        out[c * pixels + i] = table[data[i * channels + c] & 255];
      }
    }
    return out;
  }
}
