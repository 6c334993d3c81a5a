package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.io.Json;

class TrainCommandTest {
  @TempDir Path folder;

  private Shell.Result train(Object... more) {
    Object[] words = new Object[more.length + 5];
    System.arraycopy(
        new Object[] {"train", "--out", folder.resolve("m.safetensors"), "--batch-size", 32},
        0,
        words,
        0,
        5);
    System.arraycopy(more, 0, words, 5, more.length);
    return Shell.run(words);
  }

  private static Map<String, Object> json(Shell.Result result) {
    return Json.object("training", result.worked().out());
  }

  @Test
  void rowsOfVeryDifferentScalesAreLearned() {
    // Wine: one column is about 0.1, another about 1,000.
    Map<String, Object> report =
        json(train("--data", "wine", "--epochs", 12, "--lr", 0.02, "--json"));
    assertThat((Double) report.get("validationAccuracy")).isGreaterThan(0.85);
    assertThat((List<?>) report.get("epochs")).hasSize(12);
  }

  @Test
  void theSavedModelTakesRowsAsTheyAre() {
    // Fitting reads the file again, without the standardisation of the training.
    Map<String, Object> info =
        Json.object("info", Shell.run("guard", "info", "--json", Samples.FLOWER_GUARD).out());
    @SuppressWarnings("unchecked")
    Map<String, Double> metrics = (Map<String, Double>) info.get("metrics");
    assertThat(metrics.get("accuracy")).isGreaterThan(0.85);
  }

  @Test
  void theSameSeedGivesTheSameFile() throws IOException {
    Path model = folder.resolve("m.safetensors");
    train("--data", "iris", "--epochs", 2, "--seed", 7).worked();
    byte[] first = Files.readAllBytes(model);
    train("--data", "iris", "--epochs", 2, "--seed", 7).worked();
    assertThat(Files.readAllBytes(model)).isEqualTo(first);
    train("--data", "iris", "--epochs", 2, "--seed", 8).worked();
    assertThat(Files.readAllBytes(model)).isNotEqualTo(first);
  }

  @Test
  void aResumedRunEndsWhereAnUninterruptedOneDoes() throws IOException {
    Path model = folder.resolve("m.safetensors");
    Object[] run = {
      "--data",
      "iris",
      "--schedule",
      "constant",
      "--checkpoint",
      folder.resolve("c"),
      "--resume",
      "--epochs",
      4
    };
    train(run).worked();
    byte[] whole = Files.readAllBytes(model);
    Files.delete(folder.resolve("c"));
    run[8] = 2;
    train(run).worked();
    assertThat(Files.readAllBytes(model)).isNotEqualTo(whole);
    run[8] = 4;
    train(run).worked();
    assertThat(Files.readAllBytes(model)).isEqualTo(whole);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "standard",
        "logit-norm:tau=0.1",
        "vos:queue=8",
        "cider:embedding=8",
        "outlier-exposure",
        "energy-fine-tuning",
        "entropic-open-set"
      })
  void everyRecipeGivesAModelThatClassifies(String recipe) {
    List<String> words =
        recipe.matches("standard|logit.*|vos.*|cider.*")
            ? List.of()
            : List.of("--outliers", "iris");
    Object[] all = new Object[9 + words.size()];
    Object[] fixed = {"--data", "iris", "--epochs", 10, "--lr", 0.02, "--json", "--recipe", recipe};
    System.arraycopy(fixed, 0, all, 0, 9);
    System.arraycopy(words.toArray(), 0, all, 9, words.size());
    // Outliers that are the data itself can only confuse: there it has to run, not to be good.
    assertThat((Double) json(train(all)).get("validationAccuracy"))
        .isGreaterThan(words.isEmpty() ? 0.6 : -1);
  }

  @Test
  void imagesAreAugmentedAndAveragedAndAGuardIsFitted() {
    Path guard = folder.resolve("g");
    Shell.Result result =
        train(
                "--data",
                Samples.CLOTHES,
                "--arch",
                "lenet",
                "--epochs",
                2,
                "--augment",
                "crop-and-flip",
                "--ema",
                0.9,
                "--clip",
                1,
                "--warm-up",
                1,
                "--optimiser",
                "adamw",
                "--validation",
                "fashion-mnist",
                "--limit",
                100,
                "--guard",
                guard,
                "--detector",
                "energy")
            .worked();
    assertThat(result.out()).contains("validation accuracy", "m.safetensors", "calibration error");
    assertThat(Shell.run("guard", "info", guard).worked().out()).contains("energy", "Sneaker");
  }

  @Test
  void metaTrainingLearnsWeightsAndSavesThem() {
    Object[] words = {
      "--data",
      Samples.CLOTHES,
      "--arch",
      "mlp",
      "--recipe",
      "mol:iterations=4:support=2:query=2:seed=3",
      "--outliers",
      "mnist",
      "--limit",
      200,
      "--size",
      28,
      "--channels",
      1,
      "--shifts",
      "rotations:90:30",
      "--json"
    };
    @SuppressWarnings("unchecked")
    Map<String, Object> meta = (Map<String, Object>) json(train(words)).get("meta");
    assertThat(meta).containsEntry("iterations", 4).containsEntry("shifts", 4);
    assertThat((Double) meta.get("outerLoss")).isPositive();
    assertThat(Files.exists(folder.resolve("m.safetensors"))).isTrue();
    words[words.length - 1] = "--strict";
    words[words.length - 2] = "corruptions:fog+contrast";
    assertThat(train(words).worked().out())
        .contains("4 over 11 shifts", "energy margins", "validation accuracy");
  }

  @Test
  void metaTrainingIsRefusedWhereItsTasksCannotBeMade() {
    train("--data", "iris", "--recipe", "mol").refused("MOL learns from outliers", "--outliers");
    train("--data", "iris", "--recipe", "mol", "--outliers", "wine", "--epochs", 3)
        .refused("--epochs is of no use", "mol:iterations");
    train("--data", "iris", "--recipe", "mol", "--outliers", "iris")
        .refused("holds rows of a table");
    train("--data", "iris", "--recipe", "mol", "--outliers", "iris", "--shifts", "waves")
        .refused("names no family", "rotations:TO:STEP");
    train("--data", "iris", "--recipe", "mol:chain=0", "--outliers", "iris").refused("chain");
    train("--data", "iris", "--shifts", "rotations").refused("--shifts is for the recipe mol");
  }

  @Test
  void patienceKeepsTheBestWeights() {
    assertThat(train("--data", "iris", "--epochs", 60, "--lr", 0.1, "--patience", 2).worked().out())
        .contains("best epoch");
  }

  @Test
  void aModelIsTrainedOn() {
    assertThat(
            train(
                    "--from",
                    Samples.FLOWER_MODEL,
                    "--data",
                    Samples.FLOWERS,
                    "--label",
                    "label",
                    "--epochs",
                    1,
                    "--lr",
                    1e-6)
                .worked()
                .out())
        .contains("validation accuracy");
    Shell.run(
            "train",
            "--from",
            Samples.FLOWER_MODEL,
            "--arch",
            "mlp",
            "--data",
            "iris",
            "--out",
            folder.resolve("x.safetensors"))
        .refused("either --from or --arch");
  }

  @Test
  void optionsThatDoNotFitAreRefusedBeforeAnythingIsWritten() throws IOException {
    train("--data", "iris", "--recipe", "cidr").refused("Did you mean cider?");
    train("--data", "iris", "--arch", "resnet8").refused("takes images");
    train("--data", "iris", "--recipe", "outlier-exposure").refused("--outliers");
    train("--data", "iris", "--outliers", "wine").refused("--outliers is of no use");
    train("--data", "iris", "--recipe", "cider", "--patience", 2).refused("--patience");
    train("--data", "iris", "--resume").refused("--resume needs --checkpoint");
    train("--data", "iris", "--epochs", 0).refused("--epochs", "0");
    train("--data", "iris", "--augment", "crop").refused("--augment is for images");
    train("--data", Samples.FLOWERS).refused("has no labels", "--label");
    train("--data", "iris", "--guard", folder.resolve("g")).refused("too few", "--detector");
    train("--data", "iris:test").refused("has no part 'test'");
    Shell.run("train", "--data", "iris", "--out", folder.resolve("m.pt")).refused(".safetensors");
    assertThat(Shell.names(folder)).isEmpty();
  }
}
