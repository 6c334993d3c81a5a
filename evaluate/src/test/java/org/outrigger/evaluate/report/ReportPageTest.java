package org.outrigger.evaluate.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.torch.Rng;

class ReportPageTest {
  private static ReportPage page() {
    Random random = new Random(1);
    Map<String, double[]> groups = new LinkedHashMap<>();
    groups.put("known", random.doubles(2000).map(u -> -10 + 3 * u).toArray());
    groups.put("unknown", random.doubles(2000).map(u -> -8 + 4 * u).toArray());
    double[] t = {0, 0.1, 0.3, 1};
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      String picture = Pictures.dataUri(rng.uniform(1, 28, 28));
      return new ReportPage("A guard </script><b>", "fitted on \"x\" & y")
          .figures(
              List.of(
                  new ReportPage.Figure("accuracy", "91.2 %", "2,000 inputs"),
                  new ReportPage.Figure("AUROC", "0.953", "95 % interval 0.94 to 0.96")))
          .section("Scores", "How unfamiliar each input looks.")
          .charts(
              Chart.histogram("Scores", "Larger is less familiar.", "score", groups, -8.2),
              Chart.roc(
                  "ROC",
                  "Up and left is better.",
                  new Chart.Line("energy", t, new double[] {0, 0.5, 0.9, 1})),
              Chart.reliability(
                  "Reliability",
                  "On the diagonal is honest.",
                  new double[] {0.3, 0.8},
                  new double[] {0.2, 0.7},
                  new double[] {0.4, 0.6}),
              Chart.bars("AUROC", "", "AUROC", Map.of("energy", 0.95)))
          .table(
              "Detectors",
              List.of("name", "AUROC"),
              List.of(List.of("energy", "0.953"), List.of("knn", "0.981")))
          .gallery("Least familiar", List.of(new ReportPage.Picture(picture, "id 7 </script>")));
    }
  }

  @Test
  void textIsEscapedAndDataCannotEndTheScript() {
    String html = page().html();
    assertThat(html)
        .contains("A guard &lt;/script&gt;&lt;b&gt;")
        .contains("fitted on &quot;x&quot; &amp; y");
    String data = html.substring(html.indexOf("id=\"options\">"), html.indexOf("<script>"));
    assertThat(data.substring(0, data.indexOf("</script>")))
        .doesNotContain("<b>")
        .contains("\"series\"");
  }

  @Test
  void thePageLoadsNothingFromElsewhere(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("report.html");
    page().write(file);
    String html = Files.readString(file);
    assertThat(html).doesNotContainPattern("(src|href)\\s*=\\s*\"(https?:)?//");
    assertThat(html).contains("default-src 'none'");
    assertThat(html).doesNotContain("{{");
  }
}
