package org.outrigger.core.data;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** Images turned around their centre, with bilinear interpolation; what comes in is 0. */
public final class ImageTurn {
  private static final long BILINEAR = 0;
  private static final long ZEROS = 0;

  private ImageTurn() {}

  /**
   * Turns images counter-clockwise.
   *
   * @param images [N, C, H, W], floating point
   * @param degrees the angle
   * @return of that shape and type
   */
  public static Tensor turn(Tensor images, double degrees) {
    Shapes.check().tensor("The images", images, "N", "C", "H", "W");
    return Scopes.tensor(
        () -> {
          double angle = Math.toRadians(degrees);
          double cos = Math.cos(angle);
          double sin = Math.sin(angle);
          // Coordinates run from -1 to 1 along both sides, whatever their lengths.
          double height = images.size(2);
          double width = images.size(3);
          double[] inverse = {
            cos, -sin * height / width, 0, sin * width / height, cos, 0,
          };
          Tensor theta =
              Tensors.of(inverse, 1, 2, 3).to(images.scalar_type()).expand(images.size(0), 2, 3);
          Tensor grid = torch.affine_grid_generator(theta, images.shape(), false);
          return torch.grid_sampler(images, grid, BILINEAR, ZEROS, false);
        });
  }
}
