package org.outrigger.serve.dashboard;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.ServedModel;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.ServerSettings;
import org.outrigger.serve.Tokens;

class DashboardTest {
  @TempDir private static Path folder;
  private static Path bundle;
  private static GuardServer server;
  private static Dashboard dashboard;

  private static final class Told implements ServerPart {
    @Override
    public String name() {
      return "store";
    }

    @Override
    public String problem() {
      return "The disk is full.";
    }

    @Override
    public Map<String, Object> status(String guard) {
      return Map.of("labelled", 3, "accuracy", 0.5);
    }
  }

  @BeforeAll
  static void start() {
    bundle = ServedModel.bundle(folder, 1);
    dashboard = new Dashboard(DashboardSettings.defaults().withInputs(true));
    server = GuardServer.start(ServedModel.settings(), "cpu", dashboard, new Told());
    server.guards().load("digits", bundle);
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static void infer(GuardServer to, int rows) throws Exception {
    HttpResponse<byte[]> answer =
        ServedModel.post(
            to, "/v2/models/digits/infer", ServedModel.request(ServedModel.rows(rows), rows));
    assertThat(answer.statusCode()).isEqualTo(200);
  }

  /** What is written as soon as the answer is sent may be counted a moment later. */
  private static Map<String, Object> snapshot(GuardServer of, int rows) throws Exception {
    Map<String, Object> json = Map.of();
    for (int i = 0; i < 100; i++) {
      json = ServedModel.json(ServedModel.get(of, "/api/dashboard?guard=digits&range=1h"));
      if (((Number) at(json, "guard", "total", "rows")).intValue() >= rows) {
        return json;
      }
      Thread.sleep(50);
    }
    return json;
  }

  private static Object at(Object json, String... path) {
    Object value = json;
    for (String key : path) {
      value = ((Map<?, ?>) value).get(key);
    }
    return value;
  }

  private static String header(HttpResponse<?> response, String name) {
    return response.headers().firstValue(name).orElse("");
  }

  private static String page(GuardServer of) throws Exception {
    return new String(ServedModel.get(of, "/").body(), StandardCharsets.UTF_8);
  }

  @Test
  void thePageAndItsFilesLoadNothingFromElsewhere() throws Exception {
    HttpResponse<byte[]> page = ServedModel.get(server, "/");
    String html = new String(page.body(), StandardCharsets.UTF_8);
    assertThat(page.statusCode()).isEqualTo(200);
    assertThat(header(page, "Content-Type")).startsWith("text/html");
    assertThat(header(page, "Content-Security-Policy"))
        .contains("default-src 'none'", "script-src 'self'", "style-src 'self'")
        .doesNotContain("unsafe", "http");
    assertThat(header(page, "X-Frame-Options")).isEqualTo("DENY");
    assertThat(html).doesNotContain("http", "{{", "<style", "style=", "onclick", "<script>");
    Matcher files = Pattern.compile("(?:src|href)=\"(assets/[^\"]+)\"").matcher(html);
    int found = 0;
    while (files.find()) {
      found++;
      HttpResponse<byte[]> file = ServedModel.get(server, "/" + files.group(1));
      assertThat(file.statusCode()).as(files.group(1)).isEqualTo(200);
      assertThat(header(file, "Cache-Control")).contains("immutable");
      assertThat(header(file, "X-Content-Type-Options")).isEqualTo("nosniff");
    }
    assertThat(found).isGreaterThan(4);
  }

  @Test
  void allModulesThatThePageImportsAreThere() throws Exception {
    String assets = page(server).replaceAll("(?s).*\"(assets/[0-9a-f]+)/app.js.*", "$1");
    List<String> open = new ArrayList<>(List.of("app.js"));
    for (int i = 0; i < open.size(); i++) {
      HttpResponse<byte[]> file = ServedModel.get(server, "/" + assets + "/" + open.get(i));
      assertThat(file.statusCode()).as(open.get(i)).isEqualTo(200);
      assertThat(header(file, "Content-Type")).startsWith("text/javascript");
      String source = new String(file.body(), StandardCharsets.UTF_8);
      assertThat(source)
          .doesNotContain("innerHTML", "insertAdjacentHTML", "eval(", "document.write");
      Matcher imports = Pattern.compile("from \"\\./([a-z]+\\.js)\"").matcher(source);
      while (imports.find()) {
        if (!open.contains(imports.group(1))) {
          open.add(imports.group(1));
        }
      }
    }
    assertThat(open).hasSizeGreaterThan(9);
  }

  @Test
  void nothingElseOfTheClassPathIsServed() throws Exception {
    String hash = page(server).replaceAll("(?s).*assets/([0-9a-f]+)/app.js.*", "$1");
    for (String path :
        List.of(
            "/assets/" + hash + "/index.html",
            "/assets/" + hash + "/Dashboard.class",
            "/assets/" + hash + "/..%2fDashboard.class",
            "/assets/" + hash + "/%2e%2e/app.js",
            "/assets/" + hash + "/..%5capp.js",
            "/assets/" + hash + "//etc/passwd",
            "/assets/0000000000000000/app.js",
            "/assets/" + hash + "/",
            "/assets/../v2/status",
            "/assets")) {
      String answer =
          raw(server.port(), "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      assertThat(answer).as(path).containsPattern("^HTTP/1.1 4\\d\\d");
    }
  }

  private static String raw(int port, String request) throws Exception {
    try (Socket socket = new Socket("127.0.0.1", port)) {
      socket.setSoTimeout(10_000);
      socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
      return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  @Test
  void theStateTellsTrafficScoresClassesAndWhatOtherPartsKnow() throws Exception {
    infer(server, 80);
    Map<String, Object> json = snapshot(server, 80);
    assertThat(at(json, "server", "problems")).isEqualTo(Map.of("store", "The disk is full."));
    assertThat(at(json, "server", "admin")).isEqualTo(true);
    assertThat(at(json, "guard", "parts", "store", "labelled")).isEqualTo(3);
    assertThat((List<?>) at(json, "guard", "series", "times")).hasSize(120);
    assertThat(((Map<?, ?>) at(json, "guard", "total", "statuses")).keySet().toString())
        .isEqualTo("[200]");
    List<?> shares = (List<?>) at(json, "guard", "scores", "live");
    assertThat(shares.stream().mapToDouble(share -> ((Number) share).doubleValue()).sum())
        .isCloseTo(1, org.assertj.core.api.Assertions.within(1e-3));
    shares = (List<?>) at(json, "guard", "classes", "live");
    assertThat(shares).hasSize(11);
    assertThat(ServedModel.get(server, "/api/dashboard?range=9h").statusCode()).isEqualTo(400);
    assertThat(
            at(
                ServedModel.json(ServedModel.get(server, "/api/dashboard?guard=%3Cb%3E")),
                "guard",
                "name"))
        .isEqualTo("digits");
  }

  @Test
  void unknownInputsAreShownByTheirKey() throws Exception {
    float[] strange = new float[640];
    for (int i = 0; i < strange.length; i++) {
      strange[i] = (i * 37 % 64) / 2f - 16;
    }
    ServedModel.post(server, "/v2/models/digits/infer", ServedModel.request(strange, 10));
    List<?> top = List.of();
    for (int i = 0; i < 100 && top.isEmpty(); i++) {
      Thread.sleep(50);
      top = (List<?>) at(snapshot(server, 0), "guard", "top");
    }
    assertThat(top).isNotEmpty();
    assertThat(at(top.get(0), "kept")).isEqualTo("picture");
    Map<String, Object> picture =
        ServedModel.json(
            ServedModel.get(server, "/api/dashboard/inputs/digits/" + at(top.get(0), "key")));
    assertThat(picture)
        .containsEntry("width", 8)
        .containsEntry("channels", 1)
        .containsKey("pixels");
    for (String wrong : List.of("digits/999999", "digits/x", "nothing/1", "digits/-1")) {
      assertThat(ServedModel.get(server, "/api/dashboard/inputs/" + wrong).statusCode())
          .isEqualTo(404);
    }
  }

  @Test
  void theDataTakesATokenAndThePageDoesNot() throws Exception {
    String infer = Tokens.generate();
    String admin = Tokens.generate();
    Path tokens = folder.resolve("tokens.txt");
    Files.write(
        tokens,
        List.of(
            Tokens.line("a", Tokens.Role.INFER, infer),
            Tokens.line("b", Tokens.Role.ADMIN, admin)));
    try (GuardServer guarded =
        GuardServer.start(
            ServedModel.settings().withTokens(tokens),
            "cpu",
            new Dashboard(DashboardSettings.defaults()))) {
      guarded.guards().load("digits", bundle);
      String app = page(guarded).replaceAll("(?s).*\"(assets/[0-9a-f]+/app.js)\".*", "/$1");
      assertThat(ServedModel.get(guarded, app).statusCode()).isEqualTo(200);
      for (String path :
          List.of(
              "/api/dashboard",
              "/api/dashboard/stream",
              "/api/dashboard/inputs/digits/1",
              "/assets/x/app.js",
              "/v2/status")) {
        assertThat(ServedModel.get(guarded, path).statusCode()).as(path).isEqualTo(401);
      }
      assertThat(at(asked(guarded, infer), "server", "admin")).isEqualTo(false);
      assertThat(at(asked(guarded, admin), "server", "admin")).isEqualTo(true);
    }
  }

  private static Map<String, Object> asked(GuardServer of, String token) throws Exception {
    return ServedModel.json(
        ServedModel.CLIENT.send(
            ServedModel.to(of, "/api/dashboard").header("Authorization", "Bearer " + token).build(),
            HttpResponse.BodyHandlers.ofByteArray()));
  }

  private static HttpResponse<InputStream> stream(GuardServer of) throws Exception {
    HttpRequest request =
        ServedModel.to(of, "/api/dashboard/stream").header("Accept", "text/event-stream").build();
    return ServedModel.CLIENT.send(request, HttpResponse.BodyHandlers.ofInputStream());
  }

  private static Map<String, Object> next(BufferedReader lines) throws Exception {
    while (true) {
      String line = lines.readLine();
      assertThat(line).as("the stream goes on").isNotNull();
      if (line.startsWith("data:")) {
        return Json.object("event", line.substring(5));
      }
    }
  }

  @Test
  void newsComesAtOnceOnTheStreamAndAStopDoesNotWaitForIt() throws Exception {
    Dashboard slow =
        new Dashboard(DashboardSettings.defaults().withInterval(Duration.ofMinutes(5)));
    List<ServerPart> publisher = new ArrayList<>();
    java.util.function.Consumer<ServerEvent>[] publish = new java.util.function.Consumer[1];
    publisher.add(
        new ServerPart() {
          @Override
          public String name() {
            return "publisher";
          }

          @Override
          public void start(org.outrigger.serve.ServerContext context) {
            publish[0] = context.publish();
          }
        });
    GuardServer busy = GuardServer.start(ServedModel.settings(), "cpu", slow, publisher.get(0));
    busy.guards().load("digits", bundle);
    HttpResponse<InputStream> stream = stream(busy);
    assertThat(header(stream, "Content-Type")).startsWith("text/event-stream");
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(stream.body(), StandardCharsets.UTF_8));
    assertThat((List<?>) at(next(lines), "events")).hasSize(1);
    long start = System.nanoTime();
    publish[0].accept(
        new ServerEvent(
            Instant.now(),
            ServerEvent.Kind.DRIFT,
            "digits",
            "1",
            "It drifts.",
            Map.of("channel", "score")));
    List<?> events = (List<?>) at(next(lines), "events");
    assertThat(events).hasSize(2);
    assertThat(at(events.get(0), "kind")).isEqualTo("DRIFT");
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
    start = System.nanoTime();
    busy.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
    assertThat(slow.pages()).isZero();
    lines.close();
  }

  @Test
  void moreThanTheMostPagesAreRefusedAndClosedOnesMakeRoom() throws Exception {
    Dashboard small =
        new Dashboard(
            DashboardSettings.defaults().withSubscribers(2).withInterval(Duration.ofMillis(300)));
    try (GuardServer few = GuardServer.start(ServedModel.settings(), "cpu", small)) {
      few.guards().load("digits", bundle);
      InputStream first = stream(few).body();
      InputStream second = stream(few).body();
      HttpResponse<InputStream> third = stream(few);
      assertThat(third.statusCode()).isEqualTo(503);
      third.body().close();
      assertThat(ServedModel.get(few, "/api/dashboard/stream").statusCode()).isEqualTo(406);
      first.close();
      second.close();
      for (int i = 0; i < 100 && small.pages() > 0; i++) {
        Thread.sleep(100);
      }
      assertThat(small.pages()).isZero();
    }
  }

  @Test
  void aPageThatDoesNotReadIsCutOff() throws Exception {
    Dashboard patient =
        new Dashboard(DashboardSettings.defaults().withInterval(Duration.ofMillis(100)));
    ServerSettings hasty =
        ServedModel.settings()
            .withTimeouts(Duration.ofSeconds(10), Duration.ofSeconds(1), Duration.ofSeconds(5));
    try (GuardServer busy = GuardServer.start(hasty, "cpu", patient);
        Socket socket = new Socket()) {
      busy.guards().load("digits", bundle);
      socket.setReceiveBufferSize(4096);
      socket.connect(new java.net.InetSocketAddress("127.0.0.1", busy.port()));
      socket
          .getOutputStream()
          .write(
              "GET /api/dashboard/stream?range=48h HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
                  .getBytes(StandardCharsets.ISO_8859_1));
      for (int i = 0; i < 100 && patient.pages() == 0; i++) {
        Thread.sleep(20);
      }
      assertThat(patient.pages()).isEqualTo(1);
      // The buffers between the two hold some megabytes; events fill them faster.
      byte[] filler = "x".repeat(20_000).getBytes(StandardCharsets.US_ASCII);
      for (int i = 0; i < 200; i++) {
        patient.happened(
            new ServerEvent(
                Instant.now(),
                ServerEvent.Kind.TROUBLE,
                "digits",
                "1",
                new String(filler, StandardCharsets.US_ASCII),
                Map.of()));
      }
      for (int i = 0; i < 200 && patient.pages() > 0; i++) {
        Thread.sleep(100);
      }
      assertThat(patient.pages()).isZero();
    }
  }

  @Test
  void withoutTheDashboardThereIsNothingAtTheRoot() throws Exception {
    try (GuardServer bare = GuardServer.start(ServedModel.settings(), "cpu")) {
      assertThat(ServedModel.get(bare, "/").statusCode()).isEqualTo(404);
      assertThat(ServedModel.get(bare, "/api/dashboard").statusCode()).isEqualTo(404);
    }
  }
}
