package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HealthTest {
  private static String text(GuardServer server, String path) throws Exception {
    return new String(ServedModel.get(server, path).body(), StandardCharsets.UTF_8);
  }

  @Test
  void aGuardWhoseThreadEndedIsNotReadyAndWhatHasAProblemIsNamed(@TempDir Path folder)
      throws Exception {
    ServerPart ill =
        new ServerPart() {
          @Override
          public String name() {
            return "ill";
          }

          @Override
          public String problem() {
            return "It has a cold.";
          }
        };
    try (GuardServer server = GuardServer.start(ServedModel.settings(), "cpu", ill)) {
      assertThat(ServedModel.get(server, "/v2/health/ready").statusCode()).isEqualTo(503);
      server.guards().load("digits", ServedModel.bundle(folder, 1));
      assertThat(ServedModel.get(server, "/v2/health/ready").statusCode()).isEqualTo(200);
      assertThat(text(server, "/v2/status"))
          .contains("\"ill\":\"It has a cold.\"", "\"well\":false");
      Thread.getAllStackTraces().keySet().stream()
          .filter(thread -> thread.getName().equals("guard digits 1"))
          .forEach(Thread::interrupt);
      HttpResponse<byte[]> last =
          ServedModel.post(
              server, "/v2/models/digits/infer", ServedModel.request(ServedModel.rows(1), 1));
      assertThat(last.statusCode()).isIn(200, 503);
      for (int i = 0; i < 1000 && server.guards().get("digits", null).alive(); i++) {
        Thread.sleep(5);
      }
      assertThat(ServedModel.get(server, "/v2/health/ready").statusCode()).isEqualTo(503);
      assertThat(ServedModel.get(server, "/v2/models/digits/ready").statusCode()).isEqualTo(503);
      assertThat(ServedModel.get(server, "/v2/health/live").statusCode()).isEqualTo(200);
      assertThat(text(server, "/v2/status")).contains("guard digits");
    }
  }

  @Test
  void tracesGoOnAndOtherOriginsGetNothing() throws Exception {
    try (GuardServer server = GuardServer.start(ServedModel.settings(), "cpu")) {
      String id = "4bf92f3577b34da6a3ce929d0e0e4736";
      HttpResponse<byte[]> answer =
          ServedModel.CLIENT.send(
              ServedModel.to(server, "/v2")
                  .header("traceparent", "00-" + id + "-00f067aa0ba902b7-01")
                  .header("Origin", "https://elsewhere.example")
                  .build(),
              HttpResponse.BodyHandlers.ofByteArray());
      assertThat(answer.headers().firstValue("traceparent").orElse(""))
          .matches("00-" + id + "-[0-9a-f]{16}-01")
          .doesNotContain("00f067aa0ba902b7");
      HttpResponse<byte[]> preflight =
          ServedModel.CLIENT.send(
              ServedModel.to(server, "/v2")
                  .header("Origin", "https://elsewhere.example")
                  .header("Access-Control-Request-Method", "POST")
                  .method("OPTIONS", HttpRequest.BodyPublishers.noBody())
                  .build(),
              HttpResponse.BodyHandlers.ofByteArray());
      assertThat(preflight.statusCode()).isBetween(400, 499);
      for (String origin : List.of("https://elsewhere.example", "null")) {
        assertThat(posted(server, origin).statusCode()).isEqualTo(403);
      }
      assertThat(posted(server, "http://127.0.0.1:" + server.port()).statusCode()).isEqualTo(200);
      for (Map<String, ?> headers : List.of(answer.headers().map(), preflight.headers().map())) {
        assertThat(headers.keySet())
            .noneMatch(name -> name.toLowerCase(Locale.ROOT).startsWith("access-control"));
      }
    }
  }

  private static HttpResponse<byte[]> posted(GuardServer server, String origin) throws Exception {
    return ServedModel.CLIENT.send(
        ServedModel.to(server, "/v2/repository/index")
            .header("Origin", origin)
            .POST(HttpRequest.BodyPublishers.noBody())
            .build(),
        HttpResponse.BodyHandlers.ofByteArray());
  }
}
