package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.torch.Tensors;
import org.outrigger.guard.Guard;
import org.outrigger.guard.Verdict;

class GuardServerTest {
  private static final String INFER = "/v2/models/digits/infer";

  @TempDir private static Path folder;
  private static Path bundle;
  private static GuardServer server;

  @BeforeAll
  static void start() {
    bundle = ServedModel.bundle(folder, 1);
    server = GuardServer.start(ServedModel.settings(), "cpu");
    server.guards().load("digits", bundle);
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Map<String, Object>> outputs(Map<String, Object> answer) {
    Map<String, Map<String, Object>> byName = new java.util.HashMap<>();
    for (Object output : (List<Object>) answer.get("outputs")) {
      Map<String, Object> map = (Map<String, Object>) output;
      byName.put((String) map.get("name"), map);
    }
    return byName;
  }

  @Test
  void saysWhatItIsAndWhatItServes() throws Exception {
    assertThat(ServedModel.json(ServedModel.get(server, "/v2")))
        .containsEntry("name", "outrigger")
        .containsKey("extensions");
    assertThat(ServedModel.get(server, "/v2/health/live").statusCode()).isEqualTo(200);
    assertThat(ServedModel.get(server, "/v2/health/ready").statusCode()).isEqualTo(200);
    assertThat(ServedModel.get(server, "/v2/models/digits/ready").statusCode()).isEqualTo(200);
    Map<String, Object> model = ServedModel.json(ServedModel.get(server, "/v2/models/digits"));
    assertThat(model).containsEntry("name", "digits").containsKeys("inputs", "outputs", "versions");
    assertThat(ServedModel.get(server, "/v2/models/nothing").statusCode()).isEqualTo(404);
    assertThat(ServedModel.get(server, "/v2/models/digits/versions/99").statusCode())
        .isEqualTo(404);
    HttpResponse<byte[]> nowhere = ServedModel.get(server, "/nowhere");
    assertThat(nowhere.statusCode()).isEqualTo(404);
    assertThat(ServedModel.json(nowhere)).containsKey("error");
  }

  @Test
  void answersAsTheGuardItself() throws Exception {
    float[] rows = ServedModel.rows(12);
    Map<String, Object> answer =
        ServedModel.json(ServedModel.post(server, INFER, ServedModel.request(rows, 12)));
    assertThat(answer).containsEntry("model_name", "digits").containsEntry("id", "r1");
    Map<String, Map<String, Object>> outputs = outputs(answer);
    try (Guard guard = Guard.load(bundle);
        PointerScope scope = new PointerScope()) {
      List<Verdict> verdicts = guard.check(Tensors.of(rows, 12, 1, 8, 8));
      assertThat(outputs.get("label").get("data"))
          .isEqualTo(verdicts.stream().map(Verdict::label).toList());
      assertThat(outputs.get("class_name").get("data"))
          .isEqualTo(verdicts.stream().map(Verdict::className).toList());
      assertThat(outputs.get("unknown").get("data"))
          .isEqualTo(verdicts.stream().map(Verdict::unknown).toList());
      assertThat(outputs.get("probability").get("data"))
          .isEqualTo(verdicts.stream().map(Verdict::probability).toList());
      assertThat(outputs.get("logits").get("shape")).isEqualTo(List.of(12, 10));
    }
  }

  @Test
  void takesAndGivesBinaryTensors() throws Exception {
    float[] rows = ServedModel.rows(3);
    byte[] head =
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
                            new long[] {3, 1, 8, 8},
                            "parameters",
                            Map.of("binary_data_size", 4 * rows.length))),
                    "outputs",
                    List.of(
                        Map.of("name", "logits", "parameters", Map.of("binary_data", true)),
                        Map.of("name", "class_name", "parameters", Map.of("binary_data", true)),
                        Map.of("name", "label"))))
            .getBytes(StandardCharsets.UTF_8);
    ByteBuffer body =
        ByteBuffer.allocate(head.length + 4 * rows.length).order(ByteOrder.LITTLE_ENDIAN);
    body.put(head);
    for (float value : rows) {
      body.putFloat(value);
    }
    HttpResponse<byte[]> response =
        ServedModel.CLIENT.send(
            ServedModel.to(server, INFER)
                .header("Inference-Header-Content-Length", Integer.toString(head.length))
                .POST(HttpRequest.BodyPublishers.ofByteArray(body.array()))
                .build(),
            HttpResponse.BodyHandlers.ofByteArray());
    assertThat(response.statusCode()).isEqualTo(200);
    int json =
        Integer.parseInt(
            response.headers().firstValue("Inference-Header-Content-Length").orElseThrow());
    Map<String, Map<String, Object>> outputs =
        outputs(Json.object("head", new String(response.body(), 0, json, StandardCharsets.UTF_8)));
    assertThat(outputs.keySet()).containsExactlyInAnyOrder("logits", "class_name", "label");
    ByteBuffer tail =
        ByteBuffer.wrap(response.body(), json, response.body().length - json)
            .slice()
            .order(ByteOrder.LITTLE_ENDIAN);
    try (Guard guard = Guard.load(bundle);
        PointerScope scope = new PointerScope()) {
      Guard.Answer expected = guard.answer(Tensors.of(rows, 3, 1, 8, 8));
      for (float logit : expected.logits()) {
        assertThat(tail.getFloat()).isEqualTo(logit);
      }
      for (Verdict verdict : expected.verdicts()) {
        byte[] name = new byte[tail.getInt()];
        tail.get(name);
        assertThat(new String(name, StandardCharsets.UTF_8)).isEqualTo(verdict.className());
      }
      assertThat(tail.hasRemaining()).isFalse();
      assertThat(outputs.get("label").get("data"))
          .isEqualTo(expected.verdicts().stream().map(Verdict::label).toList());
    }
  }

  @Test
  void gathersRequestsIntoBatchesAndOneBadOneHurtsNobody() throws Exception {
    ConcurrentLinkedQueue<Integer> sizes = new ConcurrentLinkedQueue<>();
    server.listen(batch -> sizes.add(batch.rows()));
    List<CompletableFuture<HttpResponse<byte[]>>> answers = new ArrayList<>();
    float[] one = ServedModel.rows(1);
    for (int i = 0; i < 60; i++) {
      String body = i == 30 ? "{\"inputs\": 7}" : ServedModel.request(one, 1);
      answers.add(
          ServedModel.CLIENT.sendAsync(
              ServedModel.to(server, INFER).POST(HttpRequest.BodyPublishers.ofString(body)).build(),
              HttpResponse.BodyHandlers.ofByteArray()));
    }
    for (int i = 0; i < answers.size(); i++) {
      assertThat(answers.get(i).get().statusCode()).isEqualTo(i == 30 ? 400 : 200);
    }
    assertThat(sizes.stream().mapToInt(Integer::intValue).sum()).isEqualTo(59);
    assertThat(sizes).hasSizeLessThan(59);
    String metrics = new String(ServedModel.get(server, "/metrics").body(), StandardCharsets.UTF_8);
    assertThat(metrics)
        .contains(
            "outrigger_queue_rows", "outrigger_rows_total", "outrigger_requests_seconds_bucket");
  }

  @Test
  void aBundleIsExchangedWithoutADroppedRequestAndRolledBack() throws Exception {
    Path other = ServedModel.bundle(folder, 2);
    try (GuardServer busy = GuardServer.start(ServedModel.settings(), "cpu")) {
      busy.guards().load("digits", bundle);
      AtomicBoolean done = new AtomicBoolean();
      AtomicInteger good = new AtomicInteger();
      ConcurrentLinkedQueue<String> versions = new ConcurrentLinkedQueue<>();
      String body = ServedModel.request(ServedModel.rows(2), 2);
      List<CompletableFuture<Void>> clients = new ArrayList<>();
      for (int c = 0; c < 4; c++) {
        clients.add(
            CompletableFuture.runAsync(
                () -> {
                  while (!done.get()) {
                    try {
                      HttpResponse<byte[]> response = ServedModel.post(busy, INFER, body);
                      assertThat(response.statusCode()).isEqualTo(200);
                      versions.add((String) ServedModel.json(response).get("model_version"));
                      good.incrementAndGet();
                    } catch (Exception e) {
                      throw new AssertionError(e);
                    }
                  }
                }));
      }
      while (good.get() < 20) {
        Thread.onSpinWait();
      }
      for (int i = 0; i < 4; i++) {
        busy.guards().load("digits", i % 2 == 0 ? other : bundle);
        int before = good.get();
        while (good.get() < before + 10) {
          Thread.onSpinWait();
        }
      }
      assertThat(busy.guards().rollBack("digits")).isEqualTo("4");
      assertThatThrownBy(() -> busy.guards().rollBack("digits")).hasMessageContaining("no version");
      done.set(true);
      for (CompletableFuture<Void> client : clients) {
        client.get();
      }
      assertThat(versions).contains("1", "5");
      assertThat(ServedModel.post(busy, "/v2/repository/models/digits/load", "").statusCode())
          .isEqualTo(200);
      assertThatThrownBy(() -> busy.guards().load("digits", folder.resolve("nothing")))
          .isInstanceOf(OutriggerException.class);
      assertThat(ServedModel.post(busy, INFER, body).statusCode()).isEqualTo(200);
    }
  }

  @Test
  void aShadowSeesTheTrafficAndAnswersNobody() throws Exception {
    Path other = ServedModel.bundle(folder, 3);
    try (GuardServer watched = GuardServer.start(ServedModel.settings(), "cpu")) {
      watched.guards().load("digits", bundle);
      watched.guards().shadow("digits", other);
      ConcurrentLinkedQueue<String> seen = new ConcurrentLinkedQueue<>();
      watched.listen(batch -> seen.add(batch.version() + (batch.shadow() ? "s" : "")));
      HttpResponse<byte[]> response =
          ServedModel.post(watched, INFER, ServedModel.request(ServedModel.rows(2), 2));
      assertThat(ServedModel.json(response)).containsEntry("model_version", "1");
      for (int i = 0; i < 1000 && seen.size() < 2; i++) {
        Thread.sleep(5);
      }
      assertThat(seen).containsExactlyInAnyOrder("1", "2s");
    }
  }

  @Test
  void tooManyRowsAreRefusedWithATimeToComeBackAndNothingElseFails() throws Exception {
    ServerSettings small =
        ServedModel.settings().withBatching(1, Duration.ZERO).withLimits(2, 1 << 20, 8);
    try (GuardServer tight = GuardServer.start(small, "cpu")) {
      tight.guards().load("digits", bundle);
      String body = ServedModel.request(ServedModel.rows(8), 8);
      List<CompletableFuture<HttpResponse<byte[]>>> answers = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        answers.add(
            ServedModel.CLIENT.sendAsync(
                ServedModel.to(tight, INFER)
                    .POST(HttpRequest.BodyPublishers.ofString(body))
                    .build(),
                HttpResponse.BodyHandlers.ofByteArray()));
      }
      int refused = 0;
      for (CompletableFuture<HttpResponse<byte[]>> answer : answers) {
        HttpResponse<byte[]> response = answer.get();
        assertThat(response.statusCode()).isIn(200, 429);
        if (response.statusCode() == 429) {
          refused++;
          assertThat(response.headers().firstValue("Retry-After")).contains("1");
        }
      }
      assertThat(refused).isPositive();
    }
  }

  @Test
  void moreBytesThanTheHeapCanBearAreRefusedAndRoomIsGivenBack() throws Exception {
    String small = ServedModel.request(ServedModel.rows(1), 1);
    String large = ServedModel.request(ServedModel.rows(32), 32);
    try (GuardServer own =
        GuardServer.start(ServedModel.settings(), "cpu", new BodyBudget(small.length() + 10L))) {
      own.guards().load("digits", ServedModel.bundle(folder, 1));
      for (int i = 0; i < 3; i++) {
        HttpResponse<byte[]> refused = ServedModel.post(own, INFER, large);
        assertThat(refused.statusCode()).isEqualTo(429);
        assertThat(refused.headers().firstValue("Retry-After")).hasValue("1");
        assertThat(new String(refused.body(), StandardCharsets.UTF_8)).contains("Too many bytes");
        assertThat(ServedModel.post(own, INFER, small).statusCode()).isEqualTo(200);
        assertThat(ServedModel.post(own, INFER, small.replace("FP32", "FP99")).statusCode())
            .isEqualTo(400);
      }
      assertThat(unsized(own, small)).isEqualTo(200);
      assertThat(unsized(own, large)).isEqualTo(429);
      assertThat(unsized(own, small)).isEqualTo(200);
    }
  }

  /** The status of a body whose size is not told before it is read. */
  private static int unsized(GuardServer server, String body) throws Exception {
    HttpRequest request =
        ServedModel.to(server, INFER)
            .POST(
                HttpRequest.BodyPublishers.fromPublisher(HttpRequest.BodyPublishers.ofString(body)))
            .build();
    return ServedModel.CLIENT.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
  }

  @Test
  void aStopAnswersWhatWasAccepted() throws Exception {
    ServerSettings slow = ServedModel.settings().withBatching(64, Duration.ofSeconds(5));
    GuardServer stopping = GuardServer.start(slow, "cpu");
    stopping.guards().load("digits", bundle);
    CompletableFuture<HttpResponse<byte[]>> answer =
        ServedModel.CLIENT.sendAsync(
            ServedModel.to(stopping, INFER)
                .POST(
                    HttpRequest.BodyPublishers.ofString(
                        ServedModel.request(ServedModel.rows(2), 2)))
                .build(),
            HttpResponse.BodyHandlers.ofByteArray());
    while (stopping.guards().get("digits", null).waiting() == 0) {
      Thread.sleep(2);
    }
    stopping.close();
    assertThat(answer.get().statusCode()).isEqualTo(200);
  }

  @Test
  void tokensSayWhoMayAskAndOnlyTheirHashIsKept(@TempDir Path own) throws Exception {
    String reader = Tokens.generate();
    String admin = Tokens.generate();
    Path file = own.resolve("tokens");
    Files.write(
        file,
        List.of(
            "# tokens",
            Tokens.line("app", Tokens.Role.INFER, reader),
            Tokens.line("ops", Tokens.Role.ADMIN, admin)));
    assertThat(Files.readString(file)).doesNotContain(reader, admin);
    try (GuardServer closed = GuardServer.start(ServedModel.settings().withTokens(file), "cpu")) {
      closed.guards().load("digits", bundle);
      String body = ServedModel.request(ServedModel.rows(1), 1);
      assertThat(status(closed, INFER, body, null)).isEqualTo(401);
      assertThat(status(closed, INFER, body, "wrong")).isEqualTo(401);
      assertThat(status(closed, INFER, body, reader)).isEqualTo(200);
      assertThat(status(closed, "/v2/repository/models/digits/load", "", reader)).isEqualTo(403);
      assertThat(status(closed, "/v2/repository/models/digits/load", "", admin)).isEqualTo(200);
      assertThat(ServedModel.get(closed, "/metrics").statusCode()).isEqualTo(401);
      assertThat(ServedModel.get(closed, "/v2/health/live").statusCode()).isEqualTo(200);
    }
    Files.write(file, List.of("app infer 123"));
    assertThatThrownBy(() -> Tokens.read(file)).hasMessageContaining("Line 1");
  }

  private static int status(GuardServer to, String path, String body, String token)
      throws Exception {
    HttpRequest.Builder request =
        ServedModel.to(to, path).POST(HttpRequest.BodyPublishers.ofString(body));
    if (token != null) {
      request.header("Authorization", "Bearer " + token);
    }
    return ServedModel.CLIENT
        .send(request.build(), HttpResponse.BodyHandlers.ofByteArray())
        .statusCode();
  }

  @Test
  void aKeystoreMakesItHttpsAndNothingElse(@TempDir Path own) throws Exception {
    Path keystore = own.resolve("server.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "server",
                "-keyalg",
                "EC",
                "-dname",
                "CN=localhost",
                "-ext",
                "SAN=ip:127.0.0.1",
                "-storetype",
                "PKCS12",
                "-keystore",
                keystore.toString(),
                "-storepass",
                "secret-of-test")
            .redirectErrorStream(true)
            .start();
    keytool.getInputStream().readAllBytes();
    assertThat(keytool.waitFor()).isZero();
    KeyStore trusted = KeyStore.getInstance(keystore.toFile(), "secret-of-test".toCharArray());
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    try (GuardServer secure =
        GuardServer.start(ServedModel.settings().withTls(keystore, "secret-of-test"), "cpu")) {
      secure.guards().load("digits", bundle);
      HttpResponse<String> response =
          HttpClient.newBuilder()
              .sslContext(context)
              .build()
              .send(
                  HttpRequest.newBuilder(
                          URI.create("https://127.0.0.1:" + secure.port() + "/v2/models/digits"))
                      .build(),
                  HttpResponse.BodyHandlers.ofString());
      assertThat(response.statusCode()).isEqualTo(200);
      assertThatThrownBy(() -> ServedModel.get(secure, "/v2/models/digits"))
          .isInstanceOf(IOException.class);
    }
  }

  @Test
  void aPortInUseIsSaidSo() {
    ServerSettings same = ServerSettings.defaults().withAddress("127.0.0.1", server.port());
    assertThatThrownBy(() -> GuardServer.start(same, "cpu"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("--port");
  }
}
