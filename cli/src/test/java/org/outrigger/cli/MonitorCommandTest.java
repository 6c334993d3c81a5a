package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;

class MonitorCommandTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void fit() throws IOException {
    write("train.csv", rows(600, 1, 0, false));
    write("validation.csv", rows(800, 2, 0, false));
    Path model = folder.resolve("model.safetensors");
    Shell.run(
        "train",
        "--data",
        folder.resolve("train.csv"),
        "--label",
        "kind",
        "--epochs",
        5,
        "--out",
        model);
    Shell.run(
            "guard",
            "fit",
            "--model",
            model,
            "--data",
            folder.resolve("validation.csv"),
            "--label",
            "kind",
            "--detector",
            "energy",
            "--out",
            folder.resolve("guard"))
        .worked();
    write("quiet.csv", rows(600, 3, 0, true));
    List<String> drifting = rows(1200, 4, 3, true);
    write("drifting.csv", drifting);
    List<String> mixed = new ArrayList<>(drifting);
    Collections.shuffle(mixed.subList(1, mixed.size()), new Random(5));
    write("mixed.csv", mixed);
  }

  /** Two kinds; the column 'wide' moves by {@code shift} from the middle on. */
  private static List<String> rows(int n, long seed, double shift, boolean timed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<String> lines = new ArrayList<>();
    lines.add((timed ? "when," : "") + "wide,high,kind");
    for (int i = 0; i < n; i++) {
      boolean red = random.nextBoolean();
      lines.add(
          (timed ? Instant.ofEpochSecond(1_767_225_600L + 60L * i) + "," : "")
              + (random.nextGaussian() + (i < n / 2 ? 0 : shift))
              + ","
              + (random.nextGaussian() + (red ? 4 : 0))
              + ","
              + (red ? "red" : "blue"));
    }
    return lines;
  }

  private static void write(String name, List<String> lines) throws IOException {
    Files.write(folder.resolve(name), lines);
  }

  private static Shell.Result monitor(String data, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "monitor",
                "--guard",
                folder.resolve("guard"),
                "--data",
                folder.resolve(data),
                "--by-time",
                "when"));
    words.addAll(List.of(more));
    return Shell.run(words.toArray());
  }

  @Test
  void quiet_data_is_quiet() {
    Shell.Result result = monitor("quiet.csv", "--label", "kind", "--fail-on-drift").worked();
    assertThat(result.out()).contains("600 rows in 3 windows, 0 of them with drift", "accuracy");
  }

  @Test
  void drift_is_told_drawn_and_written() throws IOException {
    Path page = folder.resolve("page.html");
    Path json = folder.resolve("figures.json");
    Shell.Result result = monitor("drifting.csv", "--fail-on-drift", "--out", page, "--json", json);
    assertThat(result.err()).isEmpty();
    assertThat(result.code()).isEqualTo(ExitCode.NO);
    assertThat(result.out()).contains("inputs: wide is", "above the reference");
    assertThat(Files.readString(page)).contains("Did the data drift?", "heatmap", "wide");
    var figures = Json.object("figures", Files.readString(json));
    assertThat(figures.get("rows")).isEqualTo(1200);
    assertThat((List<?>) figures.get("windows")).hasSize(6);
  }

  @Test
  void the_order_of_the_file_does_not_matter() throws IOException {
    Path one = folder.resolve("one.json");
    Path two = folder.resolve("two.json");
    monitor("drifting.csv", "--json", one).worked();
    monitor("mixed.csv", "--json", two).worked();
    assertThat(Json.object("two", Files.readString(two)).get("windows"))
        .isEqualTo(Json.object("one", Files.readString(one)).get("windows"));
  }

  @Test
  void windows_may_be_times() {
    assertThat(monitor("quiet.csv", "--window", "2h").worked().out())
        .contains("600 rows in 5 windows");
  }

  @Test
  void what_cannot_work_is_said() throws IOException {
    monitor("quiet.csv", "--window", "soon").refused("--window 'soon'");
    monitor("quiet.csv", "--patience", "2").refused("--patience '2'");
    monitor("quiet.csv", "--test", "ks-tset").refused("ks-test");
    List<String> bad = rows(30, 6, 0, true);
    bad.set(3, bad.get(3).replaceFirst("^[^,]*", "yesterday"));
    write("bad.csv", bad);
    monitor("bad.csv").refused("Row 2 has the time 'yesterday'");
    write("few.csv", rows(5, 7, 0, true));
    monitor("few.csv").refused("too few for one window");
    Shell.run("monitor", "--guard", folder.resolve("guard"), "--data", folder.resolve("few.csv"))
        .refused("--by-time COLUMN");
  }

  @Test
  void times_are_read_as_people_write_them() {
    Instant noon = Instant.parse("2026-01-31T12:00:00Z");
    for (String text :
        List.of(
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00",
            "2026-01-31 12:00",
            "2026/01/31 12:00:00",
            "2026-01-31 13:00:00+01",
            "2026-01-31T13:00:00+0100",
            "1769860800",
            "1769860800.0",
            "1769860800000",
            "1769860800000000",
            "1769860800000000000")) {
      assertThat(TimeText.parse(text, "0")).as(text).isEqualTo(noon);
    }
    assertThat(TimeText.parse("2026-01-31", "0")).isEqualTo(noon.minusSeconds(43200));
    assertThatThrownBy(() -> TimeText.parse("", "7"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Row 7");
  }
}
