package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

class EarCommandTest {
  @TempDir Path folder;

  /** Iris as another instrument sees it: every measurement is three too large. */
  private Path otherInstrument() throws IOException {
    List<String> lines = Files.readAllLines(Samples.FLOWERS);
    List<String> names = List.of(lines.get(0).split(",", -1));
    List<String> moved = new ArrayList<>(List.of(lines.get(0)));
    for (String line : lines.subList(1, lines.size())) {
      String[] cells = line.split(",", -1);
      for (int i = 0; i < cells.length; i++) {
        if (!names.get(i).equals("label")) {
          cells[i] = Double.toString(Double.parseDouble(cells[i]) + 3);
        }
      }
      moved.add(String.join(",", cells));
    }
    return Files.write(folder.resolve("other.csv"), moved);
  }

  private static Shell.Result train(Object... more) {
    List<Object> words = new ArrayList<>(List.of("adapt", "ear", "train", "--label", "label"));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  private Shell.Result start(Path out, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "--model",
                Samples.FLOWER_MODEL,
                "--domain",
                "garden=" + Samples.FLOWERS,
                "--setting",
                "hyperDimension=500",
                "--setting",
                "candidates=3",
                "--setting",
                "steps=150",
                "--setting",
                "learningRate=0.02",
                "--out",
                out));
    words.addAll(Arrays.asList(more));
    return train(words.toArray());
  }

  @Test
  @SuppressWarnings("unchecked")
  void domainsAreLearnedOneAfterTheOtherReportedAndPredictedWith() throws IOException {
    Path ear = folder.resolve("flowers.ear");
    Path other = otherInstrument();
    assertThat(start(ear).worked().out())
        .contains("garden: 120 rows", "best of 3 candidates", "1 domain;", "EAR: " + ear);
    assertThat(train("--from", ear, "--domain", "lab=" + other, "--out", ear).worked().out())
        .contains("lab: 120 rows", "nearest before: garden", "2 domains;");

    Shell.Result report =
        Shell.run(
                "adapt",
                "ear",
                "report",
                "--ear",
                ear,
                "--label",
                "label",
                "--domain",
                "lab=" + other,
                "--domain",
                "garden=" + Samples.FLOWERS)
            .worked();
    assertThat(report.out()).contains("to garden", "to lab", "threshold", "2 domains; adaptors");
    Map<String, Object> json =
        Json.object(
            "report",
            Shell.run(
                    "adapt",
                    "ear",
                    "report",
                    "--ear",
                    ear,
                    "--label",
                    "label",
                    "--domain",
                    "lab=" + other,
                    "--json")
                .worked()
                .out());
    Map<String, Object> test = ((List<Map<String, Object>>) json.get("tests")).get(0);
    assertThat((double) test.get("routingAccuracy")).isGreaterThan(0.6);
    assertThat((double) test.get("accuracy")).isGreaterThan(0.6);

    Path routed = folder.resolve("routed.csv");
    assertThat(
            Shell.run("adapt", "ear", "predict", "--ear", ear, "--data", other, "--out", routed)
                .worked()
                .out())
        .contains("150 rows predicted", "garden: ", "lab: ", "Predictions: " + routed);
    List<String> rows = Files.readAllLines(routed);
    assertThat(rows).hasSize(151);
    assertThat(rows.get(0)).isEqualTo("id,label,class_name,probability,domain,score,unknown");
    assertThat(rows.stream().filter(row -> row.contains(",lab,")).count()).isGreaterThan(90);
  }

  @Test
  void dataThatLooksLikeANewDomainIsAnnounced() {
    Path ear = folder.resolve("flowers.ear");
    start(ear, "--setting", "quantile=0.99", "--setting", "window=20").worked();
    Path routed = folder.resolve("routed.parquet");
    assertThat(
            Shell.run(
                    "adapt",
                    "ear",
                    "predict",
                    "--ear",
                    ear,
                    "--data",
                    Samples.FLOWERS,
                    "--out",
                    routed)
                .worked()
                .out())
        .contains("150 rows predicted", "looks like a new domain", "ear train --from");
    assertThat(routed).isNotEmptyFile();
  }

  @Test
  void whatWasLearnedComesAsJson() {
    Map<String, Object> json =
        Json.object("ear", start(folder.resolve("flowers.ear"), "--json").worked().out());
    assertThat(json).containsKeys("domains", "rankings", "encoderParameters");
  }

  @Test
  void whatCannotBeLearnedIsRefusedAndNothingIsLeftBehind() throws IOException {
    Path ear = folder.resolve("flowers.ear");
    String garden = "garden=" + Samples.FLOWERS;
    train("--domain", garden, "--out", ear).refused("--model", "--from");
    train("--model", Samples.FLOWER_MODEL, "--from", ear, "--domain", garden, "--out", ear)
        .refused("not both");
    train("--from", ear, "--domain", garden, "--out", ear, "--setting", "steps=2")
        .refused("leave --setting out");
    train("--from", ear, "--domain", garden, "--out", ear).refused("does not exist");
    train("--model", Samples.FLOWER_MODEL, "--out", ear).refused("--domain");
    start(ear, "--setting", "steps=0").refused("steps = 0");
    start(ear, "--setting", "stepss=9").refused("has no hyper-parameter 'stepss'");
    start(ear, "--setting", "taps=fc9").refused("no tap 'fc9'");
    Shell.run(
            "adapt",
            "ear",
            "train",
            "--model",
            Samples.FLOWER_MODEL,
            "--domain",
            garden,
            "--features",
            "sepal length",
            "--out",
            ear)
        .refused("no column 'sepal length'");
    Shell.run("adapt", "ear", "report", "--ear", Samples.FLOWER_GUARD).refused("saved guard");
    assertThat(Shell.names(folder)).isEmpty();
  }
}
