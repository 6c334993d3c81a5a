package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.store.EventStore;
import org.outrigger.serve.store.StoreSettings;

class EventStoreServerTest {
  private static final String MODEL = "/v2/models/digits";

  @TempDir private static Path folder;
  private static GuardServer server;
  private static StoreSettings settings;
  private static final List<LabelledRow> HEARD = Collections.synchronizedList(new ArrayList<>());

  /** Hears of labels, as drift monitors do. */
  private static final class Listener implements ServerPart {
    @Override
    public String name() {
      return "listener";
    }

    @Override
    public void labelled(String guard, List<LabelledRow> rows) {
      assertThat(guard).isEqualTo("digits");
      HEARD.addAll(rows);
    }
  }

  @BeforeAll
  static void start() {
    settings =
        StoreSettings.file(folder.resolve("state").resolve("events.duckdb"))
            .withFlush(Duration.ofMillis(50), 5_000);
    server =
        GuardServer.start(ServedModel.settings(), "cpu", new EventStore(settings), new Listener());
    server.guards().load("digits", ServedModel.bundle(folder, 1));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static List<Object> infer(String id, int rows) throws Exception {
    String body =
        ServedModel.request(ServedModel.rows(rows), rows)
            .replace("\"id\":\"r1\"", "\"id\":\"" + id + "\"");
    HttpResponse<byte[]> response = ServedModel.post(server, MODEL + "/infer", body);
    assertThat(response.statusCode()).isEqualTo(200);
    for (Object output : list(ServedModel.json(response), "outputs")) {
      Map<String, Object> tensor = map(output);
      if ("label".equals(tensor.get("name"))) {
        return list(tensor, "data");
      }
    }
    throw new AssertionError("There are no labels");
  }

  @SuppressWarnings("unchecked")
  private static List<Object> list(Map<String, Object> json, String key) {
    return (List<Object>) json.get(key);
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> map(Object json) {
    return (Map<String, Object>) json;
  }

  private static Map<String, Object> get(String path) throws Exception {
    HttpResponse<byte[]> response = ServedModel.get(server, path);
    assertThat(response.statusCode())
        .as(new String(response.body(), StandardCharsets.UTF_8))
        .isEqualTo(200);
    return ServedModel.json(response);
  }

  @Test
  void labelsThatComeLaterGiveLiveQuality() throws Exception {
    List<Object> predicted = infer("live", 10);
    StringBuilder labels = new StringBuilder();
    for (int row = 0; row < 10; row++) {
      int said = ((Number) predicted.get(row)).intValue();
      labels
          .append("{\"id\": \"live\", \"row\": " + row + ", \"label\": ")
          .append(row < 8 ? said : (said + 1) % 10)
          .append("},");
    }
    HttpResponse<byte[]> response =
        ServedModel.post(
            server,
            MODEL + "/labels",
            "{\"labels\": [" + labels + "{\"id\": \"never\", \"label\": 1}]}");
    assertThat(response.statusCode()).isEqualTo(200);
    Map<String, Object> answer = ServedModel.json(response);
    assertThat(answer).containsEntry("matched", 10).containsEntry("waiting", 1);
    assertThat(map(list(answer, "labels").get(10)))
        .containsEntry("id", "never")
        .containsEntry("state", "waiting");
    assertThat(HEARD).hasSize(10);
    assertThat(HEARD.stream().filter(LabelledRow::correct)).hasSize(8);
    Map<String, Object> quality = get(MODEL + "/quality?hours=24");
    assertThat(quality).containsEntry("labelled", 10).containsEntry("accuracy", 0.8);
    assertThat((double) quality.get("ece")).isBetween(0.0, 1.0);
    assertThat(list(quality, "bins")).hasSize(15);
    assertThat(list(quality, "versions")).hasSize(1);
    Map<String, Object> status = Map.of();
    for (int i = 0; i < 400 && !Integer.valueOf(10).equals(status.get("labelled")); i++) {
      Thread.sleep(50);
      Map<String, Object> all = get("/v2/status");
      assertThat(all).containsEntry("well", true);
      status = map(map(map(all.get("guards")).get("digits")).get("store"));
    }
    assertThat(status)
        .containsEntry("labelled", 10)
        .containsEntry("accuracy", 0.8)
        .containsEntry("dropped", 0)
        .containsKeys("ece", "bins", "rows", "lastFlush", "url");
    String metrics = new String(ServedModel.get(server, "/metrics").body(), StandardCharsets.UTF_8);
    assertThat(metrics)
        .contains(
            "outrigger_store_rows_total",
            "outrigger_store_dropped_total 0.0",
            "outrigger_labels_total{guard=\"digits\",state=\"matched\"}");
  }

  @Test
  void eventsAndHistoryCanBeAsked() throws Exception {
    infer("asked", 3);
    Map<String, Object> events = Map.of();
    for (int i = 0; i < 200; i++) {
      events = get(MODEL + "/events?limit=1000");
      if (list(events, "events").stream().anyMatch(e -> "asked".equals(map(e).get("id")))) {
        break;
      }
      Thread.sleep(20);
    }
    assertThat(list(events, "events").stream().filter(e -> "asked".equals(map(e).get("id"))))
        .hasSize(3)
        .allSatisfy(
            e -> assertThat(map(e)).containsKeys("at", "predicted", "probability", "latencyMs"));
    Map<String, Object> first = get(MODEL + "/events?limit=2");
    Map<String, Object> second = get(MODEL + "/events?limit=1&page=" + first.get("next"));
    assertThat(list(first, "events"))
        .hasSize(2)
        .doesNotContainAnyElementsOf(list(second, "events"));
    assertThat(list(get(MODEL + "/events?to=2001-01-01T00:00:00Z"), "events")).isEmpty();
    Map<String, Object> history = get("/v2/history?kind=loaded");
    assertThat(map(list(history, "events").get(0)))
        .containsEntry("kind", "LOADED")
        .containsEntry("guard", "digits");
    assertThat(list(get("/v2/history?kind=drift"), "events")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/v2/models/digits/quality?hours=-1",
        "/v2/models/digits/quality?hours=NaN",
        "/v2/models/digits/quality?hours=999999",
        "/v2/models/digits/events?limit=0",
        "/v2/models/digits/events?limit=100000",
        "/v2/models/digits/events?from=yesterday",
        "/v2/models/digits/events?from=-999999999-01-01T00:00:00Z",
        "/v2/models/digits/events?page=1",
        "/v2/models/digits/events?page=999999999999999999-1",
        "/v2/history?kind=%27%20OR%201=1--",
      })
  void questionsThatAreNoneAreRefused(String path) throws Exception {
    HttpResponse<byte[]> response = ServedModel.get(server, path);
    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(ServedModel.json(response)).containsKey("error");
  }

  @Test
  void whatIsHostileStaysAValue() throws Exception {
    assertThat(list(get("/v2/history?guard=x%27%3B%20DROP%20TABLE%20events%3B%20--"), "events"))
        .isEmpty();
    assertThat(ServedModel.get(server, "/v2/models/nothing/quality").statusCode()).isEqualTo(404);
    assertThat(ServedModel.post(server, "/v2/models/nothing/labels", "{}").statusCode())
        .isEqualTo(404);
    assertThat(ServedModel.post(server, MODEL + "/labels", "{").statusCode()).isEqualTo(400);
    assertThat(ServedModel.post(server, MODEL + "/labels", new byte[5 << 20]).statusCode())
        .isEqualTo(413);
    infer("still'; DROP TABLE labels", 1);
    assertThat(get(MODEL + "/events")).containsKey("events");
  }

  @Test
  void aStoreThatCannotStartStopsTheServer() {
    assertThatThrownBy(
            () ->
                GuardServer.start(
                    ServedModel.settings(),
                    "cpu",
                    new EventStore(StoreSettings.at("jdbc:postgresql://localhost:1/none"))))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cannot be reached");
  }
}
