package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A server that is killed loses only what was not flushed, and its file stays whole. */
class CrashTest {
  static Process child(String location, long requests) throws Exception {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx512m",
            "-cp",
            System.getProperty("java.class.path"),
            CrashChild.class.getName(),
            location,
            Long.toString(requests))
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  @Test
  void whatWasFlushedIsThereAfterAKill(@TempDir Path folder) throws Exception {
    StoreSettings settings = StoreSettings.file(folder.resolve("events.duckdb"));
    long before = 0;
    for (int round = 0; round < 3; round++) {
      Process process = child(settings.location(), 0);
      long flushed = 0;
      long killed;
      // When how many requests had been offered.
      List<long[]> told = new ArrayList<>();
      try (BufferedReader out = process.inputReader()) {
        long end = 0;
        for (String line = out.readLine(); line != null; line = out.readLine()) {
          String[] words = line.split(" ");
          flushed = Long.parseLong(words[1]);
          told.add(new long[] {System.nanoTime(), Long.parseLong(words[3])});
          if (flushed > 0 && end == 0) {
            end = System.nanoTime() + 1_900_000_000L + round * 130_000_000L;
          }
          if (end != 0 && System.nanoTime() > end) {
            break;
          }
        }
        process.destroyForcibly();
        killed = System.nanoTime();
        assertThat(process.waitFor()).isEqualTo(137);
      }
      assertThat(flushed).isPositive();
      try (Running store = Running.on(settings)) {
        long now = store.queries.count("g");
        assertThat(now - before).isGreaterThanOrEqualTo(flushed);
        long at = killed;
        long old =
            told.stream()
                .filter(each -> at - each[0] > 1_500_000_000L)
                .mapToLong(each -> each[1])
                .max()
                .orElse(0);
        assertThat(now - before).isGreaterThanOrEqualTo(old * CrashChild.ROWS);
        assertThat(now % CrashChild.ROWS).isZero();
        before = now;
      }
      try (Database database = Database.of(settings);
          var connection = database.connect();
          var statement = connection.createStatement();
          var broken =
              statement.executeQuery(
                  "SELECT count(*) FROM (SELECT request FROM events GROUP BY request"
                      + " HAVING count(*) % "
                      + CrashChild.ROWS
                      + " <> 0)")) {
        broken.next();
        assertThat(broken.getLong(1)).as("half requests").isZero();
      }
    }
  }

  @Test
  void aCleanStopLosesNothing(@TempDir Path folder) throws Exception {
    StoreSettings settings = StoreSettings.file(folder.resolve("events.duckdb"));
    Process process = child(settings.location(), 5_000);
    String last = "";
    try (BufferedReader out = process.inputReader()) {
      for (String line = out.readLine(); line != null; line = out.readLine()) {
        last = line;
      }
    }
    assertThat(process.waitFor()).isZero();
    assertThat(last).isEqualTo("closed");
    try (Running store = Running.on(settings)) {
      assertThat(store.queries.count("g")).isEqualTo(5_000L * CrashChild.ROWS);
    }
  }
}
