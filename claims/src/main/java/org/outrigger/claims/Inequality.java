package org.outrigger.claims;

import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * One inequality between the mean of a measured figure and a number, or a multiple of the mean of
 * another figure.
 *
 * @param left the figure's name
 * @param relation how it must compare
 * @param factor the number, or what the other figure is multiplied with
 * @param right the other figure's name; null to compare with the number alone
 */
public record Inequality(String left, Relation relation, double factor, @Nullable String right) {
  private static final String CLOSE =
      " (a close call: within one standard deviation over the seeds)";

  /** How two numbers compare. */
  public enum Relation {
    LESS("<"),
    GREATER(">"),
    AT_MOST("<="),
    AT_LEAST(">=");

    private final String sign;

    Relation(String sign) {
      this.sign = sign;
    }

    boolean test(double a, double b) {
      return switch (this) {
        case LESS -> a < b;
        case GREATER -> a > b;
        case AT_MOST -> a <= b;
        case AT_LEAST -> a >= b;
      };
    }
  }

  /** The figure's mean is at least this number. */
  public static Inequality atLeast(String figure, double number) {
    return new Inequality(figure, Relation.AT_LEAST, number, null);
  }

  /** The figure's mean is below this number. */
  public static Inequality below(String figure, double number) {
    return new Inequality(figure, Relation.LESS, number, null);
  }

  /** The figure's mean is below {@code factor} times the other's. */
  public static Inequality below(String figure, double factor, String other) {
    return new Inequality(figure, Relation.LESS, factor, other);
  }

  /** The figure's mean is above the other's. */
  public static Inequality above(String figure, String other) {
    return new Inequality(figure, Relation.GREATER, 1, other);
  }

  /** Whether the means satisfy it. */
  public boolean holds(Measurements measured) {
    return relation.test(measured.mean(left), bound(measured));
  }

  private double bound(Measurements measured) {
    return right == null ? factor : factor * measured.mean(right);
  }

  /** As text, such as {@code ECE tempered < 0.7 x ECE raw}. */
  public String text() {
    return left
        + " "
        + relation.sign
        + " "
        + (right == null ? number(factor) : (factor == 1 ? "" : number(factor) + " x ") + right);
  }

  /** Whether it holds, with the figures. */
  public String words(Measurements measured) {
    String figures =
        Measurements.number(measured.mean(left))
            + " "
            + (holds(measured) ? "" : "not ")
            + relation.sign
            + " ";
    String bound =
        right == null
            ? number(factor)
            : factor == 1
                ? Measurements.number(bound(measured))
                : Measurements.number(bound(measured))
                    + " = "
                    + number(factor)
                    + " x "
                    + Measurements.number(measured.mean(right));
    return text() + ": " + figures + bound + (close(measured) ? CLOSE : "");
  }

  /** Whether the seeds differ by more than the margin does from zero, either way. */
  private boolean close(Measurements measured) {
    double[] margins = measured.values(left);
    if (right == null) {
      Arrays.setAll(margins, i -> margins[i] - factor);
    } else {
      double[] other = measured.values(right);
      Arrays.setAll(margins, i -> margins[i] - factor * other[i]);
    }
    return Math.abs(Measurements.mean(margins)) < Measurements.deviation(margins);
  }

  private static String number(double value) {
    String text = String.format(Locale.ROOT, "%.4f", value);
    return text.replaceAll("0+$", "").replaceAll("\\.$", "");
  }
}
