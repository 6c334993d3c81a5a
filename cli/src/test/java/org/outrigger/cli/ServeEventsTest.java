package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerSettings;
import org.outrigger.serve.store.EventStore;
import org.outrigger.serve.store.StoreSettings;

class ServeEventsTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void store() {
    EventStore store =
        new EventStore(StoreSettings.file(folder.resolve("data").resolve("events.duckdb")));
    try (GuardServer server =
        GuardServer.start(ServerSettings.defaults().withAddress("127.0.0.1", 0), "cpu", store)) {
      assertThat(server.port()).isPositive();
      judge(store, "flowers", "r-new", Instant.now());
      judge(store, "flowers", "r-old", Instant.now().minus(Duration.ofDays(3)));
      judge(store, "digits", "r-other", Instant.now());
      store.happened(
          new ServerEvent(
              Instant.now(), ServerEvent.Kind.LOADED, "flowers", "1", "It answers.", Map.of()));
    }
  }

  private static void judge(EventStore store, String guard, String id, Instant at) {
    Verdict verdict = new Verdict("0", 2, "setosa", 0.875, 1.5, true, "energy", null);
    store.judged(
        new JudgedBatch(
            guard,
            "1",
            false,
            at,
            List.of(new JudgedBatch.Request(id, "", new float[4], List.of(verdict), 2_000_000))));
  }

  @Test
  void showsTheNewestAndWritesAll() throws Exception {
    Path data = folder.resolve("data");
    String shown = Shell.run("serve", "events", "--data-dir", data).worked().out();
    assertThat(shown).contains("r-new", "r-old", "r-other", "setosa", "0.875", "unknown");
    assertThat(
            Shell.run("serve", "events", "--data-dir", data, "--guard", "flowers", "--since", "1d")
                .worked()
                .out())
        .contains("r-new")
        .doesNotContain("r-old", "r-other");
    assertThat(Shell.run("serve", "events", "--data-dir", data, "--history").worked().out())
        .contains("LOADED", "It answers.");
    Path csv = folder.resolve("events.csv");
    Shell.run("serve", "events", "--store", data.resolve("events.duckdb"), "--out", csv).worked();
    assertThat(Files.readAllLines(csv)).hasSize(4).first().asString().contains("latency_ns,label");
    Path lines = folder.resolve("history.jsonl");
    Shell.run("serve", "events", "--data-dir", data, "--history", "--out", lines).worked();
    assertThat(Files.readString(lines)).contains("\"kind\":\"LOADED\"");
  }

  @Test
  void badArgumentsGetOneLine() throws Exception {
    Shell.run("serve", "events", "--store", folder.resolve("nothing")).refused("no event store");
    Shell.run("serve", "events", "--data-dir", folder.resolve("data"), "--since", "soon")
        .refused("--since = soon");
    Shell.run("serve", "events", "--data-dir", folder.resolve("data"), "--limit", "0")
        .refused("limit = 0");
    Path text = Files.writeString(folder.resolve("text"), "no database ".repeat(1000));
    assertThat(Shell.run("serve", "events", "--store", text).err()).contains("damaged");
    Shell.run("serve", "events", "--store", "jdbc:mysql://x/y").refused("postgresql");
  }

  @Test
  void timesAreANumberAndAUnit() {
    assertThat(StoreOptions.duration("x", "500ms")).isEqualTo(Duration.ofMillis(500));
    assertThat(StoreOptions.duration("x", "30d")).isEqualTo(Duration.ofDays(30));
    for (String bad : List.of("", "d", "30", "0s", "-1s", "1w", "99999999999d")) {
      assertThatThrownBy(() -> StoreOptions.duration("--retention", bad))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("--retention");
    }
  }
}
