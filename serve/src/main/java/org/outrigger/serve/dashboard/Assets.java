package org.outrigger.serve.dashboard;

import io.javalin.http.Context;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.TreeMap;
import org.outrigger.serve.protocol.Refusal;

/**
 * The page and its files, read once from the class path by a fixed list of names. The files lie
 * below a path that holds a hash of all of them, so that browsers may keep them.
 */
final class Assets {
  private static final String SECURITY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
          + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  private static final String ECHARTS = "echarts.min.js";
  private static final List<String> NAMES =
      List.of(
          "dashboard.css",
          "icon.svg",
          "theme.js",
          "app.js",
          "chart.js",
          "dom.js",
          "format.js",
          "keys.js",
          "live.js",
          "operate.js",
          "quality.js",
          "shift.js",
          "tiles.js",
          "traffic.js");
  private static final Map<String, String> TYPES =
      Map.of(
          "css", "text/css; charset=utf-8",
          "js", "text/javascript; charset=utf-8",
          "svg", "image/svg+xml");

  private final Map<String, byte[]> files = new TreeMap<>();
  private final String hash;
  private final String page;

  Assets() {
    for (String name : NAMES) {
      files.put(name, read("/org/outrigger/serve/dashboard/" + name));
    }
    files.put(ECHARTS, echarts());
    hash = hash(files);
    page =
        new String(read("/org/outrigger/serve/dashboard/index.html"), StandardCharsets.UTF_8)
            .replace("{{assets}}", "assets/" + hash);
  }

  /** Whether that is the page or one of its files. */
  boolean has(String path) {
    return path.equals("/")
        || path.startsWith(folder()) && files.containsKey(path.substring(folder().length()));
  }

  private String folder() {
    return "/assets/" + hash + "/";
  }

  /** Answers with the page. */
  void page(Context ctx) {
    ctx.header("Content-Security-Policy", SECURITY);
    ctx.header("Cache-Control", "no-cache");
    ctx.contentType("text/html; charset=utf-8").result(page);
  }

  /** Answers with a file. */
  void file(Context ctx) {
    String path = ctx.path();
    byte[] file = has(path) ? files.get(path.substring(folder().length())) : null;
    if (file == null) {
      throw Refusal.missing("The dashboard has no such file: load the page again.");
    }
    ctx.header("Content-Security-Policy", SECURITY);
    ctx.header("Cache-Control", "public, max-age=31536000, immutable");
    ctx.contentType(String.valueOf(TYPES.get(path.substring(path.lastIndexOf('.') + 1))))
        .result(file);
  }

  private static byte[] echarts() {
    Properties properties = new Properties();
    try {
      properties.load(
          new java.io.ByteArrayInputStream(
              read("/META-INF/maven/org.webjars/echarts/pom.properties")));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return read(
        "/META-INF/resources/webjars/echarts/" + properties.getProperty("version") + "/" + ECHARTS);
  }

  private static String hash(Map<String, byte[]> files) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      files.forEach(
          (name, content) -> {
            digest.update(name.getBytes(StandardCharsets.UTF_8));
            digest.update(content);
          });
      return HexFormat.of().formatHex(digest.digest(), 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private static byte[] read(String path) {
    try (InputStream in = Objects.requireNonNull(Assets.class.getResourceAsStream(path), path)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
