package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.io.Json;

class GuardCommandsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"csv", "parquet", "jsonl"})
  void everyRowGetsAVerdictInEveryFormat(String format) throws SQLException {
    Path verdicts = folder.resolve("v." + format);
    Shell.Result result =
        Shell.run(
                "guard",
                "check",
                "--guard",
                Samples.FLOWER_GUARD,
                "--data",
                Samples.FLOWERS,
                "--label",
                "label",
                "--out",
                verdicts)
            .worked();
    assertThat(result.out()).contains("150 rows judged", "0 could not be read");
    try (var connection = DriverManager.getConnection("jdbc:duckdb:");
        var statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT count(*), count(DISTINCT id), avg(CASE WHEN \"unknown\" THEN 1 ELSE 0 END),"
                    + " min(probability), max(probability), count(DISTINCT class_name) FROM '"
                    + verdicts
                    + "'")) {
      assertThat(rows.next()).isTrue();
      assertThat(rows.getInt(1)).isEqualTo(150);
      assertThat(rows.getInt(2)).isEqualTo(150);
      assertThat(rows.getDouble(3)).isBetween(0.0, 0.2);
      assertThat(rows.getDouble(4)).isBetween(1.0 / 3, 1.0);
      assertThat(rows.getDouble(5)).isBetween(rows.getDouble(4), 1.0);
      assertThat(rows.getInt(6)).isEqualTo(3);
    }
  }

  @Test
  void rowsKeepTheNamesOfTheIdColumn() throws IOException {
    Path rows = folder.resolve("rows.csv");
    Files.writeString(rows, "x1,x2,x3,x4,order_id\n5.1,3.5,1.4,0.2,A-7\n900,-50,3,800,B-1\n");
    Path verdicts = folder.resolve("v.csv");
    Shell.run(
            "guard",
            "check",
            "--guard",
            Samples.FLOWER_GUARD,
            "--data",
            rows,
            "--id-column",
            "order_id",
            "--out",
            verdicts)
        .worked();
    List<String> lines = Files.readAllLines(verdicts);
    assertThat(lines).hasSize(3);
    assertThat(lines.get(1)).startsWith("A-7,");
    assertThat(lines.get(2)).startsWith("B-1,").contains(",true,");
  }

  @Test
  void columnsAreFoundByTheNamesOfTheFittedData() throws IOException {
    Path straight = folder.resolve("straight.csv");
    Files.writeString(straight, "x1,x2,x3,x4\n5.1,3.5,1.4,0.2\n6.3,2.9,5.6,1.8\n");
    Path other = folder.resolve("other.csv");
    Files.writeString(other, "seen,x4,x3,x2,x1,extra\n1,0.2,1.4,3.5,5.1,7\n2,1.8,5.6,2.9,6.3,8\n");
    List<List<String>> verdicts = new java.util.ArrayList<>();
    for (Path rows : List.of(straight, other)) {
      Path out = folder.resolve("v.csv");
      Shell.run("guard", "check", "--guard", Samples.FLOWER_GUARD, "--data", rows, "--out", out)
          .worked();
      verdicts.add(Files.readAllLines(out));
    }
    assertThat(verdicts.get(1)).isEqualTo(verdicts.get(0)).hasSize(3);
  }

  @Test
  void aGuardThatNotedNoColumnsTakesThemInOrder() throws IOException {
    Path old = Files.createDirectory(folder.resolve("old.guard"));
    try (var files = Files.list(Samples.FLOWER_GUARD)) {
      for (Path file : files.toList()) {
        Files.copy(file, old.resolve(file.getFileName()));
      }
    }
    Path manifest = old.resolve("manifest.json");
    String text = Files.readString(manifest);
    String without = text.replaceFirst("\"features\"\\s*:\\s*\\[[^]]*],", "");
    assertThat(without).isNotEqualTo(text);
    Files.writeString(manifest, without);
    Path rows = folder.resolve("rows.csv");
    Files.writeString(rows, "a,b,c,d\n5.1,3.5,1.4,0.2\n6.3,2.9,5.6,1.8\n");
    Path out = folder.resolve("v.csv");
    Shell.run("guard", "check", "--guard", old, "--data", rows, "--out", out).worked();
    assertThat(Files.readAllLines(out)).hasSize(3);
  }

  @Test
  void anImageFolderIsFittedJudgedAndMeasured() throws IOException {
    Path guard = folder.resolve("clothes.guard");
    Shell.Result fit =
        Shell.run(
                "guard",
                "fit",
                "--model",
                Samples.CLOTHES_MODEL,
                "--data",
                Samples.CLOTHES,
                "--out",
                guard)
            .worked();
    assertThat(fit.out()).contains("chosen", "calibration error", "known inputs accepted");

    Path verdicts = folder.resolve("v.csv");
    Shell.run(
            "guard", "check", "--guard", guard, "--data", "mnist", "--limit", 50, "--out", verdicts)
        .worked();
    assertThat(Files.readAllLines(verdicts)).hasSize(51);

    Path report = folder.resolve("r.html");
    Shell.Result evaluate =
        Shell.run(
                "guard",
                "evaluate",
                "--guard",
                guard,
                "--id",
                "fashion-mnist:train",
                "--ood",
                "mnist",
                "mnist:train",
                "--limit",
                100,
                "--report",
                report)
            .worked();
    assertThat(evaluate.out()).contains("accuracy", "MNIST test", "MNIST train", "Report: ");
    assertThat(Files.readString(report)).contains("<html", "MNIST test", "</html>");
    assertThat(Shell.names(folder)).noneMatch(name -> name.contains("tmp"));
  }

  @Test
  void theClassesOfAFolderAreMatchedToTheModelsByName() {
    Map<String, Object> byName = evaluate("fashion-mnist");
    Map<String, Object> byFolder = evaluate(Samples.CLOTHES.toString());
    assertThat(byFolder).isEqualTo(byName);
  }

  private Map<String, Object> evaluate(String known) {
    Path guard = folder.resolve("named.guard");
    Shell.run(
            "guard",
            "fit",
            "--model",
            Samples.CLOTHES_MODEL,
            "--data",
            "fashion-mnist",
            "--limit",
            160,
            "--detector",
            "energy",
            "--out",
            guard)
        .worked();
    Shell.Result result =
        Shell.run("guard", "evaluate", "--guard", guard, "--id", known, "--limit", 160, "--json")
            .worked();
    Map<String, Object> json = Json.object("evaluation", result.out());
    assertThat(json).containsKey("known");
    @SuppressWarnings("unchecked")
    Map<String, Object> figures = (Map<String, Object>) json.get("known");
    assertThat(figures.get("accuracy")).isNotNull();
    return Map.of("accuracy", figures.get("accuracy"));
  }

  @Test
  void infoSaysWhereAGuardComesFrom() {
    assertThat(Shell.run("guard", "info", Samples.FLOWER_GUARD).worked().out())
        .contains(
            "energy:temperature=1", "knn:", "k=5", "threshold", "iris.csv, 150 rows", "SHA-256")
        .contains("x1, x2, x3, x4");
    assertThat(
            Json.object(
                "info", Shell.run("guard", "info", "--json", Samples.FLOWER_GUARD).worked().out()))
        .containsKeys("model", "classNames", "threshold", "detectors");
  }

  @Test
  void aGuardIsReplacedWhole() throws IOException {
    Path guard = folder.resolve("g");
    for (String detector : List.of("energy", "msp")) {
      Shell.run(
              "guard",
              "fit",
              "--model",
              Samples.FLOWER_MODEL,
              "--data",
              Samples.FLOWERS,
              "--label",
              "label",
              "--detector",
              detector,
              "--accept",
              0.9,
              "--no-calibration",
              "--out",
              guard)
          .worked();
    }
    assertThat(Shell.run("guard", "info", guard).out()).contains("msp").contains("none");
    assertThat(Files.list(folder)).containsExactly(guard);
  }
}
