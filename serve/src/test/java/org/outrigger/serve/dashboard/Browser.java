package org.outrigger.serve.dashboard;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;

/** A headless Chromium, driven through the DevTools protocol. */
final class Browser implements AutoCloseable {
  private final Process process;
  private final WebSocket socket;
  private final AtomicInteger ids = new AtomicInteger();
  private final Map<Integer, CompletableFuture<Map<String, Object>>> waiting =
      new ConcurrentHashMap<>();
  private final List<String> complaints = new CopyOnWriteArrayList<>();

  private Browser(Process process, URI page) {
    this.process = process;
    socket =
        HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(page, new Answers()).join();
  }

  /** Where a Chromium is on this machine; null if there is none. */
  static @Nullable Path find() {
    for (String folder : System.getenv().getOrDefault("PATH", "").split(":")) {
      for (String name : List.of("chromium", "chromium-browser", "google-chrome", "chrome")) {
        Path program = Path.of(folder, name);
        if (Files.isExecutable(program)) {
          return program;
        }
      }
    }
    return null;
  }

  static Browser start(Path program, Path profile) throws Exception {
    Process process =
        new ProcessBuilder(
                program.toString(),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--user-data-dir=" + profile,
                "--remote-debugging-port=0",
                "about:blank")
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      Path told = profile.resolve("DevToolsActivePort");
      for (int i = 0; i < 300 && (!Files.exists(told) || Files.size(told) == 0); i++) {
        Thread.sleep(100);
      }
      String port = Files.readAllLines(told).get(0);
      HttpResponse<String> pages =
          HttpClient.newHttpClient()
              .send(
                  HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/json/list"))
                      .build(),
                  HttpResponse.BodyHandlers.ofString());
      for (Object each : Json.mapper().readValue(pages.body(), List.class)) {
        Map<?, ?> page = (Map<?, ?>) each;
        if ("page".equals(page.get("type"))) {
          Browser browser =
              new Browser(process, URI.create((String) page.get("webSocketDebuggerUrl")));
          for (String domain : List.of("Runtime", "Log", "Page", "Accessibility")) {
            browser.call(domain + ".enable", Map.of());
          }
          return browser;
        }
      }
      throw new IOException("The browser has no page.");
    } catch (Exception e) {
      process.destroyForcibly();
      throw e;
    }
  }

  private final class Answers implements WebSocket.Listener {
    private final StringBuilder text = new StringBuilder();

    @Override
    public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
      text.append(data);
      if (last) {
        Map<String, Object> message = Json.object("message", text.toString());
        text.setLength(0);
        if (message.get("id") instanceof Integer id) {
          waiting.remove(id).complete(message);
        } else if (List.of("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
            .contains(String.valueOf(message.get("method")))) {
          complaints.add(String.valueOf(message));
        }
      }
      from.request(1);
      return CompletableFuture.completedFuture(null);
    }
  }

  /** Calls a method of the protocol. */
  Map<String, Object> call(String method, Map<String, Object> parameters) throws Exception {
    int id = ids.incrementAndGet();
    CompletableFuture<Map<String, Object>> answer = new CompletableFuture<>();
    waiting.put(id, answer);
    socket
        .sendText(Json.compact(Map.of("id", id, "method", method, "params", parameters)), true)
        .get(10, TimeUnit.SECONDS);
    Map<String, Object> message = answer.get(30, TimeUnit.SECONDS);
    if (message.containsKey("error")) {
      throw new IOException(method + ": " + message.get("error"));
    }
    return object(message.get("result"));
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> object(Object json) {
    return (Map<String, Object>) json;
  }

  void size(int width, int height) throws Exception {
    call(
        "Emulation.setDeviceMetricsOverride",
        Map.of("width", width, "height", height, "deviceScaleFactor", 1, "mobile", false));
  }

  void prefer(String scheme) throws Exception {
    call(
        "Emulation.setEmulatedMedia",
        Map.of("features", List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
  }

  void open(String url) throws Exception {
    call("Page.navigate", Map.of("url", url));
  }

  /** The value of an expression. */
  @Nullable Object value(String expression) throws Exception {
    Map<String, Object> answer =
        call(
            "Runtime.evaluate",
            Map.of("expression", expression, "returnByValue", true, "awaitPromise", true));
    if (answer.containsKey("exceptionDetails")) {
      throw new IOException(String.valueOf(answer.get("exceptionDetails")));
    }
    return object(answer.get("result")).get("value");
  }

  /** Waits until an expression is true. */
  void until(String expression) throws Exception {
    for (int i = 0; i < 200; i++) {
      if (Boolean.TRUE.equals(value(expression))) {
        return;
      }
      Thread.sleep(100);
    }
    throw new AssertionError("It never came true: " + expression + "\n" + complaints);
  }

  void press(String key) throws Exception {
    Map<String, Object> event = new java.util.HashMap<>(Map.of("type", "keyDown", "key", key));
    if (key.length() == 1) {
      event.put("text", key);
    } else {
      event.put("windowsVirtualKeyCode", Map.of("Tab", 9, "Enter", 13, "Escape", 27).get(key));
      if (key.equals("Enter")) {
        event.put("text", "\r");
      }
    }
    call("Input.dispatchKeyEvent", event);
    event.put("type", "keyUp");
    event.remove("text");
    call("Input.dispatchKeyEvent", event);
  }

  /** What the page wrote to the console, and what went wrong in it. */
  List<String> complaints() {
    return complaints;
  }

  /** Role and name of everything that a screen reader hears. */
  List<String> heard() throws Exception {
    List<String> heard = new ArrayList<>();
    for (Object each : (List<?>) call("Accessibility.getFullAXTree", Map.of()).get("nodes")) {
      Map<String, Object> node = object(each);
      if (!Boolean.TRUE.equals(node.get("ignored")) && node.get("role") != null) {
        Object name = node.get("name") == null ? "" : object(node.get("name")).get("value");
        heard.add(object(node.get("role")).get("value") + ": " + name);
      }
    }
    return heard;
  }

  void screenshot(Path file) throws Exception {
    Files.write(
        file,
        Base64.getDecoder()
            .decode((String) call("Page.captureScreenshot", Map.of("format", "png")).get("data")));
  }

  @Override
  public void close() throws Exception {
    socket.abort();
    process.destroy();
    if (!process.waitFor(5, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
    }
  }
}
