package org.outrigger.serve.dashboard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.ServedModel;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.Tokens;

/** The page in a real browser, before a real server; skipped where there is no Chromium. */
class DashboardPageTest {
  private static final String EVIL = "<img src=x onerror=\"document.title='owned'\">{a|b}";

  @TempDir private static Path folder;
  private static Path bundle;
  private static GuardServer server;
  private static Browser browser;
  private static int profiles;

  /** A part that says what its fields hold. */
  private record Told(String name, Map<String, Object> state) implements ServerPart {
    @Override
    public Map<String, Object> status(String guard) {
      return state;
    }

    @Override
    public void start(ServerContext context) {
      if (name.equals("monitor")) {
        context
            .publish()
            .accept(
                new ServerEvent(
                    Instant.now(),
                    ServerEvent.Kind.DRIFT,
                    "digits",
                    "1",
                    EVIL,
                    Map.of(
                        "channel",
                        EVIL,
                        "method",
                        EVIL,
                        "statistic",
                        0.5,
                        "threshold",
                        0.1,
                        "features",
                        List.of(Map.of("name", EVIL, "before", 1.0, "after", EVIL, "effect", 1)))));
      }
    }
  }

  @BeforeAll
  static void start() throws Exception {
    Path program = Browser.find();
    assumeTrue(program != null, "There is no Chromium on this machine.");
    bundle = ServedModel.bundle(folder, 1);
    String now = Instant.now().toString();
    server =
        GuardServer.start(
            ServedModel.settings(),
            "cpu",
            new Dashboard(DashboardSettings.defaults().withInputs(true)),
            new Told(
                "monitor",
                Map.of(
                    "monitoring",
                    true,
                    "active",
                    Map.of(EVIL, Map.of()),
                    "timeline",
                    List.of(
                        Map.of(
                            "at",
                            now,
                            "rows",
                            100,
                            "effects",
                            Map.of(EVIL, 0.4, "score", 0.1),
                            "drifting",
                            List.of(EVIL))))),
            new Told(
                "store",
                Map.of(
                    "labelled",
                    120,
                    "accuracy",
                    0.9,
                    "ece",
                    0.03,
                    "bins",
                    List.of(
                        Map.of(
                            "from",
                            0.9,
                            "to",
                            1.0,
                            "count",
                            120,
                            "confidence",
                            0.95,
                            "accuracy",
                            0.9)))),
            new Told(
                "adaptation",
                Map.of(
                    "enabled",
                    true,
                    "stack",
                    "safety-net/tent",
                    "streams",
                    List.of(
                        Map.of(
                            "stream",
                            EVIL,
                            "rows",
                            10,
                            "rollbacks",
                            1,
                            "resting",
                            true,
                            "lastSeen",
                            now)))));
    server.guards().load("digits", bundle);
    float[] strange = ServedModel.rows(100);
    for (int i = 0; i < 2000; i++) {
      strange[i] = (i * 37 % 64) / 2f - 16;
    }
    String request = ServedModel.request(strange, 100).replace("\"r1\"", Json.compact(EVIL));
    assertThat(ServedModel.post(server, "/v2/models/digits/infer", request).statusCode())
        .isEqualTo(200);
    browser = browser(program);
  }

  private static Browser browser(Path program) throws Exception {
    return Browser.start(program, Files.createDirectory(folder.resolve("profile" + profiles++)));
  }

  @AfterAll
  static void stop() throws Exception {
    if (browser != null) {
      browser.close();
    }
    if (server != null) {
      server.close();
    }
  }

  private static void open(String query) throws Exception {
    browser.complaints().clear();
    browser.open("http://127.0.0.1:" + server.port() + "/" + query);
    browser.until(
        "document.readyState === 'complete' && window.outriggerShown?.() != null"
            + " && document.querySelector('#top canvas') !== null");
  }

  private static long filled() throws Exception {
    Object filled =
        browser.value(
            "[...document.querySelectorAll('.chart canvas')].filter(c => {"
                + " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
                + " return d.some(v => v !== 0); }).length");
    return ((Number) filled).longValue();
  }

  @Test
  void everyChartIsDrawnInLightAndDarkAndOnAPhoneWithoutAComplaint() throws Exception {
    for (String scheme : List.of("light", "dark")) {
      for (int width : new int[] {360, 1440, 2560}) {
        browser.prefer(scheme);
        browser.size(width, 900);
        open("");
        browser.until("document.querySelectorAll('.chart canvas').length === 7");
        assertThat(filled()).as(scheme + " " + width).isEqualTo(7);
        assertThat(browser.value("document.documentElement.scrollWidth <= innerWidth"))
            .as("nothing is wider than the screen at " + width)
            .isEqualTo(true);
        assertThat(browser.complaints()).isEmpty();
      }
    }
    browser.size(1440, 900);
  }

  @Test
  void namesThatClientsChoseAreTextOnly() throws Exception {
    open("?guard=%3Cscript%3E");
    assertThat((String) browser.value("document.title")).contains("digits").doesNotContain("owned");
    assertThat(browser.value("document.querySelectorAll('img[src=x]').length")).isEqualTo(0);
    for (String panel : List.of("changes", "adapters", "events")) {
      assertThat((String) browser.value("document.getElementById('" + panel + "').textContent"))
          .as(panel)
          .contains(EVIL);
    }
    browser.value("document.querySelector('#top .tools button').click()");
    assertThat((String) browser.value("document.getElementById('top').textContent")).contains(EVIL);
    assertThat(browser.complaints()).isEmpty();
  }

  @Test
  void theKeyboardReachesEverythingAndShortcutsWork() throws Exception {
    open("");
    browser.press("Tab");
    assertThat(browser.value("document.activeElement.className")).isEqualTo("skip");
    browser.press("3");
    browser.until("new URLSearchParams(location.search).get('range') === '6h'");
    browser.press("p");
    browser.until("document.getElementById('state').dataset.state === 'paused'");
    browser.press("p");
    browser.until("document.getElementById('state').dataset.state === 'live'");
    browser.press("t");
    browser.until("document.querySelectorAll('.as-table:not([hidden]) table').length === 7");
    browser.press("t");
    browser.press("?");
    browser.until("document.getElementById('keys').open");
    browser.press("Escape");
    browser.until("!document.getElementById('keys').open");
    browser.prefer("light");
    browser.press("d");
    browser.press("d");
    browser.until("document.documentElement.dataset.theme === 'dark'");
    open("");
    assertThat(browser.value("document.documentElement.dataset.theme")).isEqualTo("dark");
    browser.press("d");
    browser.until("document.documentElement.dataset.theme === undefined");
    assertThat(browser.complaints()).isEmpty();
  }

  @Test
  void aScreenReaderHearsLandmarksHeadingsAndWhatChartsShow() throws Exception {
    open("");
    List<String> heard = browser.heard();
    assertThat(heard)
        .contains("banner: ", "main: ", "contentinfo: ", "status: ", "heading: Drift")
        .contains("heading: Top unknown inputs", "image: Latency percentiles over time")
        .anyMatch(each -> each.startsWith("radio: 15 min"))
        .anyMatch(each -> each.contains("unknown in the last 15 minutes"));
  }

  @Test
  void reloadingAsksFirst() throws Exception {
    open("");
    browser.value("document.querySelector('#guards button').click()");
    browser.until("document.getElementById('confirm').open");
    browser.press("Escape");
    browser.until("!document.getElementById('confirm').open");
    assertThat(server.guards().get("digits", null).version()).isEqualTo("1");
    browser.value("document.querySelector('#guards button').click()");
    browser.value("document.getElementById('confirm-yes').click()");
    browser.until("document.querySelector('#guards .told').textContent.includes('version 2')");
    browser.value("document.querySelectorAll('#guards button')[1].click()");
    browser.until("document.getElementById('confirm').open");
    browser.value("document.getElementById('confirm-yes').click()");
    browser.until("document.querySelector('#guards .told').textContent.includes('version 1')");
  }

  @Test
  void aServerWithTokensIsAskedWithOneThatThisTabKeeps() throws Exception {
    String token = Tokens.generate();
    Path tokens = folder.resolve("tokens.txt");
    Files.write(tokens, List.of(Tokens.line("reader", Tokens.Role.INFER, token)));
    try (GuardServer guarded =
            GuardServer.start(
                ServedModel.settings().withTokens(tokens),
                "cpu",
                new Dashboard(DashboardSettings.defaults()));
        Browser other = browser(Browser.find())) {
      guarded.guards().load("digits", bundle);
      other.open("http://127.0.0.1:" + guarded.port() + "/");
      other.until("document.getElementById('token')?.open === true");
      other.value(
          "document.getElementById('token-value').value = 'wrong';"
              + "document.getElementById('token-form').requestSubmit()");
      other.until("document.getElementById('token-error').textContent.includes('not know')");
      other.value(
          "document.getElementById('token-value').value = '"
              + token
              + "'; document.getElementById('token-form').requestSubmit()");
      other.until("window.outriggerShown() != null");
      assertThat(other.value("document.querySelectorAll('#guards .actions').length")).isEqualTo(0);
      assertThat(other.value("localStorage.getItem('outrigger-token')")).isNull();
    }
  }
}
