package org.outrigger.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.client.StubServer.Reply;
import tools.jackson.databind.JsonNode;

class GuardClientTest {
  private static final float[][] ROW = {{1, 2}};

  /** Verdicts in JSON: row i is of class i mod 2, and unknown if odd. */
  private static Reply verdicts(int n) {
    StringBuilder label = new StringBuilder();
    StringBuilder names = new StringBuilder();
    StringBuilder numbers = new StringBuilder();
    StringBuilder unknown = new StringBuilder();
    for (int i = 0; i < n; i++) {
      String comma = i == 0 ? "" : ",";
      label.append(comma).append(i % 2);
      names.append(comma).append(i % 2 == 0 ? "\"a\"" : "\"b\"");
      numbers.append(comma).append("0.5");
      unknown.append(comma).append(i % 2 == 1);
    }
    return Reply.json(
        200,
        "{\"outputs\": ["
            + output("label", "INT64", n, label)
            + ","
            + output("class_name", "BYTES", n, names)
            + ","
            + output("probability", "FP64", n, numbers)
            + ","
            + output("score", "FP64", n, numbers)
            + ","
            + output("unknown", "BOOL", n, unknown)
            + ","
            + output("detector", "BYTES", n, names)
            + "]}");
  }

  private static String output(String name, String type, int n, CharSequence data) {
    return "{\"name\": \"%s\", \"datatype\": \"%s\", \"shape\": [%d], \"data\": [%s]}"
        .formatted(name, type, n, data);
  }

  private static JsonNode head(StubServer.Seen request) {
    String length = request.header("Inference-header-content-length");
    return Answer.object(
        request.body(), length == null ? request.body().length : Integer.parseInt(length));
  }

  @Test
  void sendsBinaryTensorsUnlessToldOtherwise() throws Exception {
    try (StubServer server = new StubServer(request -> verdicts(1))) {
      List<Verdict> verdicts = server.client().build().check(ROW);
      assertThat(verdicts)
          .containsExactly(
              new Verdict(verdicts.get(0).requestId(), 0, 0, "a", 0.5, 0.5, false, "a", null));
      StubServer.Seen request = server.asked().get(0);
      JsonNode head = head(request);
      assertThat(head.path("inputs").path(0).path("shape").toString()).isEqualTo("[1,2]");
      assertThat(head.path("id").asString()).isEqualTo(verdicts.get(0).requestId());
      int json = Integer.parseInt(request.header("Inference-header-content-length"));
      ByteBuffer tail =
          ByteBuffer.wrap(request.body(), json, request.body().length - json)
              .order(ByteOrder.LITTLE_ENDIAN);
      assertThat(tail.getFloat()).isEqualTo(1);
      assertThat(tail.getFloat()).isEqualTo(2);
      assertThat(tail.hasRemaining()).isFalse();
      server.client().json().build().check(ROW);
      assertThat(head(server.asked().get(1)).path("inputs").path(0).path("data").toString())
          .isEqualTo("[1.0,2.0]");
    }
  }

  @Test
  void readsBinaryOutputsAndLabelSets() throws Exception {
    ByteBuffer tail = ByteBuffer.allocate(100).order(ByteOrder.LITTLE_ENDIAN);
    tail.putLong(1).putInt(1).put((byte) 'b').putDouble(0.75).putDouble(-3).put((byte) 1);
    tail.putInt(2).put("de".getBytes(StandardCharsets.UTF_8)).put((byte) 0).put((byte) 1);
    String head =
        "{\"outputs\": ["
            + String.join(
                ",",
                binary("label", "INT64", "[1]", 8),
                binary("class_name", "BYTES", "[1]", 5),
                binary("probability", "FP64", "[1]", 8),
                binary("score", "FP64", "[1]", 8),
                binary("unknown", "BOOL", "[1]", 1),
                binary("detector", "BYTES", "[1]", 6),
                binary("label_set", "BOOL", "[1, 2]", 2))
            + "]}";
    byte[] json = head.getBytes(StandardCharsets.UTF_8);
    ByteBuffer body = ByteBuffer.allocate(json.length + tail.position()).put(json);
    body.put(tail.array(), 0, tail.position());
    Map<String, String> length =
        Map.of("Inference-Header-Content-Length", Integer.toString(json.length));
    try (StubServer server = new StubServer(r -> new Reply(200, length, body.array()))) {
      CheckOptions named = CheckOptions.none().withId("mine");
      assertThat(server.client().build().check(named, ROW))
          .containsExactly(new Verdict("mine", 0, 1, "b", 0.75, -3, true, "de", List.of(1)));
    }
  }

  private static String binary(String name, String type, String shape, int bytes) {
    return "{\"name\": \"%s\", \"datatype\": \"%s\", \"shape\": %s, \"parameters\": {\"binary_data_size\": %d}}"
        .formatted(name, type, shape, bytes);
  }

  @Test
  void splitsWhatTheServerDoesNotTakeAtOnce() throws Exception {
    try (StubServer server =
        new StubServer(
            request ->
                verdicts(head(request).path("inputs").path(0).path("shape").path(0).asInt()))) {
      List<Verdict> verdicts =
          server.client().build().check(CheckOptions.none().withId("big"), new float[20], 10, 2);
      assertThat(verdicts).hasSize(10);
      assertThat(server.asked()).hasSize(3);
      assertThat(verdicts.get(9))
          .extracting(Verdict::requestId, Verdict::row)
          .containsExactly("big/3", 1);
      assertThat(server.client().build().check(new float[0][])).isEmpty();
    }
  }

  @Test
  void comesBackWhenToldToAndGivesUpInTheEnd() throws Exception {
    AtomicInteger tries = new AtomicInteger();
    try (StubServer server =
        new StubServer(
            request ->
                tries.incrementAndGet() < 3
                    ? new Reply(
                        tries.get() == 1 ? 429 : 503, Map.of("Retry-After", "0"), new byte[0])
                    : verdicts(1))) {
      Retries quick = new Retries(2, Duration.ofMillis(1), Duration.ofSeconds(2));
      assertThat(server.client().retries(quick).build().check(ROW)).hasSize(1);
      assertThat(tries).hasValue(3);
      tries.set(-10);
      GuardClientException busy =
          catchThrowableOfType(
              GuardClientException.class, () -> server.client().retries(quick).build().check(ROW));
      assertThat(busy.status()).isIn(429, 503);
      assertThat(busy).hasMessageContaining("3 tries");
      assertThat(tries).hasValue(-7);
    }
  }

  @Test
  void waitsAsLongAsTheServerAsksButNotForever() {
    Retries retries = new Retries(3, Duration.ofMillis(100), Duration.ofSeconds(4));
    assertThat(retries.wait(0, 0, 0)).isEqualTo(50);
    assertThat(retries.wait(1, 0, 0.999999)).isBetween(199L, 200L);
    assertThat(retries.wait(0, 2, 0)).isBetween(2000L, 2100L);
    assertThat(retries.wait(0, 4, 0.5)).isEqualTo(4000);
    assertThat(retries.wait(0, 5, 0)).isEqualTo(-1);
    assertThat(retries.wait(3, 0, 0)).isEqualTo(-1);
    assertThat(Retries.none().wait(0, 0, 0)).isEqualTo(-1);
  }

  @Test
  void exchangingAGuardIsNotRepeated() throws Exception {
    try (StubServer server = new StubServer(request -> Reply.json(503, "{}"))) {
      assertThatThrownBy(() -> server.client().build().rollBack())
          .isInstanceOf(GuardClientException.class);
      assertThat(server.seen).hasSize(1);
    }
  }

  @Test
  void sendsTokenTraceAndStream() throws Exception {
    try (StubServer server = new StubServer(request -> verdicts(1))) {
      GuardClient client = server.client().token("secret").traceparent(() -> "00-aa-bb-01").build();
      client.check(CheckOptions.none().withStream("camera 1"), ROW);
      StubServer.Seen request = server.asked().get(0);
      assertThat(request.header("Authorization")).isEqualTo("Bearer secret");
      assertThat(request.header("Traceparent")).isEqualTo("00-aa-bb-01");
      assertThat(head(request).path("parameters").path("stream").asString()).isEqualTo("camera 1");
    }
    assertThatThrownBy(() -> GuardClient.of(URI.create("http://h")).token("a\nb"))
        .hasMessageNotContaining("a\nb");
  }

  @Test
  void labelsAreSentAsTheServerTakesThem() throws Exception {
    try (StubServer server = new StubServer(request -> Reply.json(200, "{}"))) {
      server.client().build().label("r1", 2, 1);
      assertThat(server.seen.get(0).path()).isEqualTo("/v2/models/m/labels");
      assertThat(Answer.JSON.readTree(server.seen.get(0).text()))
          .isEqualTo(Answer.JSON.readTree("{\"labels\":[{\"id\":\"r1\",\"row\":2,\"label\":1}]}"));
    }
  }

  @Test
  void aServerThatIsSlowOrTricklesIsCutOff() throws Exception {
    try (StubServer server =
        new StubServer(
            request -> {
              Thread.sleep(5_000);
              return verdicts(1);
            })) {
      GuardClient client = server.client().timeout(Duration.ofMillis(300)).build();
      assertThatThrownBy(() -> client.check(ROW)).hasMessageStartingWith("No answer within 300 ms");
    }
  }

  @Test
  void anAnswerThatIsTooLargeIsNotRead() throws Exception {
    try (StubServer server =
        new StubServer(request -> new Reply(200, Map.of(), new byte[100_000]))) {
      assertThatThrownBy(() -> server.client().maxAnswerBytes(20_000).build().check(ROW))
          .hasMessageStartingWith("The answer is larger than 20000 bytes");
    }
  }

  @Test
  void nobodyThereIsSaidSo() {
    GuardClient client =
        GuardClient.of(URI.create("http://127.0.0.1:1")).retries(Retries.none()).build();
    assertThatThrownBy(client::models)
        .isInstanceOf(GuardClientException.class)
        .hasMessageStartingWith("Nothing answers at http://127.0.0.1:1");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "no json",
        "[]",
        "{}",
        "{\"outputs\": 3}",
        "{\"outputs\": [{\"name\": \"label\", \"datatype\": \"INT64\", \"shape\": [2000000000], \"data\": []}]}",
        "{\"outputs\": [{\"name\": \"label\", \"datatype\": \"INT64\", \"shape\": [1], \"data\": [1, 2]}]}",
        "{\"outputs\": [{\"name\": \"label\", \"datatype\": \"INT64\", \"shape\": [1], \"data\": [-5]}]}",
        "{\"outputs\": [{\"name\": \"label\", \"datatype\": \"BOOL\", \"shape\": [1], \"data\": [true]}]}",
        "{\"outputs\": [{\"name\": \"x\", \"shape\": [1], \"parameters\": {\"binary_data_size\": 2000000000}}]}",
        "{\"outputs\": [{\"name\": \"x\", \"shape\": [1, 2000000000], \"data\": []}]}",
        "{\"outputs\": [{\"name\": \"x\", \"shape\": [1], \"data\": [1]}, {\"name\": \"x\", \"shape\": [1], \"data\": [1]}]}"
      })
  void anAnswerThatCannotBeIsRefused(String body) throws Exception {
    try (StubServer server = new StubServer(request -> Reply.json(200, body))) {
      assertThatThrownBy(() -> server.client().build().check(ROW))
          .isInstanceOf(GuardClientException.class);
    }
  }

  @Test
  void aTextThatClaimsMoreBytesThanThereAreIsRefused() {
    byte[] head =
        ("{\"outputs\": [" + binary("class_name", "BYTES", "[1]", 4) + "]}")
            .getBytes(StandardCharsets.UTF_8);
    byte[] body = ByteBuffer.allocate(head.length + 4).put(head).putInt(0x7fffffff).array();
    Answer answer = new Answer(body, Integer.toString(head.length), 1);
    assertThatThrownBy(() -> answer.texts("class_name")).hasMessageContaining("ends within a text");
    assertThatThrownBy(() -> new Answer(body, "999999", 1)).hasMessageContaining("header length");
    assertThatThrownBy(() -> new Answer(body, "-1", 1)).hasMessageContaining("header length");
  }

  @Test
  void refusalsSayWhatToDoAndWhatTheServerSaid() throws Exception {
    try (StubServer server =
        new StubServer(request -> Reply.json(401, "{\"error\": \"A token\\nis needed.\"}"))) {
      assertThatThrownBy(() -> server.client().build().check(ROW))
          .hasMessageContaining("token(...)")
          .hasMessageContaining("It says: A token is needed.");
    }
  }

  @Test
  void badInputIsRefusedBeforeItIsSent() throws Exception {
    try (StubServer server = new StubServer(request -> verdicts(1))) {
      GuardClient client = server.client().build();
      assertThatThrownBy(() -> client.check(new float[][] {{1, Float.NaN}}))
          .hasMessageContaining("Row 0 holds NaN");
      assertThatThrownBy(() -> client.check(new float[][] {{1, 2}, {1}}))
          .hasMessageContaining("Row 1 has 1 values");
      assertThatThrownBy(() -> client.check(new float[3], 2, 2)).hasMessageContaining("[2, 2]");
      assertThatThrownBy(() -> client.check(new float[3], 1L << 40, 1L << 40))
          .hasMessageContaining("shape");
      assertThat(server.asked()).isEmpty();
      assertThatThrownBy(() -> CheckOptions.none().withId(" x")).hasMessageContaining("id");
      assertThatThrownBy(() -> GuardClient.of(URI.create("file:///x")))
          .hasMessageContaining("http");
      assertThatThrownBy(() -> GuardClient.of(URI.create("http://h")).model("../x"))
          .hasMessageContaining("name");
      assertThatThrownBy(
              () -> GuardClient.of(URI.create("https://h")).trustStore(Path.of("none"), "x"))
          .hasMessageContaining("trust store");
    }
  }
}
