package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.nngp.Prediction;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Tensors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Predicts a numeric column. */
@Command(
    name = "predict",
    mixinStandardHelpOptions = true,
    description = {
      "Predicts the rows of a table with a model of 'gp fit'.",
      "Each row gets a location, a scale and an interval. With --truth it tells how good they are."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger gp predict --model diabetes.gp --data new.csv \\",
      "      --out predictions.parquet",
      "  outrigger gp predict --model diabetes.gp --data later.csv --truth \\",
      "      --level 0.95 --out predictions.csv --report later.html"
    })
final class GpPredictCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "What 'gp fit' wrote.")
  private Path file;

  @Option(names = "--data", required = true, paramLabel = "PATH", description = "The rows.")
  private Path data;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the predictions go: .parquet, .csv or .jsonl.")
  private Path out;

  @Option(
      names = "--level",
      paramLabel = "P",
      defaultValue = "0.9",
      description = "What intervals should hold; ${DEFAULT-VALUE} by default.")
  private double level;

  @Option(
      names = "--truth",
      description = "The target is a column of --data too: measure how good this is.")
  private boolean truth;

  @Option(
      names = "--report",
      paramLabel = "FILE",
      description = "Write an HTML page; needs --truth.")
  private @Nullable Path report;

  @Mixin private NumericTable reading;
  @Mixin private Device device;

  @Override
  public void run() {
    HyperParameter.inside("level", level, 0, 1);
    AtomicFiles.check(out);
    if (report != null) {
      if (!truth) {
        throw new OutriggerException(
            "--report shows how good predictions are: say --truth too, with the target in --data.");
      }
      AtomicFiles.check(report);
    }
    device.apply();
    try (PointerScope scope = new PointerScope();
        ScaleMixtureRegression model = new ScaleMixtureRegression()) {
      State state = StateFiles.read(file);
      model.restore(state);
      String target = state.text("target");
      NumericTable.Rows rows =
          reading.read(data, columns(state), truth ? target : null, spec.commandLine().getErr());
      Prediction predicted = model.predict(rows.inputs());
      write(rows, predicted);
      PrintWriter text = spec.commandLine().getOut();
      text.printf(Locale.ROOT, "%,d rows of %s predicted%n", rows.ids().size(), rows.name());
      Tensor known = rows.targets();
      if (known != null) {
        GpReport figures = GpReport.of(predicted, known, state.number("targetMean"), level);
        text.println();
        figures.table().print(text);
        text.println();
        if (report != null) {
          figures.write(report, rows.name(), target, model, predicted, known);
          text.println("Report: " + report);
        }
      }
      text.println("Predictions: " + out);
    }
  }

  private List<String> columns(State state) {
    List<String> columns = new ArrayList<>();
    if (state.values().get("columns") instanceof List<?> names) {
      names.forEach(name -> columns.add(String.valueOf(name)));
    }
    if (columns.isEmpty()) {
      throw new OutriggerException(
          file + " does not say which columns it takes: fit it with 'outrigger gp fit'.");
    }
    return columns;
  }

  private void write(NumericTable.Rows rows, Prediction predicted) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    for (String name : List.of("location", "scale", "lower", "upper")) {
      columns.put(name, Double.class);
    }
    double[] location = Tensors.doubles(predicted.location());
    double[] scale = Tensors.doubles(predicted.scale());
    double[] ends = Tensors.doubles(predicted.interval(level));
    try (TableWriter writer = TableWriter.open(out, columns)) {
      for (int i = 0; i < location.length; i++) {
        writer.write(rows.ids().get(i), location[i], scale[i], ends[2 * i], ends[2 * i + 1]);
      }
      writer.commit();
    }
  }
}
