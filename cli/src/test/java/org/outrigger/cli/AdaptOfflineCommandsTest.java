package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

/** The commands adapt few-shot and adapt heterogeneous. */
class AdaptOfflineCommandsTest {
  @TempDir Path folder;

  private static Shell.Result fewShot(Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "adapt",
                "few-shot",
                "--model",
                Samples.FLOWER_MODEL,
                "--data",
                Samples.FLOWERS,
                "--label",
                "label",
                "--steps-lp",
                10,
                "--steps-ft",
                20));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  @Test
  void aModelIsAdaptedReportedAndArchived() throws IOException {
    Path out = folder.resolve("adapted.safetensors");
    Path report = folder.resolve("r.html");
    Path archive = folder.resolve("archive");
    Shell.Result result =
        fewShot("--shots", 2, "--out", out, "--report", report, "--archive", archive).worked();
    assertThat(result.out())
        .contains("6 rows to learn from, 3 to choose the checkpoint, 30 to measure.")
        .contains("after LP", "selected", "validation loss", "Model: " + out);
    assertThat(Files.readString(report)).contains("<html", "How the checkpoint was chosen");
    assertThat(archive.resolve("adaptation.json")).exists();
    Shell.run("inspect", out).worked();
  }

  @Test
  @SuppressWarnings("unchecked")
  void theReportComesAsJsonAndSettingsAreTakenOver() {
    Path out = folder.resolve("adapted.safetensors");
    String json =
        fewShot(
                "--shots",
                1,
                "--strategy",
                "ft",
                "--setting",
                "sam=true",
                "--setting",
                "valFreq=5",
                "--holdout",
                0,
                "--out",
                out,
                "--json")
            .worked()
            .out();
    Map<String, Object> report = Json.object("report", json);
    assertThat((Map<String, Object>) report.get("settings"))
        .containsEntry("k", 1)
        .containsEntry("strategy", "FT")
        .containsEntry("sam", true);
    assertThat((List<Object>) report.get("curve")).hasSize(5);
    assertThat((Map<String, Object>) report.get("test")).isEmpty();
  }

  @Test
  void whatCannotBeAdaptedIsRefused() {
    Path out = folder.resolve("adapted.safetensors");
    fewShot("--shots", 60, "--out", out).refused("50 labelled rows of class", "lower k");
    fewShot("--shots", 0, "--out", out).refused("k = 0");
    fewShot("--strategy", "lpft", "--out", out).refused("lp-ft");
    fewShot("--strategy", "bn", "--out", out).refused("norms part has no parameter");
    fewShot("--out", folder.resolve("none").resolve("m.safetensors")).refused("none");
    fewShot("--setting", "sharp=1", "--out", out).refused("no hyper-parameter 'sharp'");
    assertThat(out).doesNotExist();
  }

  /** Every tenth flower in one file, the others in another. */
  private void tables(Path few, Path many) throws IOException {
    List<String> lines = Files.readAllLines(Samples.FLOWERS);
    List<String> some = new ArrayList<>(List.of(lines.get(0)));
    List<String> rest = new ArrayList<>(List.of(lines.get(0)));
    IntStream.range(1, lines.size()).forEach(i -> (i % 10 == 0 ? some : rest).add(lines.get(i)));
    Files.write(few, some);
    Files.write(many, rest);
  }

  private static String features(Path table) throws IOException {
    return Files.readAllLines(table).get(0).replace(",label", "");
  }

  private Shell.Result heterogeneous(Path few, Path many, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "adapt",
                "heterogeneous",
                "--labelled",
                few,
                "--unlabelled",
                many,
                "--label",
                "label",
                "--out",
                folder.resolve("p.csv"),
                "--setting",
                "iterations=30"));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  @Test
  void noiseOrATableServesAsASource() throws IOException {
    Path few = folder.resolve("few.csv");
    Path many = folder.resolve("many.csv");
    tables(few, many);
    Path learned = folder.resolve("ktf.safetensors");
    Shell.Result result =
        heterogeneous(
                few, many, "--truth", "--noise", "separated", "--width", 16, "--save", learned)
            .worked();
    assertThat(result.out())
        .contains("Gaussian, separation 2", "MMD", "ln C = 1.099", "without a source");
    List<String> predictions = Files.readAllLines(folder.resolve("p.csv"));
    assertThat(predictions).hasSize(Files.readAllLines(many).size());
    assertThat(predictions.get(0)).isEqualTo("id,label,class_name,probability");
    Shell.run(
            "adapt",
            "heterogeneous",
            "--learned",
            learned,
            "--unlabelled",
            many,
            "--features",
            features(many),
            "--out",
            folder.resolve("again.csv"))
        .worked();
    assertThat(Files.readAllLines(folder.resolve("again.csv"))).isEqualTo(predictions);
    heterogeneous(few, many, "--learned", learned).refused("leave out --labelled");
    Shell.run("adapt", "heterogeneous", "--noise", "uniform", "--unlabelled", many, "--out", few)
        .refused("--labelled");
    // Rows without a label column are labelled alike, and nothing is measured.
    Path bare = folder.resolve("bare.csv");
    Files.write(
        bare,
        Files.readAllLines(many).stream().map(line -> line.replaceAll(",[^,]*$", "")).toList());
    assertThat(Files.readAllLines(Samples.FLOWERS).get(0)).endsWith(",label");
    Shell.Result unmeasured =
        heterogeneous(few, bare, "--noise", "separated", "--width", 16).worked();
    assertThat(unmeasured.out()).doesNotContain("Accuracy");
    assertThat(Files.readAllLines(folder.resolve("p.csv"))).isEqualTo(predictions);
    assertThat(heterogeneous(few, many, "--source-table", Samples.FLOWERS).worked().out())
        .contains("iris.csv");
    for (String noise : List.of("uniform", "laplace", "moments")) {
      heterogeneous(few, many, "--noise", noise, "--width", 8).worked();
    }
  }

  @Test
  void aSourceIsNeededAndMustHaveLabels() throws IOException {
    Path few = folder.resolve("few.csv");
    Path many = folder.resolve("many.csv");
    tables(few, many);
    heterogeneous(few, many).refused("--source-table", "--noise", "--learned");
    heterogeneous(few, many, "--noise", "pink").refused("pink");
    heterogeneous(few, many, "--noise", "uniform", "--source-table", few).refused("exclusive");
    heterogeneous(few, many, "--source-table", few, "--source-label", "nope").refused("nope");
    heterogeneous(few, many, "--noise", "moments", "--separation", 0).refused("alpha");
    assertThat(folder.resolve("p.csv")).doesNotExist();
  }
}
