package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Requests that nobody well-meaning sends: each gets a 4xx with a message, and the server goes on.
 */
class HostileRequestsTest {
  private static final String INFER = "/v2/models/digits/infer";

  @TempDir private static Path folder;
  private static GuardServer server;

  @BeforeAll
  static void start() {
    ServerSettings settings =
        ServedModel.settings()
            .withLimits(256, 1 << 20, 64)
            .withTimeouts(Duration.ofSeconds(10), Duration.ofMillis(700), Duration.ofSeconds(5));
    server = GuardServer.start(settings, "cpu");
    server.guards().load("digits", ServedModel.bundle(folder, 1));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static String input(String members) {
    return "{\"inputs\":[{" + members + "}]}";
  }

  private static String zeros(int n) {
    return "[" + "0,".repeat(Math.max(0, n - 1)) + (n > 0 ? "0" : "") + "]";
  }

  private static String nested(String open, String close, int depth) {
    return open.repeat(depth) + close.repeat(depth);
  }

  private static List<String> corpus() {
    List<String> all = new ArrayList<>();
    String good =
        "\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[1,1,8,8],\"data\":" + zeros(64);
    all.addAll(
        List.of(
            "",
            " ",
            "null",
            "true",
            "7",
            "\"text\"",
            "[]",
            "{}",
            "{",
            "}",
            "{]",
            "{\"inputs\"",
            "{\"inputs\":}",
            "{\"inputs\":null}",
            "{\"inputs\":7}",
            "{\"inputs\":{}}",
            "{\"inputs\":[]}",
            "{\"inputs\":[7]}",
            "{\"inputs\":[null]}",
            "{\"inputs\":[[]]}",
            "{\"inputs\":[{}]}",
            "{\"inputs\":[{}],}",
            "{\"inputs\":[{}]} trailing",
            "{\"inputs\":[],\"inputs\":[]}",
            "\u0000",
            "\uFEFF",
            "<xml/>",
            "a=b&c=d",
            nested("[", "]", 50_000),
            nested("{\"a\":", "1}", 1),
            nested("{\"inputs\":[", "]}", 200),
            "{\"inputs\":" + nested("[", "]", 5_000) + "}",
            "{\"junk\":" + nested("[", "]", 5_000) + "}",
            "{\"" + "k".repeat(5_000) + "\":1}",
            "{\"id\":\"" + "i".repeat(200_000) + "\"," + input(good).substring(1),
            "{\"id\":7," + input(good).substring(1),
            "{\"parameters\":7," + input(good).substring(1),
            "{\"parameters\":{\"binary_data_output\":\"yes\"}," + input(good).substring(1),
            "{\"outputs\":7," + input(good).substring(1),
            "{\"outputs\":[7]," + input(good).substring(1),
            "{\"outputs\":[{}]," + input(good).substring(1),
            "{\"outputs\":[{\"name\":\"no such\"}]," + input(good).substring(1),
            "{\"outputs\":[{\"name\":\"label\",\"parameters\":{\"binary_data\":3}}],"
                + input(good).substring(1),
            "{\"inputs\":[{" + good + "},{" + good + "}]}",
            "{\"inputs\":[{" + good + "},{" + good.replace("input", "other") + "}]}",
            input(good + ",\"data\":[]"),
            input(good + ",\"parameters\":{\"binary_data_size\":256}")));
    for (String type :
        List.of("FP16", "BF16", "fp32", "", "UINT64", "BYTES", "STRING", "float", "\\u0000")) {
      all.add(input(good.replace("FP32", type)));
    }
    for (String shape :
        List.of(
            "[]",
            "[64]",
            "[1,64]",
            "[1,1,8]",
            "[1,1,8,8,1]",
            "[0,1,8,8]",
            "[-1,1,8,8]",
            "[2,1,8,8]",
            "[1,1,8,9]",
            "[65,1,8,8]",
            "[1.5,1,8,8]",
            "[\"1\",1,8,8]",
            "[null,1,8,8]",
            "{}",
            "7",
            "null",
            "[[1],1,8,8]",
            "[9223372036854775807,1,8,8]",
            "[9223372036854775808,1,8,8]",
            "[4294967296,4294967296,8,8]",
            "[2147483647,1,8,8]",
            "[1e3,1,8,8]",
            "[1,1,1,1,1,1,1,1,1,1,1,1]",
            "[3037000500,3037000500]",
            "[1000000,1,8,8]")) {
      all.add(input(good.replace("[1,1,8,8]", shape)));
    }
    for (String data :
        List.of(
            "null",
            "7",
            "{}",
            "\"0\"",
            "[]",
            "[0]",
            zeros(63),
            zeros(65),
            zeros(100_000),
            "[NaN]",
            "[Infinity]",
            "[-Infinity]",
            "[null]",
            "[\"0\"]",
            "[{}]",
            "[0,]",
            "[,0]",
            "[0x10]",
            "[01]",
            "[+1]",
            "[.5]",
            "[1.]",
            "[--1]",
            "[1e]",
            "[[0],[0]",
            "[0]]",
            nested("[", "]", 40),
            "[" + "9".repeat(100) + "]",
            "[1e99999999999]",
            "[" + "0,".repeat(63) + "1e39]",
            "[" + "0,".repeat(63) + "-1e300]")) {
      all.add(input(good.replace(zeros(64), data)));
    }
    for (String missing : List.of("name", "datatype", "shape", "data")) {
      all.add(input(good.replace("\"" + missing + "\"", "\"x" + missing + "\"")));
    }
    for (String size :
        List.of("-1", "0", "256", "255", "1e3", "\"256\"", "null", "9223372036854775807")) {
      all.add(
          input(
              "\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[1,1,8,8],\"parameters\":"
                  + "{\"binary_data_size\":"
                  + size
                  + "}"));
    }
    // A good request, damaged at random places.
    Random random = new Random(7);
    byte[] whole = input(good).getBytes(StandardCharsets.UTF_8);
    while (all.size() < 230) {
      byte[] damaged = whole.clone();
      // A sign of the structure is damaged: another name or value could leave a good request.
      int at = random.nextInt(60);
      if ("{}[]:,\"".indexOf(damaged[at]) < 0) {
        continue;
      }
      damaged[at] = (byte) "\\\u0001;".charAt(random.nextInt(3));
      all.add(new String(damaged, StandardCharsets.ISO_8859_1));
    }
    return all;
  }

  private static void expectRefusal(HttpResponse<byte[]> response, String what) {
    assertThat(response.statusCode()).as(what).isBetween(400, 499);
    assertThat(ServedModel.json(response)).as(what).containsKey("error");
    String text = new String(response.body(), StandardCharsets.UTF_8);
    assertThat(text).as(what).doesNotContain("Exception", "org.outrigger", "\\tat ");
    assertThat(text.length()).as(what).isLessThan(1_000);
  }

  @Test
  void eachGetsA4xxAndAMessageWithoutTheServersInside() throws Exception {
    List<String> corpus = corpus();
    assertThat(corpus).hasSizeGreaterThanOrEqualTo(200);
    for (String body : corpus) {
      String what = body.length() > 120 ? body.substring(0, 120) : body;
      expectRefusal(ServedModel.post(server, INFER, body), what);
    }
    stillWell();
  }

  @Test
  void badHeadersAndPathsAreRefused() throws Exception {
    byte[] body = ServedModel.request(ServedModel.rows(1), 1).getBytes(StandardCharsets.UTF_8);
    for (String length : List.of("-1", "x", "99999999", "1e3", "0")) {
      HttpRequest request =
          ServedModel.to(server, INFER)
              .header("Inference-Header-Content-Length", length)
              .POST(HttpRequest.BodyPublishers.ofByteArray(body))
              .build();
      expectRefusal(
          ServedModel.CLIENT.send(request, HttpResponse.BodyHandlers.ofByteArray()), length);
    }
    HttpRequest zipped =
        ServedModel.to(server, INFER)
            .header("Content-Encoding", "gzip")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .build();
    expectRefusal(ServedModel.CLIENT.send(zipped, HttpResponse.BodyHandlers.ofByteArray()), "gzip");
    for (String path :
        List.of(
            "/v2/models/../../etc/passwd/infer",
            "/v2/models/%2e%2e%2f%2e%2e/infer",
            "/v2/models/digits%00/infer",
            "/v2/models/digits/versions/-1/infer",
            "/v2/models/digits/versions/99999999999999999999/infer",
            "/v2/models//infer",
            "/v2/models/" + "x".repeat(3_000) + "/infer")) {
      HttpResponse<byte[]> response = ServedModel.post(server, path, body);
      expectRefusal(response, path);
    }
    assertThat(ServedModel.get(server, INFER).statusCode()).isBetween(400, 499);
    stillWell();
  }

  /** A body that nobody reads is not taken for the next request, nor is that sent into the void. */
  @Test
  void aConnectionIsKeptOrSaidToEndAfterABodyThatNobodyWanted() throws Exception {
    byte[] good = ServedModel.request(ServedModel.rows(1), 1).getBytes(StandardCharsets.UTF_8);
    for (int size : new int[] {1, 5_000, 300_000, 2 << 20}) {
      for (String path : List.of("/v2/models/none/infer", "/nowhere", "/v2/repository/index")) {
        try (Socket socket = new Socket("127.0.0.1", server.port())) {
          socket.setSoTimeout(20_000);
          // The body comes when the server has already found that it does not want it.
          send(socket, "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + size);
          Thread.sleep(20);
          String head;
          try {
            socket.getOutputStream().write(new byte[size]);
            head = head(socket.getInputStream());
          } catch (java.net.SocketException reset) {
            // Only where much was still to come.
            assertThat(size).as(path).isGreaterThan(1 << 20);
            continue;
          }
          assertThat(head).as(path).matches("(?s)HTTP/1.1 (404|200) .*");
          if (head.contains("Connection: close")) {
            assertThat(size).as(path).isGreaterThan(1 << 20);
            continue;
          }
          send(socket, "POST " + INFER + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + good.length);
          socket.getOutputStream().write(good);
          assertThat(head(socket.getInputStream())).as(path).startsWith("HTTP/1.1 200 ");
        }
      }
    }
    stillWell();
  }

  private static void send(Socket socket, String head) throws java.io.IOException {
    socket.getOutputStream().write((head + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
    socket.getOutputStream().flush();
  }

  /** The head of an answer, whose body is read as well. */
  private static String head(InputStream in) throws java.io.IOException {
    StringBuilder head = new StringBuilder();
    while (head.indexOf("\r\n\r\n") < 0) {
      int next = in.read();
      assertThat(next).as("after '%s'", head).isNotNegative();
      head.append((char) next);
    }
    Matcher length = Pattern.compile("(?i)Content-Length: ([0-9]+)").matcher(head);
    assertThat(length.find()).as(head.toString()).isTrue();
    in.readNBytes(Integer.parseInt(length.group(1)));
    return head.toString();
  }

  @Test
  void aBodyThatIsTooLargeIsRefusedWithoutReadingItAll() throws Exception {
    byte[] large = new byte[3 << 20];
    HttpResponse<byte[]> response;
    try {
      response = ServedModel.post(server, INFER, large);
      assertThat(response.statusCode()).isEqualTo(413);
    } catch (java.io.IOException cutOff) {
      // The server may cut the connection before the client has sent all.
      assertThat(cutOff).isNotNull();
    }
    stillWell();
  }

  @Test
  void aSlowBodyIsCutOff() throws Exception {
    for (String path : List.of(INFER, "/v2/models/none/infer")) {
      long start = System.nanoTime();
      try (Socket socket = new Socket("127.0.0.1", server.port())) {
        socket.setSoTimeout(20_000);
        send(socket, "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 500");
        socket.getOutputStream().write("{\"inputs\"".getBytes(StandardCharsets.US_ASCII));
        String answer =
            new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
        assertThat(answer).matches("(?s)HTTP/1.1 40[48] .*Connection: close.*\"error\".*");
      }
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(15));
    }
    stillWell();
  }

  private static void stillWell() throws Exception {
    HttpResponse<byte[]> good =
        ServedModel.post(server, INFER, ServedModel.request(ServedModel.rows(2), 2));
    assertThat(good.statusCode()).isEqualTo(200);
  }
}
