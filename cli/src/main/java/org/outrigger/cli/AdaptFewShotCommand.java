package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.FewShotResult;
import org.outrigger.adapt.FewShotSfda;
import org.outrigger.adapt.FewShotSfda.Strategy;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.FewShotReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Adapts a model to a few labelled rows. */
@Command(
    name = "few-shot",
    mixinStandardHelpOptions = true,
    description = {
      "Adapts a model to a few labelled rows of each class.",
      "Learns from --shots rows a class and takes the checkpoint with the lowest loss on one more"
          + " of each. No data that the model was trained on are needed."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt few-shot --model clothes.safetensors --data shop/ \\",
      "      --shots 3 --out adapted.safetensors",
      "  outrigger adapt few-shot --model resnet.safetensors --data site-b/ \\",
      "      --shots 1 --strategy ft --out site-b.safetensors --report site-b.html"
    })
final class AdaptFewShotCommand implements Runnable {
  /** Reads a {@link Strategy} as it is written on command lines. */
  static final class StrategyConverter implements ITypeConverter<Strategy> {
    @Override
    public Strategy convert(String text) {
      try {
        return Strategy.of(text);
      } catch (OutriggerException e) {
        throw new TypeConversionException(e.firstLine());
      }
    }
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .safetensors file that Outrigger wrote.")
  private Path file;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "Labelled data of where the model is to work, with the model's classes.")
  private Path data;

  @Option(
      names = "--shots",
      paramLabel = "K",
      defaultValue = "3",
      description = "Rows of each class to learn from; ${DEFAULT-VALUE} by default.")
  private int shots;

  @Option(
      names = "--strategy",
      paramLabel = "NAME",
      defaultValue = "lp-ft",
      converter = StrategyConverter.class,
      description =
          "lp: the last layer; bn: batch norms; lp-bn: both; feat: all but the last layer; ft:"
              + " everything; lp-ft: lp, then ft. ${DEFAULT-VALUE} by default.")
  private Strategy strategy;

  @Option(
      names = "--lr-lp",
      paramLabel = "RATE",
      defaultValue = "1e-4",
      description = "Learning rate of lp; ${DEFAULT-VALUE} by default.")
  private double rateLp;

  @Option(
      names = "--lr-ft",
      paramLabel = "RATE",
      defaultValue = "1e-5",
      description = "Learning rate of all else; ${DEFAULT-VALUE} by default.")
  private double rateFt;

  @Option(
      names = "--steps-lp",
      paramLabel = "N",
      defaultValue = "400",
      description = "Steps of lp; ${DEFAULT-VALUE} by default.")
  private int stepsLp;

  @Option(
      names = "--steps-ft",
      paramLabel = "N",
      defaultValue = "1000",
      description = "Steps of all else; ${DEFAULT-VALUE} by default.")
  private int stepsFt;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "32",
      description = "Rows a step; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(
      names = "--holdout",
      paramLabel = "SHARE",
      defaultValue = "0.2",
      description = "The share of --data that measures alone; ${DEFAULT-VALUE} by default.")
  private double holdout;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "Another setting, such as sam=true; see 'outrigger methods few-shot-sfda'.")
  private Map<String, String> more = Map.of();

  @Option(
      names = "--augment",
      description = "Crop, mirror and colour the shots at random, as suits photographs.")
  private boolean augment;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of shots and batches; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the adapted model is saved (.safetensors).")
  private Path out;

  @Option(
      names = "--archive",
      paramLabel = "DIR",
      description = "Keep the models before and after each stage, and which rows were used.")
  private @Nullable Path archive;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    if (report != null) {
      AtomicFiles.check(report);
    }
    FewShotSfda method = Methods.create(FewShotSfda.class, "few-shot-sfda", settings());
    if (augment) {
      method = method.augment(FewShotSfda.photographs());
    }
    device.apply();
    try (Model opened = model.open(file, device)) {
      if (!(opened instanceof NeuralModel network)) {
        throw new OutriggerException(
            file
                + " cannot be fine-tuned here: use a .safetensors file that Outrigger wrote, or name"
                + " the --arch of bare weights.");
      }
      IndexedDataset target =
          Tables.inMemory(
              reading.open(data, network.classNames(), null), spec.commandLine().getErr());
      try (FewShotResult result = adapt(method, network, target)) {
        result.model().save(out);
        if (archive != null) {
          result.save(archive);
        }
        if (report != null) {
          FewShotReport.of(result, target.name()).write(report);
        }
        tell(result);
      }
    }
  }

  private Map<String, Object> settings() {
    Map<String, Object> settings = new LinkedHashMap<>(more);
    settings.put("k", shots);
    settings.put("strategy", strategy);
    settings.put("lrLp", rateLp);
    settings.put("lrFt", rateFt);
    settings.put("stepsLp", stepsLp);
    settings.put("stepsFt", stepsFt);
    settings.put("batch", batchSize);
    settings.put("holdout", holdout);
    settings.put("seed", seed);
    return settings;
  }

  private static FewShotResult adapt(
      FewShotSfda method, NeuralModel network, IndexedDataset target) {
    try (Progress progress = new Progress("Adapting", -1)) {
      return method.adapt(network, target, (step, steps, loss) -> progress.to(step));
    }
  }

  private void tell(FewShotResult result) {
    PrintWriter text = spec.commandLine().getOut();
    if (json) {
      text.println(Json.pretty(result.report()));
      return;
    }
    text.println(
        result.shots().train().size()
            + " rows to learn from, "
            + result.shots().validation().size()
            + " to choose the checkpoint, "
            + result.shots().test().size()
            + " to measure.");
    text.println(
        "Step "
            + result.selected().step()
            + " was chosen, with validation loss "
            + ReportPage.number(result.selected().loss())
            + " after "
            + ReportPage.number(result.curve().get(0).loss())
            + " at the start.");
    if (!result.tests().isEmpty()) {
      TextTable table = new TextTable("model", "accuracy", "balanced");
      result
          .tests()
          .forEach(
              (name, test) ->
                  table.row(
                      name,
                      ReportPage.percent(test.accuracy()),
                      ReportPage.percent(test.balanced())));
      table.print(text);
    }
    text.println("Model: " + out);
    if (archive != null) {
      text.println("Archive: " + archive);
    }
    if (report != null) {
      text.println("Report: " + report);
    }
  }
}
