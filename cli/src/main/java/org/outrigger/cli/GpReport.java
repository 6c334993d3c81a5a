package org.outrigger.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.calibrate.nngp.Prediction;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;

/**
 * How good predictions of a number are.
 *
 * @param rows that were predicted
 * @param nll mean negative log-likelihood, in nats
 * @param rmse root of the mean squared error, in the target's units
 * @param baseline the same of the mean of the training targets
 * @param level of the intervals
 * @param coverage the share of targets in them
 * @param width their mean width, in the target's units
 */
record GpReport(
    long rows,
    double nll,
    double rmse,
    double baseline,
    double level,
    double coverage,
    double width) {

  static GpReport of(Prediction predicted, Tensor targets, double trainingMean, double level) {
    return Scopes.scoped(
        () -> {
          Tensor ends = predicted.interval(level);
          Tensor y = targets.to(predicted.location().scalar_type());
          double error =
              Math.sqrt(y.sub(Tensors.scalar(trainingMean)).square().mean().item_double());
          return new GpReport(
              y.numel(),
              predicted.nll(y),
              predicted.rmse(y),
              error,
              level,
              predicted.coverage(y, level),
              ends.select(1, 1).sub(ends.select(1, 0)).mean().item_double());
        });
  }

  Map<String, Object> values() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("rows", rows);
    values.put("nll", nll);
    values.put("rmse", rmse);
    values.put("rmseOfTheMean", baseline);
    values.put("level", level);
    values.put("coverage", coverage);
    values.put("intervalWidth", width);
    return values;
  }

  TextTable table() {
    TextTable table = new TextTable("figure", "value", "what it says");
    table.row("NLL", number(nll), "mean negative log-likelihood, nats; smaller is better");
    table.row("RMSE", number(rmse), "error of the location, in the target's units");
    table.row("RMSE of the mean", number(baseline), "the same without any model");
    table.row(
        "coverage", ReportPage.percent(coverage), "of targets in " + percent() + " intervals");
    table.row("interval width", number(width), "mean, in the target's units");
    return table;
  }

  private String percent() {
    return ReportPage.percent(level);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, Math.abs(value) < 1e5 ? "%.4f" : "%.4e", value);
  }

  /** Writes the page. */
  void write(
      Path file,
      String data,
      String target,
      ScaleMixtureRegression model,
      Prediction predicted,
      Tensor targets) {
    ReportPage page =
        new ReportPage(
            "Predictions of " + target,
            data + ", " + rows + " rows that were not learned from, or that are new");
    page.section("How good they are", "")
        .figures(
            List.of(
                new ReportPage.Figure("NLL", number(nll), "nats a row; smaller is better"),
                new ReportPage.Figure(
                    "RMSE", number(rmse), "of " + number(baseline) + " without any model"),
                new ReportPage.Figure(
                    "Coverage",
                    ReportPage.percent(coverage),
                    "of targets in " + percent() + " intervals")))
        .charts(truth(predicted, targets), coverageChart(predicted, targets));
    page.section("What was learned", "")
        .table("", List.of("hyper-parameter", "value"), hyperParameters(model));
    page.write(file);
  }

  private static Chart truth(Prediction predicted, Tensor targets) {
    double[] y = Tensors.doubles(targets);
    double[] at = Tensors.doubles(predicted.location());
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < y.length; i++) {
      low = Math.min(low, Math.min(y[i], at[i]));
      high = Math.max(high, Math.max(y[i], at[i]));
    }
    return Chart.scatter(
        "Predicted and true",
        "A point a row; on the dashed line the prediction is right.",
        "predicted",
        "true",
        new Chart.Line("rows", at, y),
        low,
        high);
  }

  private static Chart coverageChart(Prediction predicted, Tensor targets) {
    int steps = 19;
    double[] promised = new double[steps];
    double[] held = new double[steps];
    for (int i = 0; i < steps; i++) {
      promised[i] = 0.05 * (i + 1);
      held[i] = predicted.coverage(targets, promised[i]);
    }
    double[] ends = {0, 1};
    return Chart.lines(
        "Coverage of intervals",
        "Below the line of what is promised, intervals are too narrow; above it, too wide.",
        "promised",
        "share of targets inside",
        new Chart.Line("measured", promised, held),
        new Chart.Line("as promised", ends, ends));
  }

  private static List<List<String>> hyperParameters(ScaleMixtureRegression model) {
    List<List<String>> rows = new ArrayList<>();
    model
        .hyperParameters()
        .values()
        .forEach((name, value) -> rows.add(List.of(name, number(value))));
    rows.add(List.of("degrees of freedom", degreesOfFreedom(model)));
    rows.add(List.of("training rows", Long.toString(model.rows())));
    return rows;
  }

  /** Of the predictions, or what the law is. */
  static String degreesOfFreedom(ScaleMixtureRegression model) {
    return switch (model.settings().process()) {
      case STUDENT_T ->
          String.format(
              Locale.ROOT, "%.2f", model.hyperParameters().degreesOfFreedom() + model.rows());
      case GAUSSIAN -> "infinite";
      case BURR -> "a mixture of normals";
    };
  }
}
