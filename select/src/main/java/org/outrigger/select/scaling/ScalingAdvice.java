package org.outrigger.select.scaling;

import java.util.Locale;
import org.outrigger.core.metric.Interval;

/** What a scaling law says, in words. */
public final class ScalingAdvice {
  /** Beyond this many times the largest run an answer is a guess. */
  private static final double FAR = 10;

  private ScalingAdvice() {}

  /** How the loss moves, in a sentence. */
  public static String trend(ScalingStudy.Curve curve) {
    FittedLaw fitted = curve.fitted();
    Interval alpha = fitted.alpha();
    String range =
        String.format(
            Locale.ROOT,
            "alpha = %.4f (%.0f %%: %.4f to %.4f)",
            alpha.estimate(),
            100 * alpha.level(),
            alpha.low(),
            alpha.high());
    String unit = curve.axis().unit();
    if (fitted.undecided()) {
      return "The runs do not show that more "
          + unit
          + " change the loss: the interval of the exponent contains 0, "
          + range
          + ".";
    }
    if (alpha.estimate() < 0) {
      return "The loss grows with more "
          + unit
          + ": "
          + range
          + ". A larger model or more data of this kind hurts here.";
    }
    double excess = 100 * (1 - Math.pow(10, -alpha.estimate()));
    return String.format(
        Locale.ROOT,
        "Ten times the %s take %.1f %% off the loss%s: %s.",
        unit,
        excess,
        fitted.law().offset() == 0 ? "" : " above the irreducible one",
        range);
  }

  /** What a target loss costs, in a sentence or two. */
  public static String target(ScalingStudy.Curve curve, double loss) {
    FittedLaw fitted = curve.fitted();
    String unit = curve.axis().unit();
    String aim = String.format(Locale.ROOT, "A loss of %s ", plain(loss));
    if (loss <= fitted.law().offset()) {
      return aim + "is out of reach: the irreducible loss is " + plain(fitted.law().offset()) + ".";
    }
    if (fitted.law().alpha() <= 0) {
      return aim
          + "is not reached by more "
          + unit
          + ": the loss does not fall with them."
          + (fitted.undecided() ? " The interval of the exponent contains 0." : "");
    }
    Interval size = fitted.sizeFor(loss);
    StringBuilder text = new StringBuilder(aim);
    text.append("needs about ").append(number(size.estimate())).append(' ').append(unit);
    text.append(
        String.format(
            Locale.ROOT,
            " (%.0f %%: %s to %s)",
            100 * size.level(),
            number(size.low()),
            Double.isInfinite(size.high()) ? "no size at all" : number(size.high())));
    double beyond = size.estimate() / fitted.largest();
    if (beyond <= 1) {
      text.append(", which the runs reach already.");
    } else {
      text.append(", ").append(number(beyond)).append(" times the largest run.");
    }
    text.append(warning(fitted, size.estimate()));
    return text.toString();
  }

  /** The loss that a size would have, in a sentence or two. */
  public static String prediction(ScalingStudy.Curve curve, double size) {
    FittedLaw fitted = curve.fitted();
    Interval loss = fitted.at(size);
    return String.format(
            Locale.ROOT,
            "%s %s: a loss of %s (%.0f %%: %s to %s).",
            number(size),
            curve.axis().unit(),
            plain(loss.estimate()),
            100 * loss.level(),
            plain(loss.low()),
            plain(loss.high()))
        + warning(fitted, size);
  }

  private static String warning(FittedLaw fitted, double size) {
    StringBuilder text = new StringBuilder();
    if (size > FAR * fitted.largest() || size < fitted.smallest() / FAR) {
      text.append(" Warning: this is far outside the runs (")
          .append(number(fitted.smallest()))
          .append(" to ")
          .append(number(fitted.largest()))
          .append("); train a size in between first.");
    }
    if (fitted.undecided()) {
      text.append(
          " Warning: the interval of the exponent contains 0, so the runs do not show that size"
              + " matters.");
    }
    return text.toString();
  }

  /** A size as people say it: 870, 14.0K, 1.8M, 2.1e16. */
  public static String number(double value) {
    if (!Double.isFinite(value)) {
      return Double.isNaN(value) ? "n/a" : value > 0 ? "infinite" : "-infinite";
    }
    String[] units = {"", "K", "M", "G"};
    double scaled = value;
    int unit = 0;
    while (Math.abs(scaled) >= 999.5 && unit < units.length - 1) {
      scaled /= 1000;
      unit++;
    }
    if (Math.abs(scaled) >= 999.5 || (Math.abs(value) < 0.01 && value != 0)) {
      return String.format(Locale.ROOT, "%.1e", value);
    }
    if (unit == 0 && value == Math.rint(value)) {
      return String.format(Locale.ROOT, "%.0f", value);
    }
    return String.format(
        Locale.ROOT, Math.abs(scaled) < 100 ? "%.1f%s" : "%.0f%s", scaled, units[unit]);
  }

  /** A loss with four significant places. */
  static String plain(double value) {
    return Double.isFinite(value) ? String.format(Locale.ROOT, "%.4g", value) : number(value);
  }
}
