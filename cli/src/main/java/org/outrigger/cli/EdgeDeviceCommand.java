package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.CemaDevice;
import org.outrigger.adapt.edge.CloudLink;
import org.outrigger.adapt.edge.EdgeDevice;
import org.outrigger.adapt.edge.Message;
import org.outrigger.adapt.edge.TcpLink;
import org.outrigger.adapt.edge.UVpa;
import org.outrigger.adapt.edge.UVpaDevice;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Predicts on a device. */
@Command(
    name = "device",
    mixinStandardHelpOptions = true,
    description = {
      "Predicts data in their order, and uploads the rows that a cloud can learn from.",
      "It goes on with what it has while the cloud is away."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger edge device --model small.safetensors --cloud localhost:7070 \\",
      "      --data camera/ --predictions out.csv",
      "  outrigger edge device --model small.safetensors --cloud host:9000 --wait \\",
      "      --data camera/ --predictions out.csv --method u-vpa --token s3cret"
    })
final class EdgeDeviceCommand implements Runnable {
  /** How long the last uploads may take after the last prediction. */
  private static final Duration LAST = Duration.ofSeconds(10);

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "The device's model: .safetensors.")
  private Path file;

  @Option(
      names = "--cloud",
      required = true,
      paramLabel = "HOST:PORT",
      description = "Where 'outrigger edge cloud' listens.")
  private String cloud;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "A folder of images, or a CSV, Parquet, JSON Lines, .npy or .npz file.")
  private Path data;

  @Option(
      names = "--predictions",
      required = true,
      paramLabel = "FILE",
      description = "Where the predictions go: .parquet, .csv or .jsonl.")
  private Path out;

  @Option(
      names = "--method",
      paramLabel = "NAME",
      defaultValue = "cema",
      description =
          "cema or u-vpa, perhaps with settings, which must be those of the cloud;"
              + " ${DEFAULT-VALUE} by default.")
  private String method;

  @Option(
      names = "--name",
      paramLabel = "NAME",
      defaultValue = "device",
      description = "The name that the cloud keeps a copy under; ${DEFAULT-VALUE} by default.")
  private String name;

  @Option(names = "--token", paramLabel = "TEXT", description = "What the cloud asks for.")
  private String token = "";

  @Option(
      names = "--wait",
      description = "Wait for the cloud's answer after each batch, so that a run can be repeated.")
  private boolean lockstep;

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
    AtomicFiles.check(out);
    Adapter chosen = Methods.parse(Adapter.class, method).get(0);
    if (!(chosen instanceof Cema) && !(chosen instanceof UVpa)) {
      throw new OutriggerException(
          chosen.card().slug()
              + " does not work from a cloud: give --method cema or u-vpa, or use 'outrigger adapt"
              + " run'.");
    }
    TcpLink.Options options = options();
    device.apply();
    try (Model opened = model.open(file, device);
        EdgeDevice edge = edge(chosen, opened)) {
      List<String> classes = ModelArguments.classNames(opened);
      Dataset rows = reading.open(data, classes, null);
      try (TcpLink link = new TcpLink(edge, options)) {
        predict(edge, link, rows, classes.isEmpty() ? rows.classNames() : classes);
      }
    }
  }

  private TcpLink.Options options() {
    int colon = cloud.lastIndexOf(':');
    if (colon < 1 || !cloud.substring(colon + 1).matches("\\d{1,5}")) {
      throw new OutriggerException(
          "--cloud '" + cloud + "' is no address: write it as HOST:PORT, such as localhost:7070.");
    }
    int port = Integer.parseInt(cloud.substring(colon + 1));
    return TcpLink.Options.of(cloud.substring(0, colon), port, name).withToken(token);
  }

  private static EdgeDevice edge(Adapter chosen, Model opened) {
    opened.require(chosen, Adapter.class);
    return chosen instanceof Cema cema
        ? new CemaDevice(cema.settings(), opened)
        : new UVpaDevice(((UVpa) chosen).settings(), opened);
  }

  private void predict(EdgeDevice edge, TcpLink link, Dataset rows, List<String> classes) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    Accuracy accuracy = new Accuracy();
    long done = 0;
    long uploaded = 0;
    try (TableWriter writer = TableWriter.open(out, columns);
        Progress progress = new Progress("Predicting", rows.size());
        Batches batches = rows.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          take(edge, link);
          Output output = edge.predict(batch.inputs());
          Message upload = edge.choose(batch.inputs(), output);
          Tensor chosen = upload.tensors().get("samples");
          uploaded += chosen == null ? 0 : chosen.size(0);
          link.send(upload);
          if (lockstep && !link.await(Duration.ofMinutes(1))) {
            link.receive();
            throw new OutriggerException(
                "The cloud did not answer ("
                    + link.problem()
                    + "): start it first, or leave --wait out.");
          }
          AdaptRunCommand.write(writer, batch, output, classes);
          Tensor labels = batch.labels();
          if (labels != null) {
            accuracy.add(output.logits(), labels);
          }
          done += batch.size();
        }
        progress.to(done);
      }
      writer.commit();
      Skips.report(spec.commandLine().getErr(), rows.name(), batches.skipped());
    }
    if (link.connected() || link.problem() == null) {
      link.await(LAST);
    }
    take(edge, link);
    tell(edge, link, done, uploaded, accuracy);
  }

  /** Takes over what the cloud has answered since the last batch. */
  private static void take(EdgeDevice edge, CloudLink link) {
    Message answer = link.receive();
    while (answer != null) {
      edge.receive(answer);
      answer = link.receive();
    }
  }

  private void tell(EdgeDevice edge, TcpLink link, long done, long uploaded, Accuracy accuracy) {
    PrintWriter text = spec.commandLine().getOut();
    CloudLink.Traffic traffic = link.traffic();
    text.printf(
        Locale.ROOT,
        "%,d rows predicted by %s, %,d of them uploaded (%.1f %%).%n",
        done,
        edge.method(),
        uploaded,
        done == 0 ? 0 : 100.0 * uploaded / done);
    text.printf(
        Locale.ROOT,
        "%,d bytes sent, %,d bytes received; the device has version %,d.%n",
        traffic.sent(),
        traffic.received(),
        edge.version());
    if (traffic.lost() > 0) {
      text.printf(Locale.ROOT, "%,d uploads were lost.%n", traffic.lost());
    }
    if (accuracy.count() > 0) {
      text.printf(
          Locale.ROOT,
          "Accuracy against the labels of the data: %.1f %%%n",
          100 * accuracy.value());
    }
    String problem = link.problem();
    if (problem != null) {
      text.println("Last problem: " + problem + ".");
    }
    text.println("Predictions: " + out);
  }
}
