package org.outrigger.evaluate.shift;

import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.ImageTurn;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.HyperParameter;

/** Images turned around their centre, with bilinear interpolation; what comes in is 0. */
public final class Rotation {
  private Rotation() {}

  /**
   * Turns images counter-clockwise.
   *
   * @param images [N, C, H, W], floating point
   * @param degrees the angle
   * @return of that shape and type
   */
  public static Tensor rotate(Tensor images, double degrees) {
    return ImageTurn.turn(images, degrees);
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
