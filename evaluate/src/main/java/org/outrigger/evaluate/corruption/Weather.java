package org.outrigger.evaluate.corruption;

import org.outrigger.core.OutriggerException;

/** Fog, frost and snow of CIFAR-C and ImageNet-C (Hendrycks and Dietterich, ICLR 2019). */
public final class Weather {
  private static final double[] ICE = {0.86, 0.93, 1.0};
  private static final double[] THAW = {0.18, 0.22, 0.28};

  private Weather() {}

  /** How many draws {@link #plasma} takes. */
  public static int plasmaDraws(int size) {
    return size * size - 1;
  }

  /**
   * A plasma fractal by the diamond-square scheme on a torus. As in the benchmark's code each draw
   * is multiplied by the wibble, 100 at first and divided by {@code decay} at each halving,
   * <em>twice</em>.
   *
   * @param size a power of two
   * @param uniform draws in [-1, 1] in the order of use: at each step squares, then the two grids
   *     of diamonds
   * @return [size * size] values, the smallest 0 and the largest 1
   */
  public static double[] plasma(int size, double decay, double[] uniform) {
    if (Integer.bitCount(size) != 1 || size < 2) {
      throw new OutriggerException("The plasma's size is " + size + ": use a power of two.");
    }
    if (uniform.length != plasmaDraws(size)) {
      throw new OutriggerException(
          uniform.length + " draws were given for a plasma that takes " + plasmaDraws(size) + ".");
    }
    double[] map = new double[size * size];
    int mask = size - 1;
    int next = 0;
    double wibble = 100;
    for (int step = size; step >= 2; step /= 2) {
      int half = step / 2;
      double strength = wibble * wibble;
      for (int y = 0; y < size; y += step) {
        for (int x = 0; x < size; x += step) {
          int y1 = y + step & mask;
          int x1 = x + step & mask;
          double sum =
              map[y * size + x] + map[y1 * size + x] + map[y * size + x1] + map[y1 * size + x1];
          map[(y + half) * size + x + half] = sum / 4 + strength * uniform[next++];
        }
      }
      for (int y = 0; y < size; y += step) {
        for (int x = 0; x < size; x += step) {
          double sum =
              map[(y + half) * size + x + half]
                  + map[(y - half & mask) * size + x + half]
                  + map[y * size + x]
                  + map[y * size + (x + step & mask)];
          map[y * size + x + half] = sum / 4 + strength * uniform[next++];
        }
      }
      for (int y = 0; y < size; y += step) {
        for (int x = 0; x < size; x += step) {
          double sum =
              map[(y + half) * size + x + half]
                  + map[(y + half) * size + (x - half & mask)]
                  + map[y * size + x]
                  + map[(y + step & mask) * size + x];
          map[(y + half) * size + x] = sum / 4 + strength * uniform[next++];
        }
      }
      wibble /= decay;
    }
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (double value : map) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    double range = high > low ? high - low : 1;
    for (int i = 0; i < map.length; i++) {
      map[i] = (map[i] - low) / range;
    }
    return map;
  }

  /**
   * (x + a plasma) max / (max + a), where max is the image's largest value.
   *
   * @param plasma a square map that is at least as large as the image; its upper left is used
   */
  public static Image fog(Image image, double amount, double[] plasma) {
    int mapSide = mapSide(image, plasma);
    double max = 0;
    for (double value : image.data()) {
      max = Math.max(max, value);
    }
    double factor = max / (max + amount);
    double[] in = image.data();
    double[] out = new double[in.length];
    int w = image.width();
    for (int i = 0; i < out.length; i++) {
      int pixel = i % image.area();
      out[i] = Image.clip((in[i] + amount * plasma[pixel / w * mapSide + pixel % w]) * factor);
    }
    return image.with(out);
  }

  /**
   * a x + b frost. The benchmark's photographs of frosted windows are not free to ship, so the
   * frost here is drawn: a coarse and a fine plasma are added and thresholded softly into crystals
   * of a white-blue tint over a dark pane. Strengths are the benchmark's; pictures differ from it.
   *
   * @param coarse a plasma with strong decay, for patches of ice
   * @param fine one with weak decay, for grain; both of the same size, at least the image's
   */
  public static Image frost(Image image, double keep, double ice, double[] coarse, double[] fine) {
    int mapSide = mapSide(image, coarse);
    mapSide(image, fine);
    double[] in = image.data();
    double[] out = new double[in.length];
    int w = image.width();
    int area = image.area();
    for (int pixel = 0; pixel < area; pixel++) {
      int at = pixel / w * mapSide + pixel % w;
      double crystal = Image.clip((0.6 * coarse[at] + 0.4 * fine[at] - 0.3) / 0.35);
      crystal *= crystal * (3 - 2 * crystal);
      for (int c = 0; c < image.channels(); c++) {
        int tint = image.channels() == 3 ? c : 1;
        double frost = crystal * ICE[tint] + (1 - crystal) * THAW[tint];
        out[c * area + pixel] = Image.clip(keep * in[c * area + pixel] + ice * frost);
      }
    }
    return image.with(out);
  }

  /**
   * Snow: flakes are the bright spots of a noise layer, enlarged and blurred along their fall,
   * added once as they are and once turned by 180 degrees over a whitened image.
   *
   * @param layer normal draws N(loc, scale), one a pixel
   * @param zoom how much the flakes are enlarged, at least 1
   * @param threshold layer values below it become 0
   * @param mix the weight of the image against its whitened version
   * @param angle of the fall in degrees, -135 to -45
   */
  public static Image snow(
      Image image,
      double[] layer,
      double zoom,
      double threshold,
      int radius,
      double sigma,
      double mix,
      double angle) {
    Image noise = new Image(1, image.height(), image.width(), layer);
    Image flakes =
        Blur.motion(
            Blur.clippedZoom(noise, zoom).map(v -> v < threshold ? 0 : Image.clip(v)),
            radius,
            sigma,
            angle);
    double[] snow = flakes.data();
    double[] turned = flakes.halfTurn().data();
    double[] gray = image.gray().data();
    double[] in = image.data();
    double[] out = new double[in.length];
    for (int i = 0; i < out.length; i++) {
      int pixel = i % image.area();
      double white = Math.max(in[i], gray[pixel] * 1.5 + 0.5);
      out[i] = Image.clip(mix * in[i] + (1 - mix) * white + snow[pixel] + turned[pixel]);
    }
    return image.with(out);
  }

  private static int mapSide(Image image, double[] map) {
    int side = (int) Math.round(Math.sqrt(map.length));
    if (side < image.height() || side < image.width()) {
      throw new OutriggerException(
          "A plasma of side "
              + side
              + " does not cover an image of "
              + image.height()
              + " x "
              + image.width()
              + ".");
    }
    return side;
  }
}
