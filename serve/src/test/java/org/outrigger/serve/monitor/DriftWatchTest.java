package org.outrigger.serve.monitor;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Iris;
import org.outrigger.detect.Energy;
import org.outrigger.guard.Guard;
import org.outrigger.guard.MonitorSettings;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.ServerSettings;

class DriftWatchTest {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();
  private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

  @TempDir private static Path folder;
  private static Path bundle;

  @BeforeAll
  static void fit() {
    bundle = folder.resolve("flowers.guard");
    try (TensorDataset flowers = Iris.all();
        NeuralModel model =
            NeuralModel.create("mlp", Map.of("hidden", "8"), new long[] {4}, 3, 1)) {
      try (Guard guard = Guard.of(model).detect(new Energy()).fit(flowers)) {
        guard.save(bundle);
      }
    }
  }

  private static GuardServer start(ServerPart... parts) {
    GuardServer server =
        GuardServer.start(
            ServerSettings.defaults().withAddress("127.0.0.1", 0).withBatching(1, Duration.ZERO),
            "cpu",
            parts);
    server.guards().load("flowers", bundle);
    return server;
  }

  private static DriftWatch watch(WatchSettings settings) {
    return new DriftWatch(settings, guard -> new MeanMonitor("reference", 0, null));
  }

  private static Alerts alerts(Receiver receiver) {
    return new Alerts(List.of(WebhookSettings.of(receiver.url(), "key")));
  }

  /** Sends rows that all hold one value. */
  private static void send(GuardServer server, int rows, double value) throws Exception {
    float[] data = new float[4 * rows];
    Arrays.fill(data, (float) value);
    send(server, data);
  }

  private static void send(GuardServer server, float[] data) throws Exception {
    int rows = data.length / 4;
    String body =
        Json.compact(
            Map.of(
                "inputs",
                List.of(
                    Map.of(
                        "name",
                        "input",
                        "datatype",
                        "FP32",
                        "shape",
                        new int[] {rows, 4},
                        "data",
                        data))));
    HttpResponse<String> answer =
        CLIENT.send(
            HttpRequest.newBuilder(
                    URI.create("http://127.0.0.1:" + server.port() + "/v2/models/flowers/infer"))
                .header("traceparent", "00-" + TRACE + "-00f067aa0ba902b7-01")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(answer.statusCode()).isEqualTo(200);
  }

  private static String get(GuardServer server, String path) throws Exception {
    return CLIENT
        .send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path)).build(),
            HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8))
        .body();
  }

  private static long windows(DriftWatch watch) {
    return watch.status("flowers").get("windows") instanceof Number n ? n.longValue() : -1;
  }

  @Test
  void shiftedTrafficIsToldOnceOnTheRightChannelAndItsEndToo() throws Exception {
    DriftWatch watch = watch(WatchSettings.of(null));
    try (Receiver receiver = new Receiver(n -> 200);
        GuardServer server = start(watch, alerts(receiver))) {
      for (int i = 0; i < 5; i++) {
        send(server, 10, 0.1);
      }
      assertThat(Receiver.soon(() -> windows(watch) == 5)).isTrue();
      assertThat(receiver.calls).isEmpty();
      for (int i = 0; i < 5; i++) {
        send(server, 10, 3);
      }
      assertThat(Receiver.soon(() -> windows(watch) == 10)).isTrue();
      assertThat(Receiver.soon(() -> receiver.calls.size() == 1)).isTrue();
      Map<String, Object> alert = receiver.calls.get(0).json();
      assertThat(alert)
          .containsEntry("schema", "outrigger.alert/1")
          .containsEntry("kind", "DRIFT")
          .containsEntry("guard", "flowers")
          .containsEntry("version", "1");
      assertThat((String) alert.get("text")).contains("flowers version 1: The inputs changed.");
      assertThat(String.valueOf(alert.get("details")))
          .contains("channel=inputs", "method=mean", "threshold=0.2", "features=[{", "number=6");
      assertThat(receiver.calls.get(0).header("traceparent")).contains(TRACE);
      assertThat(get(server, "/metrics"))
          .contains("outrigger_drift_total{channel=\"inputs\",guard=\"flowers\"")
          .contains("outrigger_window_unknown", "outrigger_drift_effect")
          .doesNotContain("outrigger_drift_total{channel=\"predictions\"");
      assertThat(get(server, "/v2/status")).contains("\"active\":{\"inputs\"");
      for (int i = 0; i < 4; i++) {
        send(server, 10, 0.1);
      }
      assertThat(Receiver.soon(() -> receiver.calls.size() == 2)).isTrue();
      assertThat(receiver.calls.get(1).json()).containsEntry("kind", "RECOVERED");
      assertThat(watch.status("flowers")).containsEntry("active", Map.of());
    }
  }

  @Test
  void theGuardsOwnReferenceTellsShiftedInputsFromKnownOnes() throws Exception {
    MonitorSettings window = MonitorSettings.defaults().withWindow(150, null);
    DriftWatch watch =
        new DriftWatch(WatchSettings.of(null), guard -> ReferenceMonitor.of(guard, window));
    try (Receiver receiver = new Receiver(n -> 200);
        TensorDataset flowers = Iris.all();
        GuardServer server = start(watch, alerts(receiver))) {
      float[] rows = Tensors.floats(flowers.inputs());
      sendRows(server, rows);
      assertThat(Receiver.soon(() -> windows(watch) == 1)).isTrue();
      assertThat(watch.status("flowers")).containsEntry("active", Map.of());
      for (int i = 0; i < rows.length; i += 4) {
        rows[i] += 3;
      }
      sendRows(server, rows);
      sendRows(server, rows);
      assertThat(Receiver.soon(() -> windows(watch) == 3)).isTrue();
      String active = String.valueOf(watch.status("flowers").get("active"));
      assertThat(active).contains("inputs=");
      int channels = ((Map<?, ?>) watch.status("flowers").get("active")).size();
      assertThat(Receiver.soon(() -> receiver.calls.size() >= channels)).isTrue();
      assertThat(receiver.calls).hasSize(channels);
    }
  }

  private static void sendRows(GuardServer server, float[] rows) throws Exception {
    for (int i = 0; i < rows.length; i += 40) {
      send(server, Arrays.copyOfRange(rows, i, Math.min(i + 40, rows.length)));
    }
  }

  @Test
  void whatWasHalfAWindowGoesOnAfterARestartAsIfThereHadBeenNone(@TempDir Path kept)
      throws Exception {
    double[] traffic = {0.1, 0.2, 0.1, 3, 3, 0.1, 0.2, 0.3};
    WatchSettings settings = WatchSettings.of(kept.resolve("monitor"));
    DriftWatch through = watch(WatchSettings.of(null));
    List<String> whole = new ArrayList<>();
    try (GuardServer server = start(through)) {
      for (double each : traffic) {
        send(server, 7, each);
      }
      assertThat(Receiver.soon(() -> windows(through) == 5)).isTrue();
      whole.addAll(history(through));
    }
    try (GuardServer server = start(watch(settings))) {
      for (double each : Arrays.copyOf(traffic, 5)) {
        send(server, 7, each);
      }
    }
    DriftWatch again = watch(settings);
    try (GuardServer server = start(again)) {
      assertThat(again.status("flowers"))
          .containsEntry("begun", "continued")
          .containsEntry("pendingRows", 5);
      for (double each : Arrays.copyOfRange(traffic, 5, 8)) {
        send(server, 7, each);
      }
      assertThat(Receiver.soon(() -> windows(again) == 5)).isTrue();
      assertThat(history(again)).isEqualTo(whole);
      // A bundle that is read again goes on as well.
      server.guards().reload("flowers");
      assertThat(again.status("flowers"))
          .containsEntry("begun", "continued")
          .containsEntry("version", "2")
          .containsEntry("pendingRows", 6);
    }
    DriftWatch other =
        new DriftWatch(settings, guard -> new MeanMonitor("another reference", 0, null));
    try (GuardServer server = start(other)) {
      assertThat(server.port()).isPositive();
      assertThat((String) other.status("flowers").get("begun")).contains("another reference");
    }
    Files.writeString(kept.resolve("monitor/flowers.safetensors"), "nonsense");
    DriftWatch damaged = watch(settings);
    try (GuardServer server = start(damaged)) {
      assertThat(server.port()).isPositive();
      assertThat((String) damaged.status("flowers").get("begun")).contains("damaged");
    }
  }

  /** The windows without their times. */
  private static List<String> history(DriftWatch watch) {
    List<String> all = new ArrayList<>();
    for (Object point : (List<?>) watch.status("flowers").get("timeline")) {
      Map<String, Object> copy = new java.util.TreeMap<>();
      ((Map<?, ?>) point).forEach((name, value) -> copy.put(String.valueOf(name), value));
      copy.remove("at");
      all.add(Json.compact(copy));
    }
    return all;
  }

  @Test
  void itIsKeptWhileItRunsSoThatACrashLosesLittle(@TempDir Path kept) throws Exception {
    DriftWatch watch = watch(WatchSettings.of(kept).withSave(Duration.ofMillis(50)));
    try (GuardServer server = start(watch)) {
      send(server, 13, 0.1);
      Path copy = kept.resolve("copy");
      assertThat(Receiver.soon(() -> Files.exists(kept.resolve("flowers.safetensors")))).isTrue();
      Files.createDirectory(copy);
      Files.copy(kept.resolve("flowers.safetensors"), copy.resolve("flowers.safetensors"));
      DriftWatch after = watch(WatchSettings.of(copy));
      try (GuardServer second = start(after)) {
        assertThat(second.port()).isPositive();
        assertThat(after.status("flowers"))
            .containsEntry("windows", 1L)
            .containsEntry("pendingRows", 3);
      }
    }
  }

  @Test
  void slowMonitorsAndReceiversHoldNoRequestUp() throws Exception {
    CountDownLatch gate = new CountDownLatch(1);
    DriftWatch stuck =
        new DriftWatch(
            WatchSettings.of(null).withQueue(2, 1_000),
            guard -> new MeanMonitor("reference", 0, gate));
    try (Receiver receiver = new Receiver(n -> -20_000);
        GuardServer server = start(stuck, alerts(receiver))) {
      send(server, 10, 3);
      long start = System.nanoTime();
      for (int i = 0; i < 30; i++) {
        send(server, 10, 3);
      }
      assertThat(System.nanoTime() - start).isLessThan(10_000_000_000L);
      String metrics = get(server, "/metrics");
      assertThat(metrics).contains("outrigger_monitor_skipped_total{guard=\"flowers\"");
      gate.countDown();
      assertThat(Receiver.soon(() -> receiver.calls.size() == 1)).isTrue();
      start = System.nanoTime();
      for (int i = 0; i < 10; i++) {
        send(server, 10, 3);
      }
      assertThat(System.nanoTime() - start).isLessThan(5_000_000_000L);
    }
  }

  @Test
  void labelsFeedTheErrorsOfTheVersionThatAnswered() throws Exception {
    DriftWatch watch = watch(WatchSettings.of(null));
    try (Receiver receiver = new Receiver(n -> 200);
        GuardServer server = start(watch, alerts(receiver))) {
      assertThat(server.port()).isPositive();
      List<LabelledRow> rows = new ArrayList<>();
      for (int i = 0; i < 14; i++) {
        // Every third row is of no known class, and one of another version.
        int label = i % 3 == 2 ? -1 : 1;
        rows.add(
            new LabelledRow(
                "flowers", i == 13 ? "9" : "1", "r", i, Instant.now(), 0, label, 0.9, false));
      }
      watch.labelled("flowers", rows);
      watch.labelled("flowers", rows.subList(0, 1));
      assertThat(Receiver.soon(() -> receiver.calls.size() == 1)).isTrue();
      assertThat(String.valueOf(receiver.calls.get(0).json().get("details")))
          .contains("channel=errors", "effect=1.0");
      assertThat(watch.status("flowers")).containsEntry("windows", 1L);
    }
  }

  @Test
  void aGuardWithoutAReferenceIsServedAndSaidNotToBeWatched() throws Exception {
    DriftWatch watch = new DriftWatch(WatchSettings.of(null), guard -> null);
    try (GuardServer server = start(watch)) {
      send(server, 1, 0);
      assertThat(watch.status("flowers")).containsEntry("monitoring", false).containsKey("why");
      assertThat(watch.problem()).isNull();
    }
  }
}
