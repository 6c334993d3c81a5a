package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

/** What a server's log says, in a process of its own as the log is set up for a whole process. */
class ServeLogTest {
  private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
  private static final String BODY =
      "{\"id\":\"seen-1\",\"inputs\":[{\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[1,4],"
          + "\"data\":[5.1,3.5,1.4,0.2]}]}";

  @TempDir private Path folder;

  /** Serves, asks once well and once badly, stops it, and gives the log's lines. */
  private List<String> log(String... options) throws Exception {
    Path log = folder.resolve("log");
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "serve",
                "--guard",
                "flowers=" + Samples.FLOWER_GUARD,
                "--port",
                "0",
                "--store",
                "none",
                "--data-dir",
                folder.resolve("data").toString()));
    command.addAll(Arrays.asList(options));
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(log.toFile());
    builder.environment().put("OMP_NUM_THREADS", "1");
    Process process = builder.start();
    try (BufferedReader out = process.inputReader()) {
      String line = out.readLine();
      assertThat(line).as(Files.readString(log)).startsWith("Serving flowers at ");
      URI infer = URI.create(line.substring(line.indexOf("http")) + "/infer");
      assertThat(ask(infer, BODY)).isEqualTo(200);
      assertThat(ask(infer, "{}")).isEqualTo(400);
      process.destroy();
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    return Files.readAllLines(log);
  }

  private static int ask(URI target, String body) throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(target)
            .header("traceparent", "00-" + TRACE + "-00f067aa0ba902b7-01")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    return HttpClient.newHttpClient()
        .send(request, HttpResponse.BodyHandlers.discarding())
        .statusCode();
  }

  @Test
  void jsonIsAnObjectALineWithTheRequestItsTraceAndItsAnswer() throws Exception {
    List<Map<String, Object>> lines =
        log("--log-format", "json").stream().map(line -> Json.object("a line", line)).toList();
    List<Map<String, Object>> access =
        lines.stream()
            .filter(line -> "org.outrigger.access".equals(line.get("loggerName")))
            .toList();
    assertThat(access).hasSize(2);
    assertThat(access.get(0).get("formattedMessage"))
        .asString()
        .matches("POST /v2/models/flowers/infer 200 [0-9.]+ ms, rows: 1");
    assertThat((Map<?, ?>) access.get(0).get("mdc"))
        .satisfies(
            mdc -> {
              assertThat(mdc.get("request_id")).isEqualTo("seen-1");
              assertThat(mdc.get("trace_id")).isEqualTo(TRACE);
            });
    assertThat(access.get(1).get("formattedMessage"))
        .asString()
        .startsWith("POST /v2/models/flowers/infer 400 ");
    assertThat((Map<?, ?>) access.get(1).get("mdc"))
        .satisfies(mdc -> assertThat(mdc.get("request_id")).isNull());
    assertThat(lines).anyMatch(line -> String.valueOf(line.get("kvpList")).contains("LOADED"));
  }

  @Test
  void textIsQuietUnlessRequestsAreAskedFor() throws Exception {
    assertThat(log()).noneMatch(line -> line.contains("/infer"));
    assertThat(log("--access-log").stream().filter(line -> line.contains("/infer")).toList())
        .hasSize(2)
        .first()
        .asString()
        .contains("POST /v2/models/flowers/infer 200");
  }

  @Test
  void anUnknownFormatIsRefused() {
    Shell.run("serve", "--guard", Samples.FLOWER_GUARD, "--log-format", "xml")
        .refused("--log-format", "xml");
  }
}
