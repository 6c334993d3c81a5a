package org.outrigger.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.ear.Ear;
import org.outrigger.adapt.ear.EarReading;
import org.outrigger.adapt.ear.LearnedDomain;
import org.outrigger.adapt.ear.Routed;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.torch.Tensors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Predicts with routed domains. */
@Command(
    name = "predict",
    mixinStandardHelpOptions = true,
    description = {
      "Predicts every row with the adaptor of the domain that it is most like.",
      "Writes label, probability, domain, OOD score and whether the row is unknown, and says"
          + " whether the data looks like a new domain."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt ear predict --ear camera.ear --data incoming/ \\",
      "      --out routed.csv",
      "  outrigger adapt ear predict --ear plants.ear --data rows.parquet \\",
      "      --id-column order --out routed.parquet"
    })
final class EarPredictCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--ear", required = true, paramLabel = "DIR", description = "A saved EAR.")
  private Path bundle;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "A folder of images, or a CSV, Parquet, JSON Lines, .npy or .npz file.")
  private Path data;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the predictions go: .csv, .parquet or .jsonl.")
  private Path out;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    device.apply();
    EarReading saved = Ear.reading(bundle);
    try (Ear ear = Ear.load(bundle, device.name())) {
      Dataset rows =
          reading.open(data, ear.classNames(), saved.preprocessing(), "test", saved.columns());
      predict(ear, rows);
    }
  }

  private static Map<String, Class<?>> columns() {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    columns.put("domain", String.class);
    columns.put("score", Double.class);
    columns.put("unknown", Boolean.class);
    return columns;
  }

  private void predict(Ear ear, Dataset rows) {
    List<String> domains = ear.domains().stream().map(LearnedDomain::name).toList();
    long[] routed = new long[domains.size()];
    long unknown = 0;
    Ear.Decision decision = Ear.Decision.KNOWN;
    try (TableWriter writer = TableWriter.open(out, columns());
        Progress progress = new Progress("Predicting", rows.size());
        Batches batches = rows.batches(batchSize)) {
      long done = 0;
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          Routed answer = ear.predict(batch);
          decision = ear.observe(answer);
          unknown += answer.unknown().sum().item_long();
          for (int domain : write(writer, batch, answer, ear.classNames(), domains)) {
            routed[domain]++;
          }
          done += batch.size();
        }
        progress.to(done);
      }
      writer.commit();
      Skips.report(spec.commandLine().getErr(), rows.name(), batches.skipped());
      report(domains, routed, done, unknown, decision, ear.settings().window());
    }
  }

  private static int[] write(
      TableWriter writer, Batch batch, Routed answer, List<String> names, List<String> domains) {
    int[] labels = Tensors.ints(answer.logits().argmax(new LongOptional(1), false));
    double[] probabilities =
        Tensors.doubles(torch.softmax(answer.logits(), 1).amax(new long[] {1}, false));
    int[] found = Tensors.ints(answer.domains());
    double[] scores = Tensors.doubles(answer.scores());
    int[] flags = Tensors.ints(answer.unknown());
    for (int i = 0; i < labels.length; i++) {
      writer.write(
          batch.ids().get(i),
          labels[i],
          labels[i] < names.size() ? names.get(labels[i]) : Integer.toString(labels[i]),
          probabilities[i],
          domains.get(found[i]),
          scores[i],
          flags[i] != 0);
    }
    return found;
  }

  private void report(
      List<String> domains,
      long[] routed,
      long done,
      long unknown,
      Ear.Decision decision,
      int window) {
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%,d rows predicted, %,d unknown (%.1f %%); %s. Predictions: %s%n",
            done,
            unknown,
            done == 0 ? 0 : 100.0 * unknown / done,
            IntStream.range(0, routed.length)
                .mapToObj(d -> String.format(Locale.ROOT, "%s: %,d", domains.get(d), routed[d]))
                .collect(Collectors.joining(", ")),
            out);
    if (decision == Ear.Decision.NEW_DOMAIN) {
      spec.commandLine()
          .getOut()
          .println(
              "More than half of the last "
                  + window
                  + " rows are unknown: this looks like a new domain. Label some rows and learn it"
                  + " with 'outrigger adapt ear train --from'.");
    }
  }
}
