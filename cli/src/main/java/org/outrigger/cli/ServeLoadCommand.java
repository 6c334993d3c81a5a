package org.outrigger.cli;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.guard.Guard;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.ServerSettings;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures a server under load. */
@Command(
    name = "load",
    mixinStandardHelpOptions = true,
    description = {
      "How much does a guard answer over HTTP, and how fast? Serves it on this machine and sends it"
          + " random inputs in the binary form.",
      "In one run: a bare loop over the guard without a server; the server at saturation; at half"
          + " of that, requests at a steady pace, whether answers are slow or not; and at four times"
          + " that, where the queue must refuse what is too much and nothing else may fail. With"
          + " --soak it then keeps half of the saturation up and watches the memory.",
      "Bare loop and server are first warmed up until neither gets faster any more, since Java"
          + " compiles what runs often, on cores that the server needs.",
      "The server has the event store, monitors and dashboard that 'outrigger serve' has, in a"
          + " temporary folder; --store none and --no-monitor leave them out."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger serve load --guard resnet.guard",
      "  outrigger serve load --guard resnet.guard --rows 1 --seconds 20 --json l.json",
      "  outrigger serve load --guard resnet.guard --soak 30 --threads 1"
    })
final class ServeLoadCommand implements Callable<Integer> {
  private static final int MOST_GROWTH_MB = 20;
  private static final double MOST_GROWTH = 0.02;

  /** A warm-up ends when so many windows in a row were no faster than the best before them. */
  private static final int STEADY_WINDOWS = 4;

  private static final int MOST_WINDOWS = 40;
  private static final double FASTER = 1.02;

  @Spec private CommandSpec spec;

  @Option(names = "--guard", required = true, paramLabel = "DIR", description = "A saved guard.")
  private Path bundle;

  @Option(
      names = "--rows",
      paramLabel = "N",
      defaultValue = "32",
      description = "Rows of a request; ${DEFAULT-VALUE} by default.")
  private int rows;

  @Option(
      names = "--clients",
      paramLabel = "N",
      defaultValue = "4",
      description = "Connections at saturation; ${DEFAULT-VALUE} by default.")
  private int clients;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "10",
      description = "How long each part runs; ${DEFAULT-VALUE} by default.")
  private int seconds;

  @Option(
      names = "--soak",
      paramLabel = "MINUTES",
      defaultValue = "0",
      description = "Then watches the memory for so long; not at all by default.")
  private int soak;

  @Option(names = "--json", paramLabel = "FILE", description = "Also writes the figures as JSON.")
  private @Nullable Path json;

  @Mixin private ServeParts features = new ServeParts();

  @Mixin private Device device = new Device();

  /**
   * Resident memory during the soak, in MB. What the first sixth takes is the warm-up's; the sixth
   * after it is compared with the last one. Each counts by its median, since the event store takes
   * some memory for a moment whenever it writes its log into its file.
   */
  record Memory(double first, double last, long failed) {
    static Memory of(double[] readings, long failed) {
      int part = Math.max(1, readings.length / 6);
      int after = Math.max(0, Math.min(part, readings.length - 2 * part));
      return new Memory(
          median(Arrays.copyOfRange(readings, after, after + part)),
          median(Arrays.copyOfRange(readings, readings.length - part, readings.length)),
          failed);
    }

    private static double median(double[] values) {
      Arrays.sort(values);
      int half = values.length / 2;
      return values.length % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    }

    double limit() {
      return Math.max(MOST_GROWTH_MB, MOST_GROWTH * first);
    }

    boolean flat() {
      return failed == 0 && last - first <= limit();
    }
  }

  @Override
  public Integer call() {
    if (rows < 1 || clients < 1 || seconds < 1 || soak < 0) {
      throw new OutriggerException(
          "--rows, --clients and --seconds must be 1 or more, and --soak 0 or more.");
    }
    device.apply();
    try {
      return measure();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OutriggerException("Stopped before it was done.", e);
    }
  }

  private int measure() throws InterruptedException {
    float[] values;
    long[] shape;
    double bare;
    try (Guard guard = Guard.load(bundle, device.name())) {
      shape = withRows(guard.info().inputShape());
      values = inputs(shape);
      bare = bareRate(guard, values, shape);
    }
    ServerSettings settings =
        ServerSettings.defaults()
            .withAddress("127.0.0.1", 0)
            .withLimits(Math.max(1024, 8 * rows), 256 << 20, Math.max(1024, rows));
    // The event store and the monitors of the trial go with it, unless --data-dir names a folder.
    try (TemporaryFolder remembered = new TemporaryFolder("outrigger-load");
        GuardServer server = start(settings, remembered)) {
      server.guards().load("guard", bundle);
      LoadGenerator load =
          new LoadGenerator(
              URI.create("http://127.0.0.1:" + server.port() + "/v2/models/guard/infer"),
              values,
              shape);
      return measure(load, bare);
    }
  }

  private GuardServer start(ServerSettings settings, TemporaryFolder remembered) {
    features.dataDir().usual(remembered.path());
    return GuardServer.start(settings, device.name(), features.make(false));
  }

  private int measure(LoadGenerator load, double bare) throws InterruptedException {
    Duration time = Duration.ofSeconds(seconds);
    warmUp("the server", () -> load.saturate(clients, time.dividedBy(2)).rate());
    LoadGenerator.Answers full;
    LoadGenerator.Answers half;
    LoadGenerator.Answers over;
    try (Progress bar = new Progress("Load on the server", 3)) {
      bar.say("saturation");
      full = load.saturate(clients, time);
      bar.to(1);
      bar.say("half of it");
      half = load.pace(full.rate() / 2, time);
      bar.to(2);
      bar.say("four times that");
      over = load.pace(4 * full.rate(), time);
    }
    Memory memory = soak == 0 ? null : soak(load, full.rate() / 2);
    boolean failed = full.failed() + half.failed() + over.failed() > 0;
    print(bare, full, half, over, memory);
    if (json != null) {
      write(json, bare, full, half, over, memory);
    }
    return failed || memory != null && !memory.flat() ? ExitCode.NO : ExitCode.OK;
  }

  private long[] withRows(long[] inner) {
    long[] shape = new long[inner.length + 1];
    shape[0] = rows;
    System.arraycopy(inner, 0, shape, 1, inner.length);
    return shape;
  }

  private static float[] inputs(long[] shape) {
    try (Rng rng = Rng.named(0, "load");
        PointerScope scope = new PointerScope()) {
      return Tensors.floats(rng.normal(shape));
    }
  }

  /** Batches a second without a server: each from Java's memory, as a request's is. */
  private double bareRate(Guard guard, float[] values, long[] shape) throws InterruptedException {
    warmUp("the bare loop", () -> bareRate(guard, values, shape, seconds / 2.0));
    return bareRate(guard, values, shape, seconds);
  }

  /** Batches a second of a short run. */
  private interface Window {
    double rate() throws InterruptedException;
  }

  private void warmUp(String what, Window window) throws InterruptedException {
    double best = 0;
    int steady = 0;
    try (Progress bar = new Progress("Warming up " + what, -1)) {
      for (int i = 0; i < MOST_WINDOWS && steady < STEADY_WINDOWS; i++) {
        double rate = window.rate();
        steady = rate > FASTER * best ? 0 : steady + 1;
        best = Math.max(best, rate);
        bar.to(i + 1L);
        bar.say(number(rate * rows) + " rows/s");
      }
    }
  }

  private static double bareRate(Guard guard, float[] values, long[] shape, double time) {
    long start = System.nanoTime();
    long count = 0;
    double took;
    do {
      try (PointerScope scope = new PointerScope()) {
        guard.check(Tensors.of(values, shape));
      }
      count++;
      took = (System.nanoTime() - start) / 1e9;
    } while (took < time);
    return count / took;
  }

  private Memory soak(LoadGenerator load, double rate) throws InterruptedException {
    double[] readings = new double[soak];
    long failed = 0;
    var out = spec.commandLine().getOut();
    for (int minute = 1; minute <= soak; minute++) {
      LoadGenerator.Answers answers = load.pace(rate, Duration.ofMinutes(1));
      failed += answers.failed();
      // Garbage that nobody has collected yet is no leak.
      System.gc();
      readings[minute - 1] = ResidentMemory.megabytes();
      out.printf(
          Locale.ROOT,
          "minute %d: %.1f MB resident, p99 %.1f ms, %d failed%n",
          minute,
          readings[minute - 1],
          answers.millis(0.99),
          answers.failed());
      out.flush();
    }
    return Memory.of(readings, failed);
  }

  private void print(
      double bare,
      LoadGenerator.Answers full,
      LoadGenerator.Answers half,
      LoadGenerator.Answers over,
      @Nullable Memory memory) {
    var out = spec.commandLine().getOut();
    TextTable table = new TextTable("", "rows/s", "p50", "p99", "answers by status", "unsent");
    table.row("bare loop over the guard", number(bare * rows), "", "", "", "");
    row(table, "server, " + clients + " clients", full);
    row(table, "server, half of that", half);
    row(table, "server, four times that", over);
    table.print(out);
    out.printf(
        Locale.ROOT,
        "%nThe server answers %.0f %% of what the bare loop does; at half of its saturation p99 is"
            + " %.1f times p50.%n",
        100 * full.rate() / bare,
        half.millis(0.99) / half.millis(0.5));
    if (memory != null) {
      out.printf(
          Locale.ROOT,
          "Memory: %.1f MB after the warm-up, %.1f MB at the end: it %s; %d requests failed.%n",
          memory.first,
          memory.last,
          memory.last - memory.first <= memory.limit() ? "stays flat" : "grows",
          memory.failed);
    }
    out.flush();
  }

  private void row(TextTable table, String name, LoadGenerator.Answers answers) {
    table.row(
        name,
        number(answers.rate() * rows),
        String.format(Locale.ROOT, "%.1f ms", answers.millis(0.5)),
        String.format(Locale.ROOT, "%.1f ms", answers.millis(0.99)),
        answers.statuses().toString(),
        Long.toString(answers.unsent()));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.0f", value);
  }

  private void write(
      Path file,
      double bare,
      LoadGenerator.Answers full,
      LoadGenerator.Answers half,
      LoadGenerator.Answers over,
      @Nullable Memory memory) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("rows", rows);
    all.put("bareRowsPerSecond", bare * rows);
    all.put("saturated", figures(full));
    all.put("half", figures(half));
    all.put("overload", figures(over));
    if (memory != null) {
      all.put("soakMegabytes", List.of(memory.first, memory.last));
      all.put("soakFailed", memory.failed);
    }
    byte[] text = Json.pretty(all).getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(file, stream -> stream.write(text));
  }

  private Map<String, Object> figures(LoadGenerator.Answers answers) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("rowsPerSecond", answers.rate() * rows);
    all.put("p50Millis", answers.millis(0.5));
    all.put("p99Millis", answers.millis(0.99));
    all.put("statuses", answers.statuses());
    all.put("unsent", answers.unsent());
    return all;
  }
}
