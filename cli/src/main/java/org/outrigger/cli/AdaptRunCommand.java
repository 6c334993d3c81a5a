package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.RunningStatistics;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Adapts to data in their order. */
@Command(
    name = "run",
    mixinStandardHelpOptions = true,
    description = {
      "Predicts data in their order while adapting to them.",
      "No labels are needed. The adapter stands on a safety net, which rolls it back should it"
          + " collapse."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt run --model resnet.pt --data camera/ --adapter tent \\",
      "      --out predictions.parquet",
      "  outrigger adapt run --model resnet.pt --data monday/ --adapter eata:beta=0 \\",
      "      --out monday.csv --save-adapter eata.safetensors --save-model monday.pt",
      "  outrigger adapt run --model resnet.pt --data tuesday/ \\",
      "      --resume eata.safetensors --out tuesday.csv"
    })
final class AdaptRunCommand implements Runnable {
  /** The last batches, from which an adapted model's running statistics are taken. */
  private static final int KEPT = 8;

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file.")
  private Path file;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "A folder of images, or a CSV, Parquet, JSON Lines, .npy or .npz file.")
  private Path data;

  @Option(
      names = "--adapter",
      paramLabel = "STACK",
      description = "An adapter, or a stack such as label-shift-adapter/tent; tent by default.")
  private @Nullable String stack;

  @Option(
      names = "--no-safety-net",
      description = "Let the adapter run without being watched for collapse.")
  private boolean unwatched;

  @Option(
      names = "--source-data",
      paramLabel = "PATH",
      description = "Labelled data that the model knows, for adapters that learn from some.")
  private @Nullable Path sourceData;

  @Option(
      names = "--resume",
      paramLabel = "FILE",
      description = "Go on with an adapter that --save-adapter wrote, on the same model.")
  private @Nullable Path resume;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the predictions go: .parquet, .csv or .jsonl.")
  private Path out;

  @Option(
      names = "--save-adapter",
      paramLabel = "FILE",
      description = "Write the adapter with all of its state (.safetensors).")
  private @Nullable Path saveAdapter;

  @Option(
      names = "--save-model",
      paramLabel = "FILE",
      description =
          "Write the adapted model; its running statistics are taken from the last batches.")
  private @Nullable Path saveModel;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "64",
      description = "Rows of a batch; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    for (Path target : new Path[] {out, saveAdapter, saveModel}) {
      if (target != null) {
        AtomicFiles.check(target);
      }
    }
    if (resume != null && (stack != null || sourceData != null)) {
      throw new OutriggerException(
          "--resume goes on with the adapter of its file, without source data: leave out --adapter"
              + " and --source-data.");
    }
    device.apply();
    try (Model opened = model.open(file, device);
        Adapter adapter = adapter(opened)) {
      List<String> classes = ModelArguments.classNames(opened);
      Dataset rows = reading.open(data, classes, null);
      Deque<Tensor> last = new ArrayDeque<>();
      try {
        predict(adapter, rows, classes.isEmpty() ? rows.classNames() : classes, last);
        save(adapter, last);
      } finally {
        last.forEach(Scopes::release);
      }
    }
  }

  private Adapter adapter(Model opened) {
    if (resume != null) {
      return Adapters.load(resume, opened);
    }
    Adapter chosen = Adapters.parse(stack == null ? "tent" : stack);
    Adapter adapter =
        unwatched || chosen instanceof SafetyNet ? chosen : new SafetyNet().over(chosen);
    try {
      IndexedDataset source =
          sourceData == null
              ? null
              : Tables.inMemory(
                  reading.open(sourceData, ModelArguments.classNames(opened), null, "train"),
                  spec.commandLine().getErr());
      adapter.start(opened, source);
      return adapter;
    } catch (RuntimeException e) {
      adapter.close();
      throw e;
    }
  }

  private void predict(Adapter adapter, Dataset rows, List<String> classes, Deque<Tensor> last) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    Accuracy accuracy = new Accuracy();
    long[] done = {0};
    int alone = 0;
    PrintWriter err = spec.commandLine().getErr();
    try (TableWriter writer = TableWriter.open(out, columns);
        Progress progress = new Progress("Adapting", rows.size());
        Batches batches = rows.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          Output output;
          if (batch.size() < adapter.minimumBatch()) {
            alone += (int) batch.size();
            output = adapter.model().predict(batch.inputs());
          } else {
            output = adapter.adapt(batch.inputs());
            keep(last, batch.inputs());
          }
          write(writer, batch, output, classes);
          Tensor labels = batch.labels();
          if (labels != null) {
            accuracy.add(output.logits(), labels);
          }
          done[0] += batch.size();
        }
        progress.to(done[0]);
      }
      writer.commit();
      Skips.report(err, rows.name(), batches.skipped());
    }
    tell(adapter, done[0], accuracy, alone);
  }

  private void keep(Deque<Tensor> last, Tensor inputs) {
    if (saveModel == null || inputs.size(0) < 2) {
      return;
    }
    last.addLast(Scopes.scoped(() -> Scopes.own(inputs.clone())));
    if (last.size() > KEPT) {
      Scopes.release(last.removeFirst());
    }
  }

  /** Writes the most probable class of each row of a batch. */
  static void write(TableWriter writer, Batch batch, Output output, List<String> classes) {
    Tensor p = torch.softmax(output.logits().to(torch.ScalarType.Double), 1);
    Tensor best = p.argmax(new LongOptional(1), true);
    int[] labels = Tensors.ints(best.squeeze(1));
    double[] top = Tensors.doubles(p.gather(1, best).squeeze(1));
    for (int i = 0; i < labels.length; i++) {
      writer.write(
          batch.ids().get(i),
          labels[i],
          labels[i] < classes.size() ? classes.get(labels[i]) : Integer.toString(labels[i]),
          top[i]);
    }
  }

  private void tell(Adapter adapter, long done, Accuracy accuracy, int alone) {
    PrintWriter text = spec.commandLine().getOut();
    text.printf(
        Locale.ROOT,
        "%,d rows predicted by %s; gradients from %,d of them, %,d updates, %d restarts.%n",
        done,
        Adapters.describe(adapter),
        adapter.usage().backward(),
        adapter.usage().updates(),
        adapter.usage().resets());
    if (accuracy.count() > 0) {
      text.printf(
          Locale.ROOT,
          "Accuracy against the labels of the data: %.1f %%%n",
          100 * accuracy.value());
    }
    if (alone > 0) {
      text.println(alone + " row in a batch of its own was predicted without learning from it.");
    }
    if (adapter instanceof SafetyNet net) {
      net.events().forEach(event -> text.println("Safety net, " + event + "."));
    }
    text.println("Predictions: " + out);
  }

  private void save(Adapter adapter, Deque<Tensor> last) {
    PrintWriter text = spec.commandLine().getOut();
    if (saveAdapter != null) {
      Adapters.save(adapter, saveAdapter);
      text.println("Adapter: " + saveAdapter);
    }
    if (saveModel != null) {
      Model adapted = adapter.model();
      // What ran on the statistics of its batches would otherwise be saved with those of the
      // source.
      if (adapter.minimumBatch() > 1 && !last.isEmpty()) {
        RunningStatistics.settle(adapted, List.copyOf(last));
      }
      adapted
          .as(Capabilities.Saveable.class)
          .orElseThrow(
              () -> new OutriggerException("The model " + adapted.name() + " cannot be saved."))
          .save(saveModel);
      text.println("Model: " + saveModel);
    }
  }
}
