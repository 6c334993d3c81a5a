package org.outrigger.evaluate.shift;

import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** Images turned around their centre, with bilinear interpolation; what comes in is 0. */
public final class Rotation {
  private static final long BILINEAR = 0;
  private static final long ZEROS = 0;

  private Rotation() {}

  /**
   * Turns images counter-clockwise.
   *
   * @param images [N, C, H, W], floating point
   * @param degrees the angle
   * @return of that shape and type
   */
  public static Tensor rotate(Tensor images, double degrees) {
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

  /** The shift by that angle. */
  public static Shift by(double degrees) {
    HyperParameter.between("degrees", degrees, -360, 360);
    String angle =
        degrees == Math.rint(degrees) ? Long.toString((long) degrees) : Double.toString(degrees);
    return Shift.of("rotation " + angle, images -> rotate(images, degrees));
  }

  /**
   * Shifts by equally spaced angles.
   *
   * @param from the first angle in degrees
   * @param to the last, {@code from} or more
   * @param step between two, 1 or more
   */
  public static List<Shift> range(int from, int to, int step) {
    HyperParameter.atLeast("to", to, from);
    HyperParameter.atLeast("step", step, 1);
    return IntStream.iterate(from, angle -> angle <= to, angle -> angle + step)
        .mapToObj(Rotation::by)
        .toList();
  }
}
