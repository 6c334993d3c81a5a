package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

class RankCommandTest {
  @TempDir Path folder;
  private Path models;

  /** A trained network, one whose weights are as drawn, one that takes rows, and a broken file. */
  @BeforeEach
  void models() throws IOException {
    models = Files.createDirectory(folder.resolve("models"));
    Files.copy(Samples.CLOTHES_MODEL, models.resolve("clothes.safetensors"));
    Files.copy(Samples.FLOWER_MODEL, models.resolve("flowers.safetensors"));
    Shell.run(
            "train",
            "--data",
            "fashion-mnist",
            "--limit",
            40,
            "--arch",
            "lenet",
            "--epochs",
            1,
            "--out",
            models.resolve("hardly.safetensors"))
        .worked();
    Files.writeString(models.resolve("broken.pt"), "no model");
    Files.writeString(models.resolve("notes.txt"), "no model either");
  }

  private Shell.Result run(Object... more) {
    List<Object> words =
        new ArrayList<>(List.of("rank", "--models", models, "--data", "mnist", "--limit", 120));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  @Test
  void modelsAreRankedByAllScoresAndWhatDoesNotFitIsNamed() throws IOException {
    Path report = folder.resolve("r.html");
    String out = run("--report", report).worked().out();
    assertThat(out)
        .contains("2 candidates for MNIST test (120 rows, 10 classes), by logme")
        .contains("clothes", "hardly", "hscore-regularised", "tmi (one scale)", "probe-accuracy")
        .contains("Left out:", "  broken: ", "  flowers: ")
        .doesNotContain("notes");
    // The trained one is first.
    assertThat(out.indexOf("clothes")).isLessThan(out.indexOf("hardly"));
    assertThat(Files.readString(report))
        .contains("<html", "Which model?", "first by", "Left out", "</html>");
  }

  @Test
  @SuppressWarnings("unchecked")
  void layersAreCandidatesTooAndScoresThatNeedAClassifierLeaveThemOut() {
    Map<String, Object> json =
        Json.object(
            "rank",
            run("--layers", "--scores", "tmi:minDist=0.01,leep,hscore", "--by", "hscore", "--json")
                .worked()
                .out());
    List<Map<String, Object>> candidates = (List<Map<String, Object>>) json.get("candidates");
    assertThat(candidates).extracting(c -> c.get("name")).contains("clothes", "clothes@conv1");
    for (Map<String, Object> each : candidates) {
      boolean layer = ((String) each.get("name")).contains("@");
      Map<String, Object> scores = (Map<String, Object>) each.get("scores");
      assertThat(scores.keySet())
          .isEqualTo(
              layer
                  ? java.util.Set.of("tmi:minDist=0.01", "hscore")
                  : java.util.Set.of("tmi:minDist=0.01", "leep", "hscore"));
    }
    List<Double> sorted =
        candidates.stream()
            .map(c -> ((Map<String, Number>) c.get("scores")).get("hscore").doubleValue())
            .toList();
    assertThat(sorted).isSortedAccordingTo((a, b) -> Double.compare(b, a));
    Map<String, Object> agreement =
        (Map<String, Object>) ((Map<String, Object>) json.get("agreement")).get("scores");
    assertThat((Map<String, Object>) agreement.get("hscore")).containsKey("tmi:minDist=0.01");
  }

  @Test
  void accuraciesJudgeTheScores() throws IOException {
    Path accuracies = folder.resolve("a.csv");
    Files.writeString(accuracies, "model,accuracy\nclothes.safetensors,0.9\n\"hardly\",0.5\n");
    String out =
        run("--scores", "logme,hscore-regularised", "--accuracies", accuracies).worked().out();
    assertThat(out)
        .contains("How well the scores predict the accuracies:")
        .containsPattern("logme +2 +\\+1\\.00")
        .contains("0.9000", "Rel@1");
    Files.writeString(accuracies, "clothes,ninety\n");
    run("--accuracies", accuracies).refused("holds no accuracy");
    Files.writeString(accuracies, "model,accuracy\nclothes,-1\n");
    run("--accuracies", accuracies).refused("line 2", "MODEL,ACCURACY");
    Files.writeString(accuracies, "clothes,0.9\nother,0.8\n");
    run("--scores", "logme", "--accuracies", accuracies).refused("only these have: [clothes]");
  }

  @Test
  void rowsOfATableAreRankedToo() {
    String out =
        Shell.run(
                "rank",
                "--models",
                Samples.FLOWER_MODEL,
                "--data",
                Samples.FLOWERS,
                "--label",
                "label",
                "--scores",
                "logme,nce")
            .worked()
            .out();
    assertThat(out).contains("1 candidate for iris.csv (150 rows, 3 classes)");
  }

  @Test
  void whatCannotWorkIsRefusedInOneLine() throws IOException {
    Path empty = Files.createDirectory(folder.resolve("empty"));
    Shell.run("rank", "--models", empty, "--data", "mnist").refused("no model file");
    Shell.run("rank", "--models", models.resolve("broken.pt"), "--data", "mnist")
        .refused("None of 1 model could be scored. broken: ");
    run("--scores", "logmee").refused("Did you mean logme");
    run("--scores", "logme", "--by", "tmi").refused("--by tmi", "logme");
    run("--scores", "tmi:k=0").refused("k = 0");
    Shell.run("rank", "--models", models, "--data", Samples.FLOWERS).refused("has no labels");
    Shell.run("rank", "--models", models).refused("--data");
  }
}
