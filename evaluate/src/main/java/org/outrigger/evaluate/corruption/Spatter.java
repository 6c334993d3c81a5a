package org.outrigger.evaluate.corruption;

import java.util.Arrays;
import org.outrigger.evaluate.corruption.Filters.Border;

/** Drops of water or splashes of mud on the lens (Hendrycks and Dietterich, ICLR 2019). */
public final class Spatter {
  private static final double[] MUD = {63 / 255.0, 42 / 255.0, 20 / 255.0};
  private static final double[] WATER = {175 / 255.0, 238 / 255.0, 238 / 255.0};

  private Spatter() {}

  /**
   * The liquid: blurred noise, 0 below the threshold.
   *
   * @param layer normal draws N(loc, scale), [height * width]
   */
  public static Image liquid(Image image, double[] layer, double sigma, double threshold) {
    return Blur.gaussian(new Image(1, image.height(), image.width(), layer), sigma)
        .map(v -> v < threshold ? 0 : v);
  }

  /** Mud: x (1 - m) + brown m, m the blurred area of the liquid, 0 below 0.8. */
  public static Image mud(Image image, Image liquid, double threshold, double mix) {
    double[] m =
        Blur.gaussian(liquid.map(v -> v > threshold ? 1 : 0), mix).map(v -> v < 0.8 ? 0 : v).data();
    double[] in = image.data();
    double[] out = new double[in.length];
    for (int i = 0; i < out.length; i++) {
      double cover = m[i % image.area()];
      // Gray mud takes the first component, as in MNIST-C.
      out[i] = Image.clip(in[i] * (1 - cover) + MUD[i / image.area()] * cover);
    }
    return image.with(out);
  }

  /**
   * Water: pale turquoise light added where drops are, shaded by the distance to their edges
   * (embossed, so that drops look round). {@code mix} is the light of the brightest spot.
   */
  public static Image water(Image image, Image liquid, double mix) {
    Image bytes = liquid.map(v -> (int) (Image.clip(v) * 255));
    boolean[] edges = Edges.canny(bytes, 50, 150, true);
    Image distance = distances(edges, image.height(), image.width());
    double[] third = {1 / 3.0, 1 / 3.0, 1 / 3.0};
    double[] half = {third[0], third[1]};
    Image soft =
        Filters.symmetric(distance.map(v -> Math.min(v, 20)), half, Border.REFLECT_101)
            .map(v -> (int) (v + 1e-9));
    double[] emboss = {-2, -1, 0, -1, 1, 1, 0, 1, 2};
    Image shaded =
        Filters.correlate(equalize(soft), emboss, 3, Border.REFLECT_101)
            .map(v -> Math.max(0, Math.min(255, v)));
    double[] light = Filters.symmetric(shaded, half, Border.REFLECT_101).data();
    double brightest = 0;
    for (int i = 0; i < light.length; i++) {
      light[i] *= bytes.data()[i];
      brightest = Math.max(brightest, light[i]);
    }
    double factor = brightest > 0 ? mix / brightest : 0;
    double[] in = image.data();
    double[] out = new double[in.length];
    int area = image.area();
    for (int i = 0; i < out.length; i++) {
      out[i] = Image.clip(in[i] + light[i % area] * factor * WATER[i / area]);
    }
    return image.with(out);
  }

  /** The distance to the nearest edge, by two passes of a 5x5 chamfer mask. */
  private static Image distances(boolean[] edges, int h, int w) {
    int[][] mask = {{0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {-2, -1}, {-2, 1}, {-1, -2}, {-1, 2}};
    double[] lengths = {1, 1, 1.4, 1.4, 2.1969, 2.1969, 2.1969, 2.1969};
    double[] out = new double[h * w];
    Arrays.fill(out, 1e6);
    for (int direction = 1; direction >= -1; direction -= 2) {
      for (int k = 0; k < out.length; k++) {
        int i = direction > 0 ? k : out.length - 1 - k;
        if (edges[i]) {
          out[i] = 0;
          continue;
        }
        for (int n = 0; n < mask.length; n++) {
          int y = i / w + direction * mask[n][0];
          int x = i % w + direction * mask[n][1];
          if (y >= 0 && y < h && x >= 0 && x < w) {
            out[i] = Math.min(out[i], out[y * w + x] + lengths[n]);
          }
        }
      }
    }
    return new Image(1, h, w, out);
  }

  /** Histogram equalisation of whole values 0..255. */
  private static Image equalize(Image image) {
    int[] counts = new int[256];
    for (double value : image.data()) {
      counts[(int) value]++;
    }
    int first = 0;
    while (counts[first] == 0) {
      first++;
    }
    int rest = image.data().length - counts[first];
    if (rest == 0) {
      return image;
    }
    double[] table = new double[256];
    int sum = 0;
    for (int v = first + 1; v < 256; v++) {
      sum += counts[v];
      table[v] = Math.rint(sum * 255.0 / rest);
    }
    return image.map(v -> table[(int) v]);
  }
}
