package org.outrigger.evaluate.corruption;

import java.util.ArrayDeque;
import org.outrigger.evaluate.corruption.Filters.Border;

/** Canny's edge detector: thin lines where the gradient is largest, kept by hysteresis. */
final class Edges {
  private Edges() {}

  /**
   * Edges of a gray image.
   *
   * @param low gradients from here on belong to an edge if they touch a strong one
   * @param high gradients from here on are strong
   * @param cityBlock measure gradients as |gx| + |gy| instead of their length
   * @return [height * width]: which pixels are edges
   */
  static boolean[] canny(Image gray, double low, double high, boolean cityBlock) {
    int h = gray.height();
    int w = gray.width();
    Image gx =
        Filters.correlate(gray, new double[] {-1, 0, 1, -2, 0, 2, -1, 0, 1}, 3, Border.REFLECT_101);
    Image gy =
        Filters.correlate(gray, new double[] {-1, -2, -1, 0, 0, 0, 1, 2, 1}, 3, Border.REFLECT_101);
    double[] size = new double[h * w];
    for (int i = 0; i < size.length; i++) {
      double x = Math.abs(gx.data()[i]);
      double y = Math.abs(gy.data()[i]);
      size[i] = cityBlock ? x + y : Math.sqrt(x * x + y * y);
    }
    boolean[] thin = new boolean[h * w];
    boolean[] edge = new boolean[h * w];
    ArrayDeque<Integer> strong = new ArrayDeque<>();
    for (int y = 0; y < h; y++) {
      for (int x = 0; x < w; x++) {
        int i = y * w + x;
        if (size[i] < low || size[i] == 0) {
          continue;
        }
        double ax = Math.abs(gx.data()[i]);
        double ay = Math.abs(gy.data()[i]);
        // The direction in one of four sectors, parted at 22.5 and 67.5 degrees.
        int dx = ay > ax * 2.414213562 ? 0 : 1;
        int dy = ay < ax * 0.414213562 ? 0 : 1;
        if (dx == 1 && dy == 1 && gx.data()[i] * gy.data()[i] < 0) {
          dy = -1;
        }
        double before = at(size, h, w, y - dy, x - dx);
        double after = at(size, h, w, y + dy, x + dx);
        if (size[i] > before && size[i] >= after) {
          thin[i] = true;
          if (size[i] >= high) {
            edge[i] = true;
            strong.add(i);
          }
        }
      }
    }
    while (!strong.isEmpty()) {
      int i = strong.remove();
      for (int y = Math.max(0, i / w - 1); y <= Math.min(h - 1, i / w + 1); y++) {
        for (int x = Math.max(0, i % w - 1); x <= Math.min(w - 1, i % w + 1); x++) {
          int k = y * w + x;
          if (thin[k] && !edge[k]) {
            edge[k] = true;
            strong.add(k);
          }
        }
      }
    }
    return edge;
  }

  private static double at(double[] values, int h, int w, int y, int x) {
    return y < 0 || y >= h || x < 0 || x >= w ? 0 : values[y * w + x];
  }
}
