package org.outrigger.evaluate.corruption;

/**
 * Drawn lines and outlines after MNIST-C (Mu and Gilmer, 2019). Lengths are in units of 1/28 of the
 * shorter side, so that a stroke looks alike at every size. MNIST-C draws one line; here the
 * severity is the number of lines.
 */
public final class Strokes {
  private Strokes() {}

  /**
   * A dotted line across the image.
   *
   * @param ends four draws in [0, 1): where the line starts (left part, any row) and ends (right
   *     part, any row)
   */
  public static Image dottedLine(Image image, double[] ends) {
    double unit = image.side() / 28.0;
    double[] line = line(image, ends);
    double length = Math.hypot(line[2] - line[0], line[3] - line[1]);
    double[] out = image.data().clone();
    for (double at = 0; at < length; at += 4 * unit) {
      double until = Math.min(length, at + 2 * unit);
      segment(image, out, along(line, at / length), along(line, until / length), unit);
    }
    return image.with(out);
  }

  /** A zigzag of amplitude 2 and half period 2 across the image; draws as {@link #dottedLine}. */
  public static Image zigzag(Image image, double[] ends) {
    double unit = image.side() / 28.0;
    double[] line = line(image, ends);
    double dx = line[2] - line[0];
    double dy = line[3] - line[1];
    double length = Math.hypot(dx, dy);
    double[] out = image.data().clone();
    double[] from = {line[0], line[1]};
    int corner = 0;
    for (double at = 2 * unit; at < length; at += 4 * unit) {
      double side = (corner++ % 2 == 0 ? 2 : -2) * unit;
      double[] to = along(line, at / length);
      to[0] -= side * dy / length;
      to[1] += side * dx / length;
      segment(image, out, from, to, unit);
      from = to;
    }
    segment(image, out, from, new double[] {line[2], line[3]}, unit);
    return image.with(out);
  }

  /** White outlines on black: Canny's edges after a Gaussian blur of sigma 1. */
  public static Image cannyEdges(Image image) {
    boolean[] edges = Edges.canny(Blur.gaussian(image.gray(), 1), 0.1, 0.2, false);
    double[] out = new double[image.data().length];
    for (int i = 0; i < out.length; i++) {
      out[i] = edges[i % image.area()] ? 1 : 0;
    }
    return image.with(out);
  }

  private static double[] line(Image image, double[] ends) {
    int w = image.width();
    int h = image.height();
    return new double[] {
      ends[0] * 5 / 28 * w, ends[1] * (h - 1), (22 + ends[2] * 5) / 28 * w, ends[3] * (h - 1)
    };
  }

  private static double[] along(double[] line, double part) {
    return new double[] {
      line[0] + part * (line[2] - line[0]), line[1] + part * (line[3] - line[1])
    };
  }

  /** A white segment that fades as log(1 - d/2) + 1 with the distance d in units. */
  private static void segment(Image image, double[] out, double[] a, double[] b, double unit) {
    int h = image.height();
    int w = image.width();
    double reach = 2 * unit;
    double dx = b[0] - a[0];
    double dy = b[1] - a[1];
    double squared = dx * dx + dy * dy;
    int top = (int) Math.max(0, Math.floor(Math.min(a[1], b[1]) - reach));
    int bottom = (int) Math.min(h - 1, Math.ceil(Math.max(a[1], b[1]) + reach));
    int left = (int) Math.max(0, Math.floor(Math.min(a[0], b[0]) - reach));
    int right = (int) Math.min(w - 1, Math.ceil(Math.max(a[0], b[0]) + reach));
    for (int y = top; y <= bottom; y++) {
      for (int x = left; x <= right; x++) {
        double t = squared == 0 ? 0 : ((x - a[0]) * dx + (y - a[1]) * dy) / squared;
        t = Image.clip(t);
        double d = Math.hypot(x - a[0] - t * dx, y - a[1] - t * dy) / unit;
        if (d >= 2) {
          continue;
        }
        double light = Image.clip(Math.log(1 - d / 2) + 1);
        for (int c = 0; c < image.channels(); c++) {
          int i = (c * h + y) * w + x;
          out[i] = Math.max(out[i], light);
        }
      }
    }
  }
}
