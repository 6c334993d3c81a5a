package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.select.scaling.Axis;
import org.outrigger.select.scaling.FittedLaw;
import org.outrigger.select.scaling.ScalingStudy;
import org.outrigger.select.scaling.ScalingStudy.Curve;

/** The page of a study of scaling laws. */
final class ScalingReport {
  private static final int POINTS = 40;

  private ScalingReport() {}

  static ReportPage of(ScalingStudy study, Map<String, List<String>> answers, String runs) {
    ReportPage page = new ReportPage("Scaling laws", "Fitted to " + runs);
    for (Axis axis : Axis.values()) {
      List<Curve> laws = study.laws().stream().filter(c -> c.axis() == axis).toList();
      if (laws.isEmpty()) {
        continue;
      }
      page.section(title(axis), lead(axis));
      List<Chart> charts = new ArrayList<>();
      for (String metric : laws.stream().map(Curve::metric).distinct().toList()) {
        for (String architecture : laws.stream().map(Curve::architecture).distinct().toList()) {
          List<Chart.Fitted> fitted =
              laws.stream()
                  .filter(c -> c.metric().equals(metric) && c.architecture().equals(architecture))
                  .map(ScalingReport::fitted)
                  .toList();
          if (!fitted.isEmpty()) {
            charts.add(
                Chart.fitted(
                    architecture + ", " + metric,
                    "Solid: the law, drawn to ten times the largest run. Dashed: its band.",
                    (logarithms(axis) ? "log10 " : "") + axis.unit(),
                    "log10 " + metric,
                    !logarithms(axis),
                    fitted));
          }
        }
      }
      page.charts(charts.toArray(Chart[]::new));
      page.table(
          "", ScalingFitCommand.header(), laws.stream().map(ScalingFitCommand::cells).toList());
      for (Curve curve : laws) {
        List<String> said = answers.getOrDefault(axis + ": " + curve.name(), List.of());
        page.text(curve.name() + ": " + String.join(" ", said));
      }
    }
    List<Curve> without = study.curves().stream().filter(c -> c.law() == null).toList();
    if (!without.isEmpty()) {
      page.section("Not fitted", "");
      page.table(
          "",
          List.of("axis", "curve", "why not"),
          without.stream().map(c -> List.of(c.axis().toString(), c.name(), c.problem())).toList());
    }
    page.section("How to read it", "")
        .text(
            "A law is L(x) = (x0 / x)^alpha, a straight line where both axes are logarithmic. A"
                + " negative exponent means that the loss grows, which happens out of distribution."
                + " Bands are those of the fitted curve, from a bootstrap of its residuals: they do"
                + " not know whether the law goes on beyond the runs.");
    return page;
  }

  private static String title(Axis axis) {
    return switch (axis) {
      case N -> "Parameters";
      case D -> "Data";
      case C -> "Compute";
    };
  }

  private static String lead(Axis axis) {
    return switch (axis) {
      case N -> "All model sizes on the most data.";
      case D -> "The largest model on each amount of data.";
      case C -> "The least loss that any run had for each amount of compute.";
    };
  }

  /** PF-days of small runs are such small numbers that their logarithms read better. */
  private static boolean logarithms(Axis axis) {
    return axis == Axis.C;
  }

  private static Chart.Fitted fitted(Curve curve) {
    FittedLaw law = curve.fitted();
    double low = Math.log10(law.smallest());
    double high = Math.log10(law.largest()) + 1;
    double[] x = new double[POINTS];
    double[] y = new double[POINTS];
    double[] below = new double[POINTS];
    double[] above = new double[POINTS];
    for (int i = 0; i < POINTS; i++) {
      x[i] = Math.pow(10, low + (high - low) * i / (POINTS - 1));
      var at = law.at(x[i]);
      y[i] = Math.log10(at.estimate());
      below[i] = Math.log10(at.low());
      above[i] = Math.log10(at.high());
    }
    boolean logarithms = logarithms(curve.axis());
    return new Chart.Fitted(
        curve.dataset(),
        logarithms ? Arrays.stream(law.x()).map(Math::log10).toArray() : law.x(),
        Arrays.stream(law.y()).map(Math::log10).toArray(),
        logarithms ? Arrays.stream(x).map(Math::log10).toArray() : x,
        y,
        below,
        above);
  }
}
