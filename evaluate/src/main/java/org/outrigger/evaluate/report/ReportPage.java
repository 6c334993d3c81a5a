package org.outrigger.evaluate.report;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Properties;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;

/**
 * One self-contained HTML page, built part by part from top to bottom: figures, tables, charts,
 * pictures and notes in titled sections. It needs no network and no other file.
 */
public final class ReportPage {
  private final String title;
  private final String subtitle;
  private final StringBuilder body = new StringBuilder();
  private final List<Object> options = new ArrayList<>();
  private boolean inSection;

  public ReportPage(String title, String subtitle) {
    this.title = title;
    this.subtitle = subtitle;
  }

  /**
   * A headline figure.
   *
   * @param label what it is
   * @param value as it should be read
   * @param note in small print below
   */
  public record Figure(String label, String value, String note) {}

  /**
   * A picture in a gallery.
   *
   * @param dataUri from {@link Pictures#dataUri}
   * @param caption below it
   */
  public record Picture(String dataUri, String caption) {}

  /** Starts a section. */
  public ReportPage section(String heading, String lead) {
    endSection();
    body.append("<section><h2>").append(escape(heading)).append("</h2>");
    if (!lead.isBlank()) {
      body.append("<p class=\"lead\">").append(escape(lead)).append("</p>");
    }
    inSection = true;
    return this;
  }

  /** A row of headline figures. */
  public ReportPage figures(List<Figure> figures) {
    body.append("<div class=\"figures\">");
    for (Figure figure : figures) {
      body.append("<div class=\"figure\"><div class=\"label\">")
          .append(escape(figure.label()))
          .append("</div><div class=\"value\">")
          .append(escape(figure.value()))
          .append("</div><div class=\"small\">")
          .append(escape(figure.note()))
          .append("</div></div>");
    }
    body.append("</div>");
    return this;
  }

  /** Charts side by side where the window is wide enough. */
  public ReportPage charts(Chart... charts) {
    body.append("<div class=\"charts\">");
    for (Chart chart : charts) {
      body.append("<figure><figcaption>")
          .append(escape(chart.title()))
          .append("</figcaption><div class=\"chart\" style=\"height:")
          .append(chart.height())
          .append("px\" role=\"img\" aria-label=\"")
          .append(escape(chart.title() + ". " + chart.note()))
          .append("\" data-chart=\"")
          .append(options.size())
          .append("\"></div><p class=\"small\">")
          .append(escape(chart.note()))
          .append("</p></figure>");
      options.add(chart.option());
    }
    body.append("</div>");
    return this;
  }

  /**
   * A table; cells that read as numbers are set flush right.
   *
   * @param caption above it; may be blank
   * @param header column names
   * @param rows cells, as many a row as the header has
   */
  public ReportPage table(String caption, List<String> header, List<List<String>> rows) {
    // Beside the table, not in it: a wide table scrolls, and its caption would with it.
    if (!caption.isBlank()) {
      body.append("<p class=\"small\">").append(escape(caption)).append("</p>");
    }
    body.append("<div class=\"table\"><table><thead><tr>");
    for (int c = 0; c < header.size(); c++) {
      int column = c;
      boolean numeric = !rows.isEmpty() && rows.stream().allMatch(r -> numeric(r.get(column)));
      body.append(numeric ? "<th scope=\"col\" class=\"number\">" : "<th scope=\"col\">")
          .append(escape(header.get(c)))
          .append("</th>");
    }
    body.append("</tr></thead><tbody>");
    for (List<String> row : rows) {
      body.append("<tr>");
      for (String cell : row) {
        body.append(numeric(cell) ? "<td class=\"number\">" : "<td>")
            .append(escape(cell))
            .append("</td>");
      }
      body.append("</tr>");
    }
    body.append("</tbody></table></div>");
    return this;
  }

  /** Small pictures with captions. */
  public ReportPage gallery(String heading, List<Picture> pictures) {
    body.append("<h3>").append(escape(heading)).append("</h3><div class=\"gallery\">");
    for (Picture picture : pictures) {
      body.append("<figure><img alt=\"")
          .append(escape(picture.caption()))
          .append("\" src=\"")
          .append(escape(picture.dataUri()))
          .append("\"><figcaption>")
          .append(escape(picture.caption()))
          .append("</figcaption></figure>");
    }
    body.append("</div>");
    return this;
  }

  /** A paragraph. */
  public ReportPage text(String paragraph) {
    body.append("<p>").append(escape(paragraph)).append("</p>");
    return this;
  }

  /** A command line or other text to copy. */
  public ReportPage code(String text) {
    body.append("<pre><code>").append(escape(text)).append("</code></pre>");
    return this;
  }

  /** The page. */
  public String html() {
    endSection();
    // A closing tag inside the data would end the script element; an escaped '<' cannot.
    String data = Json.compact(options).replace("<", "\\u003c");
    return resource("page.html")
        .replace("{{title}}", escape(title))
        .replace("{{subtitle}}", escape(subtitle))
        .replace("{{style}}", resource("page.css"))
        .replace("{{body}}", body)
        .replace("{{options}}", data)
        .replace("{{echarts}}", options.isEmpty() ? "" : echarts())
        .replace("{{script}}", resource("page.js"));
  }

  /** Writes the page, whole or not at all. */
  public void write(Path file) {
    byte[] bytes = html().getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(file, out -> out.write(bytes));
  }

  /** A share as a percentage with one decimal. */
  public static String percent(double share) {
    return Double.isNaN(share) ? "n/a" : String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  /** A number with three decimals. */
  public static String number(double value) {
    return Double.isNaN(value) ? "n/a" : String.format(Locale.ROOT, "%.3f", value);
  }

  private void endSection() {
    if (inSection) {
      body.append("</section>");
      inSection = false;
    }
  }

  private static boolean numeric(String cell) {
    return cell.matches(
        "[-+]?[\\d.,]+(e[-+]?\\d+)?( ?(%|ms|s|MB|x|µs|rows/s))?( [±\\[(].*)?|n/a|-|");
  }

  static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }

  private static String echarts() {
    String pom = "/META-INF/maven/org.webjars/echarts/pom.properties";
    try (InputStream in = Objects.requireNonNull(ReportPage.class.getResourceAsStream(pom), pom)) {
      Properties properties = new Properties();
      properties.load(in);
      return read(
          "/META-INF/resources/webjars/echarts/"
              + properties.getProperty("version")
              + "/echarts.min.js");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String resource(String name) {
    return read("/org/outrigger/evaluate/report/" + name);
  }

  private static String read(String path) {
    try (InputStream in =
        Objects.requireNonNull(ReportPage.class.getResourceAsStream(path), path)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
