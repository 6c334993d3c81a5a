package org.outrigger.serve.adaptation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Energy;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardStream;
import org.outrigger.guard.GuardStreams;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.ServerSettings;

/** Streams that follow an adapter each, behind HTTP. */
class AdaptationTest {
  static final int ROW = 64;
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  @TempDir private static Path folder;
  private static Path bundle;
  private static float[] rows;

  @TempDir private Path data;

  @BeforeAll
  static void fit() {
    bundle = bundle(folder.resolve("digits.guard"), 1);
    rows = faint();
  }

  static Path bundle(Path target, long seed) {
    try (TensorDataset digits = Digits.images();
        NeuralModel model =
            NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 10, seed)) {
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(2).withSeed(seed))
          .fit(digits.limit(400));
      try (Guard guard =
          Guard.of(model).detect(new Energy()).adapt("tent").fit(digits.limit(400))) {
        guard.save(target);
      }
    }
    return target;
  }

  static float[] faint() {
    try (TensorDataset digits = Digits.images();
        PointerScope scope = new PointerScope()) {
      float[] all = Tensors.floats(digits.inputs().narrow(0, 400, 480));
      for (int i = 0; i < all.length; i++) {
        all[i] = 0.35f * all[i] + 0.3f;
      }
      return all;
    }
  }

  private AdaptationSettings on() {
    return AdaptationSettings.on(null, data).withBatch(16);
  }

  private static GuardServer serve(Path guard, AdaptationSettings settings, ServerPart... more) {
    List<ServerPart> parts = new ArrayList<>(List.of(more));
    parts.add(new Adaptation(settings));
    GuardServer server =
        GuardServer.start(
            ServerSettings.defaults().withAddress("127.0.0.1", 0),
            "cpu",
            parts.toArray(ServerPart[]::new));
    server.guards().load("digits", guard);
    return server;
  }

  static HttpRequest.Builder to(int port, String path) {
    return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
        .timeout(Duration.ofSeconds(60));
  }

  static String body(String stream, int from, int n) {
    Map<String, Object> input =
        Map.of(
            "name",
            "input",
            "datatype",
            "FP32",
            "shape",
            List.of(n, 1, 8, 8),
            "data",
            Arrays.copyOfRange(rows, from * ROW, (from + n) * ROW));
    return Json.compact(
        stream.isEmpty()
            ? Map.of("inputs", List.of(input))
            : Map.of("inputs", List.of(input), "parameters", Map.of("stream", stream)));
  }

  private static List<Object> logits(HttpResponse<String> response) {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    for (Object output : (List<?>) Json.object("answer", response.body()).get("outputs")) {
      Map<?, ?> map = (Map<?, ?>) output;
      if ("logits".equals(map.get("name"))) {
        return new ArrayList<>((List<?>) map.get("data"));
      }
    }
    throw new AssertionError("no logits");
  }

  static HttpResponse<String> send(HttpRequest request) throws Exception {
    return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
  }

  static List<Object> ask(int port, String stream, int from, int n) throws Exception {
    return logits(
        send(
            to(port, "/v2/models/digits/infer")
                .POST(HttpRequest.BodyPublishers.ofString(body(stream, from, n)))
                .build()));
  }

  private static List<Object> ask(GuardServer server, String stream, int from, int to)
      throws Exception {
    List<Object> all = new ArrayList<>();
    for (int at = from; at < to; at += 10) {
      all.addAll(ask(server.port(), stream, at, Math.min(10, to - at)));
    }
    return all;
  }

  /** What a stream alone says, without a server. */
  static List<Object> offline(Path guardBundle, int from, int to, int batch) {
    List<Object> all = new ArrayList<>();
    try (Guard guard = Guard.load(guardBundle);
        GuardStreams streams = guard.streams(null, batch);
        GuardStream stream = streams.open()) {
      for (int at = from; at < to; at += 10) {
        int n = Math.min(10, to - at);
        try (PointerScope scope = new PointerScope()) {
          float[] some = Arrays.copyOfRange(rows, at * ROW, (at + n) * ROW);
          all.addAll(written(stream.answer(Tensors.of(some, n, 1, 8, 8), false).logits()));
        }
      }
    }
    return all;
  }

  /** As they look in an answer. */
  private static List<Object> written(float[] logits) {
    return new ArrayList<>(
        (List<?>) Json.object("logits", Json.compact(Map.of("data", logits))).get("data"));
  }

  private static List<Object> plain(int from, int to) {
    List<Object> all = new ArrayList<>();
    try (Guard guard = Guard.load(bundle)) {
      for (int at = from; at < to; at += 10) {
        int n = Math.min(10, to - at);
        try (PointerScope scope = new PointerScope()) {
          float[] some = Arrays.copyOfRange(rows, at * ROW, (at + n) * ROW);
          all.addAll(written(guard.modelAnswer(Tensors.of(some, n, 1, 8, 8), false).logits()));
        }
      }
    }
    return all;
  }

  private static Map<String, Object> streams(GuardServer server) throws Exception {
    return Json.object(
        "streams", send(to(server.port(), "/v2/models/digits/streams").build()).body());
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> stream(GuardServer server, String name) throws Exception {
    return ((List<Map<String, Object>>) streams(server).get("streams"))
        .stream().filter(each -> name.equals(each.get("stream"))).findFirst().orElse(Map.of());
  }

  private List<Path> files() throws Exception {
    try (Stream<Path> all = Files.walk(data)) {
      return all.filter(Files::isRegularFile)
          .filter(file -> !file.getFileName().toString().startsWith("."))
          .toList();
    }
  }

  /** Hears of events. */
  private static final class Ear implements ServerPart {
    final List<ServerEvent> events = new CopyOnWriteArrayList<>();

    @Override
    public String name() {
      return "ear";
    }

    @Override
    public void happened(ServerEvent event) {
      events.add(event);
    }

    List<ServerEvent> of(ServerEvent.Kind kind) {
      return events.stream().filter(event -> event.kind() == kind).toList();
    }
  }

  @Test
  void itIsOffUnlessItIsSwitchedOn() throws Exception {
    try (GuardServer server = serve(bundle, AdaptationSettings.off())) {
      for (int i = 0; i < 3; i++) {
        assertThat(ask(server, "camera", 0, 40)).isEqualTo(plain(0, 40));
        assertThat(ask(server, "", 0, 40)).isEqualTo(plain(0, 40));
      }
      assertThat(streams(server)).containsEntry("enabled", false);
      assertThat(
              send(to(server.port(), "/v2/repository/models/digits/streams/camera/reset")
                      .POST(HttpRequest.BodyPublishers.noBody())
                      .build())
                  .statusCode())
          .isEqualTo(404);
    }
    assertThat(files()).isEmpty();
  }

  @Test
  void eachStreamIsAnsweredAsIfItWereAlone() throws Exception {
    try (GuardServer server = serve(bundle, on())) {
      List<Object> north = new ArrayList<>();
      List<Object> south = new ArrayList<>();
      for (int at = 0; at < 100; at += 10) {
        north.addAll(ask(server.port(), "north", at, 10));
        south.addAll(ask(server.port(), "south", 200 + at, 10));
        assertThat(ask(server.port(), "", at, 10)).isEqualTo(plain(at, at + 10));
      }
      assertThat(north).isEqualTo(offline(bundle, 0, 100, 16)).isNotEqualTo(plain(0, 100));
      assertThat(south).isEqualTo(offline(bundle, 200, 300, 16));
      assertThat(streams(server)).containsEntry("enabled", true).containsEntry("batch", 16);
      assertThat(stream(server, "north"))
          .containsEntry("rows", 100)
          .containsEntry("batches", 6)
          .containsEntry("pending", 4)
          .containsEntry("rollbacks", 0)
          .containsKeys("entropy", "agreement", "confidence", "resting", "lastSeen", "bytes");
    }
  }

  @Test
  void requestsOfManyStreamsAtOnceStayInOrderAndApart() throws Exception {
    try (GuardServer server = serve(bundle, on())) {
      List<CompletableFuture<List<Object>>> all = new ArrayList<>();
      for (int s = 0; s < 4; s++) {
        String name = "s" + s;
        int from = 100 * s;
        all.add(
            CompletableFuture.supplyAsync(
                () -> {
                  try {
                    return ask(server, name, from, from + 80);
                  } catch (Exception e) {
                    throw new IllegalStateException(e);
                  }
                }));
      }
      for (int s = 0; s < 4; s++) {
        assertThat(all.get(s).get()).isEqualTo(offline(bundle, 100 * s, 100 * s + 80, 16));
      }
    }
  }

  @Test
  void streamsThatLeaveMemoryGoOnWhereTheyWere() throws Exception {
    try (GuardServer server = serve(bundle, on().withStreams(2, 10))) {
      List<List<Object>> answers = new ArrayList<>();
      for (int s = 0; s < 4; s++) {
        answers.add(new ArrayList<>());
      }
      for (int at = 0; at < 60; at += 10) {
        for (int s = 0; s < 4; s++) {
          answers.get(s).addAll(ask(server.port(), "s" + s, 100 * s + at, 10));
        }
      }
      for (int s = 0; s < 4; s++) {
        assertThat(answers.get(s)).isEqualTo(offline(bundle, 100 * s, 100 * s + 60, 16));
      }
      assertThat((List<?>) streams(server).get("streams")).hasSize(2);
    }
    assertThat(files()).hasSize(4);
  }

  @Test
  void aRestartIsNotNoticed() throws Exception {
    List<Object> answers = new ArrayList<>();
    for (int part = 0; part < 3; part++) {
      try (GuardServer server = serve(bundle, on())) {
        answers.addAll(ask(server, "camera", 50 * part, 50 * (part + 1)));
      }
    }
    assertThat(answers).isEqualTo(offline(bundle, 0, 150, 16));
  }

  @Test
  void aReloadTakesStreamsAlongAndAnotherModelStartsAnew() throws Exception {
    Ear ear = new Ear();
    Path served = folder.resolve("served.guard");
    bundle(served, 1);
    try (GuardServer server = serve(served, on(), ear)) {
      List<Object> answers = new ArrayList<>(ask(server, "camera", 0, 50));
      server.guards().reload("digits");
      answers.addAll(ask(server, "camera", 50, 100));
      server.guards().reload("digits");
      server.guards().reload("digits");
      answers.addAll(ask(server, "camera", 100, 130));
      server.guards().rollBack("digits");
      answers.addAll(ask(server, "camera", 130, 160));
      assertThat(answers).isEqualTo(offline(served, 0, 160, 16));
      assertThat(ear.of(ServerEvent.Kind.TROUBLE)).isEmpty();
      Path other = bundle(folder.resolve("other.guard"), 2);
      server.guards().load("digits", other);
      assertThat(ask(server, "camera", 0, 50)).isEqualTo(offline(other, 0, 50, 16));
      assertThat(ear.of(ServerEvent.Kind.TROUBLE))
          .hasSize(1)
          .allMatch(event -> event.message().contains("starts anew"));
    }
  }

  @Test
  void aDamagedCheckpointIsSetAside() throws Exception {
    try (GuardServer server = serve(bundle, on())) {
      ask(server, "camera", 0, 50);
    }
    Path file = files().get(0);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
    Ear ear = new Ear();
    try (GuardServer server = serve(bundle, on(), ear)) {
      assertThat(ask(server, "camera", 0, 50)).isEqualTo(offline(bundle, 0, 50, 16));
      assertThat(ear.of(ServerEvent.Kind.TROUBLE))
          .hasSize(1)
          .allMatch(event -> event.message().contains("damaged and was set aside"));
    }
    assertThat(files()).anyMatch(each -> each.toString().endsWith(".damaged")).hasSize(2);
  }

  @Test
  void aStreamThatCollapsesIsRolledBackAndOperatorsHearOfIt() throws Exception {
    Ear ear = new Ear();
    AdaptationSettings greedy =
        AdaptationSettings.on("safety-net:every=1/tent:lr=0.5", data).withBatch(32);
    try (GuardServer server = serve(bundle, greedy, ear)) {
      for (int round = 0; round < 3; round++) {
        for (int at = 0; at < 480; at += 32) {
          ask(server.port(), "camera", at, 32);
        }
      }
      List<ServerEvent> events = ear.of(ServerEvent.Kind.ADAPTER_ROLLED_BACK);
      assertThat(events).isNotEmpty();
      assertThat(events.get(0).details())
          .containsEntry("stream", "camera")
          .containsKeys("reason", "confidence", "agreement", "spread", "startedOver");
      assertThat(stream(server, "camera")).containsEntry("rollbacks", events.size());
      assertThat(send(to(server.port(), "/metrics").build()).body())
          .contains("outrigger_adapter_rollbacks_total{guard=\"digits\"} " + events.size() + ".0");
    }
  }

  @Test
  void aStreamStartsOverOrIsForgottenWhenAskedTo() throws Exception {
    try (GuardServer server = serve(bundle, on())) {
      List<Object> first = ask(server, "camera", 0, 50);
      String path = "/v2/repository/models/digits/streams/camera";
      HttpRequest reset =
          to(server.port(), path + "/reset").POST(HttpRequest.BodyPublishers.noBody()).build();
      HttpRequest delete = to(server.port(), path).DELETE().build();
      assertThat(send(reset).statusCode()).isEqualTo(200);
      assertThat(ask(server, "camera", 0, 50)).isEqualTo(first);
      assertThat(send(delete).statusCode()).isEqualTo(200);
      assertThat(stream(server, "camera")).isEmpty();
      assertThat(files()).isEmpty();
      assertThat(ask(server, "camera", 0, 50)).isEqualTo(first);
      assertThat(send(delete).statusCode()).isEqualTo(200);
      assertThat(send(delete).statusCode()).isEqualTo(404);
      assertThat(send(reset).statusCode()).isEqualTo(404);
    }
  }

  @Test
  void namesOfStreamsAreNoPaths() throws Exception {
    List<String> names = List.of("../../escape", "/etc/passwd", "..", "a\\b", "C:x", "con", "%2e");
    try (GuardServer server = serve(bundle, on())) {
      for (String name : names) {
        ask(server, name, 0, 20);
      }
    }
    assertThat(files()).hasSize(names.size());
    assertThat(files())
        .allMatch(
            file ->
                file.getParent().equals(data.resolve("digits"))
                    && file.getFileName().toString().matches("[0-9a-f]{32}\\.safetensors"));
  }

  @Test
  void requestsWithoutAStreamMayBelongToOne() throws Exception {
    try (GuardServer server = serve(bundle, on().withDefaultStream("all"))) {
      assertThat(ask(server, "", 0, 50)).isEqualTo(offline(bundle, 0, 50, 16));
      assertThat(stream(server, "all")).containsEntry("rows", 50);
    }
  }

  @Test
  void aStackThatNeedsSourceDataIsRefusedAtTheStart() {
    assertThatThrownBy(() -> serve(bundle, AdaptationSettings.on("eata", data)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("fit the guard with it");
  }

  @Test
  void aStreamThatCannotBeOpenedIsAnsweredByTheModel() throws Exception {
    Ear ear = new Ear();
    try (GuardServer server = serve(bundle, on().withStreams(1, 5), ear)) {
      ask(server, "first", 0, 20);
      // A folder where the file should be: it can be neither written nor read.
      ask(server, "second", 0, 20);
      Path file = files().get(0);
      Files.delete(file);
      Files.createDirectories(file.resolve("in the way"));
      assertThat(ask(server, "first", 0, 40)).hasSize(400);
      assertThat(ear.of(ServerEvent.Kind.TROUBLE)).isNotEmpty();
    }
  }

  @Test
  void checkpointsAreWrittenWhileItServes() throws Exception {
    try (GuardServer server = serve(bundle, on().withCheckpoint(Duration.ofMillis(50)))) {
      ask(server, "camera", 0, 50);
      long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (stream(server, "camera").get("checkpoint") == null && System.nanoTime() < end) {
        Thread.sleep(20);
      }
      assertThat(stream(server, "camera").get("checkpoint")).isNotNull();
      assertThat(files()).hasSize(1);
    }
  }

  /** A server in a process of its own, which writes every so many seconds. */
  private Process process(int seconds) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    for (String key : List.of("java.library.path", "org.bytedeco.javacpp.pathsFirst")) {
      if (System.getProperty(key) != null) {
        command.add("-D" + key + "=" + System.getProperty(key));
      }
    }
    Collections.addAll(
        command,
        "-Xmx512m",
        "-cp",
        System.getProperty("java.class.path"),
        KilledServer.class.getName(),
        bundle.toString(),
        data.toString(),
        "" + seconds);
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
  }

  @Test
  void aStoppedServerLosesNothing() throws Exception {
    Process process = process(3600);
    List<Object> before = new ArrayList<>();
    try (var out = process.inputReader(StandardCharsets.UTF_8)) {
      int port = port(out);
      for (int at = 0; at < 50; at += 10) {
        before.addAll(ask(port, "camera", at, 10));
      }
      process.destroy();
      process.waitFor();
    } finally {
      process.destroyForcibly();
    }
    try (GuardServer server = serve(bundle, on())) {
      before.addAll(ask(server, "camera", 50, 100));
      assertThat(before).isEqualTo(offline(bundle, 0, 100, 16));
    }
  }

  private static int port(java.io.BufferedReader out) throws Exception {
    String line = out.readLine();
    while (line != null && !line.startsWith("port ")) {
      line = out.readLine();
    }
    assertThat(line).isNotNull();
    return Integer.parseInt(line.substring(5));
  }

  @Test
  void aKilledServerGoesOnFromItsLastCheckpoint() throws Exception {
    Process process = process(1);
    List<Object> before = new ArrayList<>();
    try (var out = process.inputReader(StandardCharsets.UTF_8)) {
      int port = port(out);
      for (int at = 0; at < 50; at += 10) {
        before.addAll(ask(port, "camera", at, 10));
      }
      // Twice the interval: all of this must be on disk; what follows need not be.
      Thread.sleep(2500);
      ask(port, "camera", 50, 10);
    } finally {
      process.destroyForcibly().waitFor();
    }
    try (GuardServer server = serve(bundle, on())) {
      int from = 50;
      List<Object> next = ask(server.port(), "camera", from, 10);
      int rowsKnown = ((Number) stream(server, "camera").get("rows")).intValue() - 10;
      assertThat(rowsKnown).isBetween(50, 60);
      if (rowsKnown == 50) {
        before.addAll(next);
        before.addAll(ask(server, "camera", 60, 100));
        assertThat(before).isEqualTo(offline(bundle, 0, 100, 16));
      }
    }
  }

  /** A server to be killed or stopped. */
  static final class KilledServer {
    public static void main(String[] args) throws InterruptedException {
      AdaptationSettings settings =
          AdaptationSettings.on(null, Path.of(args[1]))
              .withBatch(16)
              .withCheckpoint(Duration.ofSeconds(Integer.parseInt(args[2])));
      GuardServer server = serve(Path.of(args[0]), settings);
      Runtime.getRuntime().addShutdownHook(new Thread(server::close));
      System.out.println("port " + server.port());
      Thread.sleep(Duration.ofMinutes(5).toMillis());
    }
  }

  @Test
  void manyStreamsLeaveNoMemoryBehind() throws Exception {
    try (GuardServer server = serve(bundle, on().withStreams(2, 20))) {
      double before = 0;
      for (int i = 0; i < 60; i++) {
        if (i == 30) {
          before = ResidentMemory.megabytes();
        }
        ask(server, "s" + i, 0, 20);
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(40);
      assertThat(((Number) streams(server).get("stored")).intValue()).isLessThanOrEqualTo(21);
    }
    assertThat(files()).hasSizeLessThanOrEqualTo(20);
  }
}
