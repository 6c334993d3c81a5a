package org.outrigger.evaluate.corruption;

import java.util.function.DoubleUnaryOperator;
import org.outrigger.core.OutriggerException;

/**
 * One image in memory: planes of float64 values, usually in [0, 1]. Pixel work is done on plain
 * arrays; functions return new images and leave their arguments alone.
 */
public final class Image {
  private final int channels;
  private final int height;
  private final int width;
  private final double[] data;

  /**
   * Takes over an array.
   *
   * @param data values in the order [channels, height, width]
   */
  public Image(int channels, int height, int width, double[] data) {
    if (channels < 1 || height < 1 || width < 1 || data.length != channels * height * width) {
      throw new OutriggerException(
          data.length
              + " values do not fill an image of shape ["
              + channels
              + ", "
              + height
              + ", "
              + width
              + "].");
    }
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.data = data;
  }

  public int channels() {
    return channels;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  /** The values themselves, in the order [channels, height, width]; not a copy. */
  public double[] data() {
    return data;
  }

  /** The number of pixels of one channel. */
  int area() {
    return height * width;
  }

  /** The shorter side. */
  int side() {
    return Math.min(height, width);
  }

  /** An image of the same shape that takes over {@code values}. */
  Image with(double[] values) {
    return new Image(channels, height, width, values);
  }

  /** A copy of one channel as a gray image. */
  Image plane(int channel) {
    double[] plane = new double[area()];
    System.arraycopy(data, channel * area(), plane, 0, area());
    return new Image(1, height, width, plane);
  }

  /** Each value through a function. */
  Image map(DoubleUnaryOperator function) {
    double[] out = new double[data.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = function.applyAsDouble(data[i]);
    }
    return with(out);
  }

  /** Values cut to [0, 1]. */
  Image clip() {
    return map(Image::clip);
  }

  static double clip(double value) {
    return Math.max(0, Math.min(1, value));
  }

  /** Brightness in [0, 1] per pixel, with the weights of ITU-R BT.601; gray images as they are. */
  Image gray() {
    if (channels != 3) {
      return plane(0);
    }
    double[] gray = new double[area()];
    int area = area();
    for (int i = 0; i < area; i++) {
      gray[i] = 0.299 * data[i] + 0.587 * data[area + i] + 0.114 * data[2 * area + i];
    }
    return new Image(1, height, width, gray);
  }

  /** The image turned by 180 degrees. */
  Image halfTurn() {
    double[] out = new double[data.length];
    int area = area();
    for (int c = 0; c < channels; c++) {
      for (int i = 0; i < area; i++) {
        out[c * area + i] = data[c * area + area - 1 - i];
      }
    }
    return with(out);
  }
}
