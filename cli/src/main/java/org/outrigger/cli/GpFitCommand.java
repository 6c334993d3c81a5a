package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.nngp.Prediction;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Learns to predict a numeric column. */
@Command(
    name = "fit",
    mixinStandardHelpOptions = true,
    description = {
      "Learns to predict a numeric column of a table and measures how well.",
      "A part of the rows is held out: likelihood, error and the coverage of intervals are those of"
          + " rows that were not learned from. Columns are standardised by themselves."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger gp fit --data diabetes --target progression --out diabetes.gp \\",
      "      --report diabetes.html",
      "  outrigger gp fit --data houses.csv --target price --process gaussian \\",
      "      --kernel resnet:activation=erf:hiddenLayers=2 --out houses.gp",
      "  outrigger gp fit --data plant.parquet --target power --test 0 \\",
      "      --setting solver=CG --out plant.gp"
    })
final class GpFitCommand implements Runnable {
  static final String SLUG = "nngp-scale-mixtures";

  private static final List<String> PROCESSES = List.of("student-t", "gaussian", "burr");

  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "A table, or the name of an embedded one such as diabetes.")
  private Path data;

  @Option(
      names = "--target",
      required = true,
      paramLabel = "COLUMN",
      description = "The numeric column to predict.")
  private String target;

  @Option(
      names = "--process",
      paramLabel = "KIND",
      description =
          "student-t (heavy tails), gaussian or burr (heavy tails, sampled); student-t by default.")
  private @Nullable String process;

  @Option(
      names = "--kernel",
      paramLabel = "NETWORK",
      description = "mlp or resnet, with settings after colons: mlp:hiddenLayers=2:activation=erf.")
  private @Nullable String kernel;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description =
          "A setting that differs from what 'outrigger methods nngp-scale-mixtures' shows.")
  private Map<String, String> settings = Map.of();

  @Option(
      names = "--test",
      paramLabel = "SHARE",
      defaultValue = "0.2",
      description = "The share of rows to measure on, 0 for none; ${DEFAULT-VALUE} by default.")
  private double test;

  @Option(
      names = "--level",
      paramLabel = "P",
      defaultValue = "0.9",
      description = "What intervals should hold; ${DEFAULT-VALUE} by default.")
  private double level;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the held-out rows and of the fit; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the model goes.")
  private Path out;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", paramLabel = "FILE", description = "Write the figures as JSON.")
  private @Nullable Path json;

  @Mixin private NumericTable reading;
  @Mixin private Device device;

  @Override
  public void run() {
    HyperParameter.inside("level", level, 0, 1);
    HyperParameter.require(test >= 0 && test < 1, "test", test, "0 or more and below 1");
    AtomicFiles.check(out);
    if (report != null) {
      AtomicFiles.check(report);
    }
    if (json != null) {
      AtomicFiles.check(json);
    }
    if (test == 0 && (report != null || json != null)) {
      throw new OutriggerException(
          "With --test 0 nothing is measured: leave out --report and --json, or hold rows out.");
    }
    Map<String, Object> changes = changes();
    try (ScaleMixtureRegression model =
        Methods.create(ScaleMixtureRegression.class, SLUG, changes)) {
      device.apply();
      try (PointerScope scope = new PointerScope()) {
        learn(model, reading.read(data, List.of(), target, spec.commandLine().getErr()));
      }
    }
  }

  private Map<String, Object> changes() {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("seed", seed);
    if (process != null) {
      if (!PROCESSES.contains(process)) {
        throw new OutriggerException(
            "--process '" + process + "' is not known: use " + String.join(", ", PROCESSES) + ".");
      }
      changes.put("process", process.toUpperCase(Locale.ROOT).replace('-', '_'));
    }
    if (kernel != null) {
      String[] words = kernel.split(":", -1);
      changes.put("network", words[0]);
      for (int i = 1; i < words.length; i++) {
        int equals = words[i].indexOf('=');
        if (equals < 1) {
          throw new OutriggerException(
              "--kernel '" + kernel + "' cannot be read: write mlp:hiddenLayers=2:activation=erf.");
        }
        changes.put(words[i].substring(0, equals), words[i].substring(equals + 1));
      }
    }
    changes.putAll(settings);
    return changes;
  }

  private void learn(ScaleMixtureRegression model, NumericTable.Rows rows) {
    long n = rows.inputs().size(0);
    Tensor targets = Objects.requireNonNull(rows.targets());
    long held = test == 0 ? 0 : Math.max(1, Math.round(test * n));
    if (n - held < 2) {
      throw new OutriggerException(
          rows.name() + " has " + n + " rows, too few to hold some out: give more, or --test 0.");
    }
    Tensor order;
    try (Rng rng = Rng.named(seed, "held-out rows")) {
      order = rng.permutation(n);
    }
    Tensor train = order.narrow(0, held, n - held);
    Tensor y = targets.index_select(0, train);
    try (Progress progress = new Progress("Fitting", -1)) {
      model.fit(
          rows.inputs().index_select(0, train),
          y,
          (done, most, loss) -> {
            progress.say(String.format(Locale.ROOT, "loss %.4f", loss));
            progress.to(done);
          });
    }
    save(model, rows);
    PrintWriter text = spec.commandLine().getOut();
    text.printf(
        Locale.ROOT,
        "%s: %,d rows of %d columns learned, %,d held out%n",
        rows.name(),
        n - held,
        rows.columns().size(),
        held);
    text.printf(
        Locale.ROOT,
        "process %s, degrees of freedom %s%n",
        model.settings().process().name().toLowerCase(Locale.ROOT).replace('_', '-'),
        GpReport.degreesOfFreedom(model));
    if (held > 0) {
      Tensor rest = order.narrow(0, 0, held);
      measure(
          model,
          rows.name(),
          rows.inputs().index_select(0, rest),
          targets.index_select(0, rest),
          y.to(ScalarType.Double).mean().item_double());
    }
    text.println("Model: " + out);
  }

  private void measure(
      ScaleMixtureRegression model, String name, Tensor inputs, Tensor truth, double mean) {
    Prediction predicted = model.predict(inputs);
    GpReport figures = GpReport.of(predicted, truth, mean, level);
    PrintWriter text = spec.commandLine().getOut();
    text.println();
    figures.table().print(text);
    text.println();
    if (json != null) {
      Map<String, Object> all = new LinkedHashMap<>(figures.values());
      all.put("hyperParameters", model.hyperParameters().values());
      byte[] bytes = Json.pretty(all).getBytes(StandardCharsets.UTF_8);
      AtomicFiles.write(json, stream -> stream.write(bytes));
    }
    if (report != null) {
      figures.write(report, name, target, model, predicted, truth);
      text.println("Report: " + report);
    }
  }

  /** The state of the model, with the columns that it takes. */
  private void save(ScaleMixtureRegression model, NumericTable.Rows rows) {
    State state = model.state();
    Map<String, Object> values = new LinkedHashMap<>(state.values());
    values.put("columns", rows.columns());
    values.put("target", target);
    StateFiles.write(out, new State(state.type(), state.version(), values, state.tensors()));
  }
}
