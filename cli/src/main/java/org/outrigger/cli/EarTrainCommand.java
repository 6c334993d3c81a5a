package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.ear.AddedDomain;
import org.outrigger.adapt.ear.Ear;
import org.outrigger.adapt.ear.EarReading;
import org.outrigger.adapt.ear.EarReport;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Learns domains. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    description = {
      "Learns labelled domains one after the other with a frozen encoder.",
      "Each gets a small adaptor, chosen without training candidates, and a head; nothing that is"
          + " there is changed. The result holds the encoder too."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt ear train --model camera.pt --domain day=day/ \\",
      "      --domain night=night/ --out camera.ear",
      "  outrigger adapt ear train --from camera.ear --domain fog=fog/ \\",
      "      --out camera.ear",
      "  outrigger adapt ear train --model mlp.safetensors --domain plant1=one.csv \\",
      "      --domain plant2=two.csv --label state --setting head=SHARED \\",
      "      --setting maxParameters=2000 --out plants.ear"
    })
final class EarTrainCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "FILE",
      description = "The encoder: a .pt (TorchScript), .onnx or .safetensors file.")
  private @Nullable Path file;

  @Option(
      names = "--from",
      paramLabel = "DIR",
      description = "A saved EAR to extend, instead of --model.")
  private @Nullable Path from;

  @Option(
      names = "--domain",
      required = true,
      paramLabel = "NAME=PATH",
      description = "A domain and its labelled data; may be repeated, in the order to learn them.")
  private Map<String, Path> domains = Map.of();

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "A hyper-parameter that differs from what 'outrigger methods ear' shows.")
  private Map<String, String> settings = Map.of();

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "Where the result goes.")
  private Path out;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if ((file == null) == (from == null)) {
      throw new OutriggerException(
          "Name --model for a new EAR, or --from for one to extend, and not both.");
    }
    if (from != null && !settings.isEmpty()) {
      throw new OutriggerException(
          "A saved EAR keeps its hyper-parameters: leave --setting out, or start anew with"
              + " --model.");
    }
    AtomicFiles.check(out);
    if (from != null) {
      device.apply();
      try (Ear ear = Ear.load(from, device.name())) {
        learn(ear, Ear.reading(from));
      }
      return;
    }
    try (Ear ear = Methods.create(Ear.class, "ear", settings)) {
      device.apply();
      try (Model opened = model.open(Objects.requireNonNull(file), device)) {
        ear.attach(opened);
        learn(ear, EarReading.unknown());
      }
    }
  }

  private void learn(Ear ear, EarReading saved) {
    PrintWriter err = spec.commandLine().getErr();
    List<String> columns = saved.columns();
    Map<String, AddedDomain> added = new LinkedHashMap<>();
    try (Progress progress = new Progress("Learning domains", domains.size())) {
      for (Map.Entry<String, Path> domain : domains.entrySet()) {
        progress.say(domain.getKey());
        List<String> classes =
            ear.classNames().isEmpty() ? ModelArguments.classNames(ear.model()) : ear.classNames();
        Dataset data =
            reading.open(domain.getValue(), classes, saved.preprocessing(), "train", columns);
        added.put(domain.getKey(), ear.add(domain.getKey(), Tables.inMemory(data, err)));
        columns = columns.isEmpty() ? data.featureColumns() : columns;
        progress.to(added.size());
      }
    }
    ear.save(
        out,
        new EarReading(
            reading.preprocessing() != null ? reading.preprocessing() : saved.preprocessing(),
            columns));
    print(ear, added);
  }

  private void print(Ear ear, Map<String, AddedDomain> added) {
    PrintWriter to = spec.commandLine().getOut();
    EarReport report = EarReport.of(ear, Map.of(), 1);
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>(report.toMap());
      Map<String, Object> rankings = new LinkedHashMap<>();
      added.forEach((name, each) -> rankings.put(name, each.ranking()));
      all.put("rankings", rankings);
      to.println(Json.pretty(all));
      return;
    }
    added.forEach(
        (name, each) ->
            to.printf(
                Locale.ROOT,
                "%s: %,d rows, %s (%,d parameters, best of %d candidates), held-out accuracy"
                    + " %.1f %%%s%n",
                name,
                each.domain().rows(),
                each.domain().adaptor(),
                each.domain().adaptorParameters(),
                each.ranking().size(),
                100 * each.domain().heldOutAccuracy(),
                each.nearest().isEmpty() ? "" : "; nearest before: " + each.nearest()));
    to.println(report.summary());
    to.println("EAR: " + out);
  }
}
