package org.outrigger.cli;

import java.nio.file.Path;
import java.util.Locale;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.guard.Guard;
import org.outrigger.guard.Verdict;
import org.outrigger.guard.VerdictWriter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Judges data. */
@Command(
    name = "check",
    mixinStandardHelpOptions = true,
    description = {
      "Judges every row: label, calibrated probability, score, known or unknown.",
      "A guard with label sets also names the labels that are possible, class names with | between"
          + " them, and the promised coverage.",
      "Writes Parquet, CSV or JSON Lines, by the ending of --out."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger guard check --guard resnet.guard --data incoming/ --out verdicts.csv",
      "  outrigger guard check --guard mlp.guard --data rows.parquet \\",
      "      --id-column order_id --out verdicts.parquet"
    })
final class GuardCheckCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--guard", required = true, paramLabel = "DIR", description = "A saved guard.")
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
      description = "Where the verdicts go: .parquet, .csv or .jsonl.")
  private Path out;

  @Option(
      names = "--remember",
      description = "Save the guard with what its adapter learned from these rows.")
  private boolean remember;

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
    try (Guard guard = Guard.load(bundle, device.name())) {
      Adapter adapter = guard.adapter();
      if (remember && adapter == null) {
        throw new OutriggerException(
            bundle + " does not adapt, so there is nothing to remember: fit it with --adapter.");
      }
      Dataset rows =
          reading.open(
              data,
              guard.info().classNames(),
              guard.preprocessing(),
              "test",
              guard.info().features());
      long done = 0;
      long unknown = 0;
      long skipped;
      try (VerdictWriter writer = VerdictWriter.open(out, guard.labelSets() != null);
          Progress progress = new Progress("Checking", rows.size());
          Batches batches = rows.batches(batchSize)) {
        while (batches.hasNext()) {
          try (PointerScope scope = new PointerScope();
              Batch batch = batches.next()) {
            for (Verdict verdict : guard.check(batch)) {
              writer.write(verdict);
              unknown += verdict.unknown() ? 1 : 0;
            }
            done += batch.size();
          }
          progress.to(done);
        }
        writer.commit();
        skipped = batches.skipped().size();
        Skips.report(spec.commandLine().getErr(), rows.name(), batches.skipped());
      }
      spec.commandLine()
          .getOut()
          .printf(
              Locale.ROOT,
              "%,d rows judged, %,d unknown (%.1f %%), %,d could not be read. Verdicts: %s%n",
              done,
              unknown,
              done == 0 ? 0 : 100.0 * unknown / done,
              skipped,
              out);
      if (guard.promise() != null) {
        spec.commandLine().getOut().println("Label sets: " + guard.promise());
      }
      if (adapter != null) {
        told(adapter);
      }
      if (remember) {
        guard.save(bundle);
      }
    }
  }

  private void told(Adapter adapter) {
    var out = spec.commandLine().getOut();
    out.printf(
        Locale.ROOT,
        "Adapted by %s: %,d rows used for gradients.%n",
        Adapters.describe(adapter),
        adapter.usage().backward());
    if (adapter instanceof SafetyNet net) {
      net.events().forEach(event -> out.println("Safety net, " + event + "."));
    }
  }
}
