package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

class StreamCommandsTest {
  @TempDir Path folder;

  /** Users 10, 20, 30, ... on three items; what user 10 thinks changes half way. */
  private Path clicks() throws IOException {
    StringBuilder text = new StringBuilder("time,user,item,clicked\n");
    for (int i = 599; i >= 0; i--) {
      int user = 10 * (1 + i % 5);
      int clicked = (user / 10 + (i % 3)) % 2;
      text.append(i).append(',').append(user).append(',').append(i % 3).append(',');
      text.append(i < 300 ? clicked : 1 - clicked).append('\n');
    }
    return Files.writeString(folder.resolve("clicks.csv"), text);
  }

  @Test
  @SuppressWarnings("unchecked")
  void aLogIsReplayedInTheOrderOfTimeAndTheMemoryFollowsIt() throws IOException {
    Path report = folder.resolve("r.html");
    Object[] words = {
      "stream",
      "reloop2",
      "--data",
      clicks(),
      "--label",
      "clicked",
      "--time-column",
      "time",
      "--train",
      0.5,
      "--slots",
      5,
      "--epochs",
      60,
      "--set",
      "memory=samples",
      "--set",
      "k=5",
      "--set",
      "lambda=1",
      "--report",
      report,
      "--json"
    };
    Map<String, Object> json = Json.object("replay", Shell.run(words).worked().out());
    List<Map<String, Object>> slots = (List<Map<String, Object>>) json.get("slots");
    assertThat(slots).hasSize(5);
    assertThat((double) slots.get(0).get("auc")).isLessThan(0.2);
    assertThat(slots.get(0).get("correctedAuc")).isEqualTo(slots.get(0).get("auc"));
    assertThat((double) slots.get(4).get("correctedAuc")).isGreaterThan(0.8);
    assertThat(Files.readString(report))
        .contains("<html", "What an error memory corrects", "AUC of each slot", "</html>");
  }

  @Test
  void withoutDataClicksAreMadeUpAndTheRecommenderMayBeTrainedFurther() {
    Shell.Result result =
        Shell.run(
                "stream",
                "reloop2",
                "--epochs",
                1,
                "--set",
                "arrays=4",
                "--set",
                "bits=6",
                "--incremental")
            .worked();
    assertThat(result.out()).contains("AUC corrected", "After the first slot: AUC", "MB.");
  }

  @Test
  void aLogThatCannotBeReplayedIsRefused() throws IOException {
    Path data = clicks();
    Shell.run("stream", "reloop2", "--data", data).refused("no labels", "--label");
    Shell.run("stream", "reloop2", "--data", data, "--label", "user").refused("0 and 1");
    Shell.run("stream", "reloop2", "--set", "lambda=2").refused("lambda = 2.0 is out of range");
    Shell.run("stream", "reloop2", "--set", "lamda=1").refused("lambda");
    Shell.run("stream", "reloop2", "--train", 1).refused("--train");
    Shell.run("stream", "reloop2", "--data", data, "--label", "clicked", "--slots", 1000)
        .refused("too few");
  }

  @Test
  @SuppressWarnings("unchecked")
  void aSimulatedFailureIsForecast() throws IOException {
    Path report = folder.resolve("l.html");
    Object[] words = {
      "stream", "link-load", "--nodes", 5, "--chords", 1, "--epochs", 2, "--report", report
    };
    assertThat(Shell.run(words).worked().out())
        .contains("fails after 14 periods", "cfc", "incremental", "hybrid", "persistence")
        .contains("Best after the failure: ");
    assertThat(Files.readString(report)).contains("Forecasts through a failure", "</html>");
  }

  @Test
  @SuppressWarnings("unchecked")
  void aTableOfLoadsMayHaveGaps() throws IOException {
    StringBuilder text = new StringBuilder("minute,a,b\n");
    for (int t = 0; t < 200; t++) {
      double load = 1 + Math.sin(t * Math.PI / 6) + (t < 120 ? 0 : 2);
      text.append(5 * t).append(',').append(t == 50 ? "" : load).append(',').append(2 * load);
      text.append('\n');
    }
    Path data = Files.writeString(folder.resolve("loads.csv"), text);
    Object[] words = {
      "stream",
      "link-load",
      "--data",
      data,
      "--time-column",
      "minute",
      "--period",
      12,
      "--horizon",
      2,
      "--change-at",
      119,
      "--epochs",
      2,
      "--cells",
      "ltc",
      "--json"
    };
    Shell.Result result = Shell.run(words);
    assertThat(result.code()).isEqualTo(ExitCode.OK);
    assertThat(result.err()).contains("1 row of");
    Map<String, Object> json = Json.object("links", result.out());
    assertThat(json).containsEntry("links", List.of("a", "b")).containsEntry("horizon", 2);
    List<Map<String, Object>> rows = (List<Map<String, Object>>) json.get("forecasters");
    assertThat(rows)
        .extracting(row -> row.get("name"))
        .containsExactly("ltc", "incremental", "hybrid", "persistence");
    Shell.run("stream", "link-load", "--data", data).refused("--change-at");
    Shell.run("stream", "link-load", "--change-at", 5).refused("--data");
    Shell.run("stream", "link-load", "--cells", "gru").refused("--cells");
  }
}
