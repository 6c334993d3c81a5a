package org.outrigger.evaluate.corruption;

import org.outrigger.core.OutriggerException;
import org.outrigger.evaluate.corruption.Filters.Border;

/**
 * Warps: elastic deformation of CIFAR-C and ImageNet-C (Hendrycks and Dietterich, ICLR 2019), and
 * rotation, shear, scale and translation of MNIST-C (Mu and Gilmer, 2019).
 *
 * <p>An affine matrix is {a, b, tx, c, d, ty}: it maps the column and row of an output pixel to
 * those of the input, x' = a x + b y + tx, y' = c x + d y + ty.
 */
public final class Geometry {
  private Geometry() {}

  /** A linear map that keeps the middle of the image where it is. */
  private static double[] centred(int height, int width, double a, double b, double c, double d) {
    double x = (width - 1) / 2.0;
    double y = (height - 1) / 2.0;
    return new double[] {a, b, x - a * x - b * y, c, d, y - c * x - d * y};
  }

  /** Rotation by {@code angle} radians. */
  public static double[] rotation(int height, int width, double angle) {
    double sin = Math.sin(angle);
    double cos = Math.cos(angle);
    return centred(height, width, cos, -sin, sin, cos);
  }

  /** Shear [[1, -sin], [0, cos]] of {@code angle} radians. */
  public static double[] shear(int height, int width, double angle) {
    return centred(height, width, 1, -Math.sin(angle), 0, Math.cos(angle));
  }

  /** Scale: a factor above 1 shrinks what is shown. */
  public static double[] scale(int height, int width, double factor) {
    return centred(height, width, factor, 0, 0, factor);
  }

  /** Translation: output pixel (x, y) shows input pixel (x + dx, y + dy). */
  public static double[] translation(double dx, double dy) {
    return new double[] {1, 0, dx, 0, 1, dy};
  }

  /** The image through an affine matrix, bilinear, 0 beyond the border. */
  public static Image warp(Image image, double[] matrix) {
    return warp(image, matrix, null);
  }

  private static Image warp(
      Image image, double[] m, @org.jspecify.annotations.Nullable Border border) {
    int h = image.height();
    int w = image.width();
    double[] in = image.data();
    double[] out = new double[in.length];
    for (int c = 0; c < image.channels(); c++) {
      int plane = c * h * w;
      for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
          double fromX = m[0] * x + m[1] * y + m[2];
          double fromY = m[3] * x + m[4] * y + m[5];
          out[plane + y * w + x] =
              border == null
                  ? Filters.bilinearZero(in, plane, h, w, fromY, fromX)
                  : Filters.bilinear(in, plane, h, w, fromY, fromX, border);
        }
      }
    }
    return image.with(out);
  }

  /**
   * The first half of the elastic corruption: the affine map that moves three points around the
   * middle, by {@code jitter} pixels each, mirrored at the border.
   *
   * @param jitter {dx0, dy0, dx1, dy1, dx2, dy2}
   */
  public static Image jitterAffine(Image image, double[] jitter) {
    int cx = image.width() / 2;
    int cy = image.height() / 2;
    int r = image.side() / 3;
    double[] sx = {cx + r, cx + r, cx - r};
    double[] sy = {cy + r, cy - r, cy - r};
    double[] tx = new double[3];
    double[] ty = new double[3];
    for (int i = 0; i < 3; i++) {
      tx[i] = sx[i] + jitter[2 * i];
      ty[i] = sy[i] + jitter[2 * i + 1];
    }
    // The picture's points s move to t, so an output pixel reads through the map from t to s.
    double det = (tx[1] - tx[0]) * (ty[2] - ty[0]) - (tx[2] - tx[0]) * (ty[1] - ty[0]);
    if (Math.abs(det) < 1e-9) {
      throw new OutriggerException("The three jittered points lie on one line: no affine map.");
    }
    double[] matrix = new double[6];
    for (int row = 0; row < 2; row++) {
      double[] s = row == 0 ? sx : sy;
      double a = ((s[1] - s[0]) * (ty[2] - ty[0]) - (s[2] - s[0]) * (ty[1] - ty[0])) / det;
      double b = ((s[2] - s[0]) * (tx[1] - tx[0]) - (s[1] - s[0]) * (tx[2] - tx[0])) / det;
      matrix[3 * row] = a;
      matrix[3 * row + 1] = b;
      matrix[3 * row + 2] = s[0] - a * tx[0] - b * ty[0];
    }
    return warp(image, matrix, Border.REFLECT_101);
  }

  /**
   * A smooth field of displacements: Gaussian blur (cut at {@code truncate} sigmas, mirrored) of
   * uniform draws, times {@code alpha}.
   *
   * @param uniform draws in [-1, 1], [height * width]
   */
  public static double[] displacement(
      int height, int width, double alpha, double sigma, double truncate, double[] uniform) {
    Image draws = new Image(1, height, width, uniform);
    return Filters.gaussian(draws, sigma, truncate, Border.REFLECT).map(v -> v * alpha).data();
  }

  /**
   * The second half: each pixel (row, column) shows (row + dy, column + dx), bilinear.
   *
   * @param mirror whether the image is mirrored beyond its border, as for CIFAR-C and ImageNet-C,
   *     or pixels that read from outside are 0, as in MNIST-C's code
   */
  public static Image displace(Image image, double[] dx, double[] dy, boolean mirror) {
    int h = image.height();
    int w = image.width();
    double[] in = image.data();
    double[] out = new double[in.length];
    for (int i = 0; i < out.length; i++) {
      int pixel = i % image.area();
      int plane = i - pixel;
      int row = pixel / w;
      double y = row + dy[pixel];
      double x = pixel % w + dx[pixel];
      boolean inside = y >= 0 && y <= h - 1 && x >= 0 && x <= w - 1;
      out[i] = mirror || inside ? Filters.bilinear(in, plane, h, w, y, x, Border.REFLECT) : 0;
    }
    return image.with(out);
  }
}
