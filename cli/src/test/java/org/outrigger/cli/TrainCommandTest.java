package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
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
        "LogitNorm",
        "vos:queue=8",
        "cider:embedding=8",
        "palm:embedding=8:prototypeMomentum=0.9",
        "multiood:sampleNumber=8:startEpoch=2:nnK=2",
        "abet",
        "outlier-exposure",
        "hard-outlier-exposure:candidates=100",
        "energy-fine-tuning",
        "entropic-open-set",
        "mixoe:mixOp=MIXUP:alpha=1"
      })
  void everyRecipeGivesAModelThatClassifies(String recipe) {
    List<String> words =
        recipe.matches("(?i)standard|logit.*|vos.*|cider.*|palm.*|multiood.*|abet")
            ? List.of()
            : List.of("--outliers", Samples.FLOWERS.toString());
    Object[] all = new Object[9 + words.size()];
    Object[] fixed = {"--data", "iris", "--epochs", 10, "--lr", 0.02, "--json", "--recipe", recipe};
    System.arraycopy(fixed, 0, all, 0, 9);
    System.arraycopy(words.toArray(), 0, all, 9, words.size());
    // Outliers that are the data itself can only confuse: there it has to run, not to be good.
    assertThat((Double) json(train(all)).get("validationAccuracy"))
        .isGreaterThan(words.isEmpty() ? 0.6 : -1);
  }

  @Test
  void modalitiesAreTrainedOnSavedAndReportedOn() {
    String said =
        train(
                "--data",
                "wine",
                "--epochs",
                15,
                "--lr",
                0.02,
                "--patience",
                8,
                "--recipe",
                "multiood:sampleNumber=8:startEpoch=1",
                "--arch-setting",
                "parts=acids:6+colour:7",
                "--arch-setting",
                "encoders=mlp:hidden=16")
            .worked()
            .out();
    assertThat(said).contains("validation accuracy");
    // The saved model takes rows as they are, without the standardisation of the training.
    Map<String, Object> reports =
        json(
            Shell.run(
                "detect",
                "modalities",
                "--model",
                folder.resolve("m.safetensors"),
                "--id",
                "wine",
                "--ood",
                "wine",
                "--json"));
    @SuppressWarnings("unchecked")
    Map<String, Object> report = (Map<String, Object>) reports.values().iterator().next();
    @SuppressWarnings("unchecked")
    Map<String, Double> joint = (Map<String, Double>) report.get("joint");
    assertThat(joint.get("accuracy")).isGreaterThan(0.85);
    // Of the same rows as known and unknown nothing can tell.
    assertThat(joint.get("auroc")).isEqualTo(0.5);
    Shell.run(
            "detect",
            "modalities",
            "--model",
            Samples.FLOWER_MODEL,
            "--id",
            Samples.FLOWERS,
            "--ood",
            Samples.FLOWERS,
            "--label",
            "label")
        .refused("no modalities");
    train("--data", "wine", "--recipe", "multiood", "--arch", "mlp").refused("modalities");
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

  @ParameterizedTest
  @ValueSource(strings = {"mixoe", "hard-outlier-exposure"})
  void outliersPrepareAGuardFromTheCommandLine(String recipe) {
    Path guard = folder.resolve("g");
    Shell.Result result =
        train(
                "--data",
                "fashion-mnist",
                "--limit",
                400,
                "--arch",
                "lenet",
                "--epochs",
                1,
                "--recipe",
                recipe,
                "--outliers",
                "mnist",
                "--guard",
                guard,
                "--detector",
                "msp")
            .worked();
    assertThat(result.out()).contains("validation accuracy", "m.safetensors");
    assertThat(Shell.run("guard", "info", guard).worked().out()).contains("msp", "Sneaker");
  }

  @Test
  void outliersOfAKnownClassAreWarnedOf() {
    Shell.Result result =
        train(
            "--data", "iris", "--epochs", 1, "--recipe", "outlier-exposure", "--outliers", "iris");
    assertThat(result.code()).isEqualTo(ExitCode.OK);
    assertThat(result.err())
        .startsWith("Warning: ")
        .contains("known classes setosa, versicolor, virginica");
  }

  @Test
  void cutmixOfRowsSaysToMixThemUp() {
    train("--data", "iris", "--recipe", "mixoe", "--outliers", Samples.FLOWERS)
        .refused("mixoe:mixOp=MIXUP");
  }

  @Test
  void classesAreHeldOutByNameAndMeasured() {
    @SuppressWarnings("unchecked")
    Map<String, Object> held =
        (Map<String, Object>)
            json(train("--data", "iris", "--hold-out", "setosa", "--epochs", 20, "--json"))
                .get("heldOut");
    assertThat(held).containsEntry("classes", List.of("setosa")).containsEntry("rows", 50);
    assertThat((Double) held.get("aurocMsp")).isBetween(0.0, 1.0);
    assertThat(Shell.run("inspect", folder.resolve("m.safetensors")).worked().out())
        .contains("2 classes")
        .doesNotContain("setosa");
    // The base may be fine-tuned with the same classes held out, and with no others.
    Object[] more = {
      "train",
      "--from",
      folder.resolve("m.safetensors"),
      "--data",
      "iris",
      "--epochs",
      1,
      "--out",
      folder.resolve("n.safetensors"),
      "--hold-out",
      "setosa"
    };
    assertThat(Shell.run(more).worked().out())
        .contains("held-out classes      setosa", "told apart by msp");
    more[more.length - 1] = "virginica";
    Shell.run(more).refused("hold out what the model was trained without");
  }

  @Test
  void aShareOfEachGroupOfRelativesIsHeldOut() {
    Shell.Result result =
        train(
            "--data",
            Samples.CLOTHES,
            "--arch",
            "lenet",
            "--epochs",
            1,
            "--hold-out",
            0.4,
            "--related",
            "Sandal+Sneaker",
            "--related",
            "Coat+Pullover+Shirt");
    String line =
        result.worked().out().lines().filter(l -> l.startsWith("held-out")).findFirst().orElse("");
    // 0.4 of two and of three is one each; the others stay known.
    assertThat(line.substring("held-out classes".length()).strip().split(", "))
        .hasSize(2)
        .anyMatch(name -> List.of("Sandal", "Sneaker").contains(name))
        .anyMatch(name -> List.of("Coat", "Pullover", "Shirt").contains(name));
  }

  @Test
  void aShareOfAllClassesIsHeldOutAtRandomAndDependsOnTheSeed() {
    Object[] run = {"--data", "fashion-mnist", "--limit", 400, "--arch", "mlp", "--epochs", 1};
    Object[] held = Arrays.copyOf(run, run.length + 5);
    held[run.length] = "--json";
    held[run.length + 1] = "--hold-out";
    held[run.length + 2] = ".4";
    held[run.length + 3] = "--seed";
    held[run.length + 4] = 1;
    Object first = ((Map<?, ?>) json(train(held)).get("heldOut")).get("classes");
    assertThat((List<?>) first).hasSize(4);
    held[run.length + 4] = 2;
    assertThat(((Map<?, ?>) json(train(held)).get("heldOut")).get("classes")).isNotEqualTo(first);
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
  void aHeadWithALearnedTemperatureGoesFromTrainingToAGuard() {
    Path model = folder.resolve("m.safetensors");
    Path guard = folder.resolve("g");
    train(
            "--data",
            Samples.FLOWERS,
            "--label",
            "label",
            "--epochs",
            10,
            "--lr",
            0.02,
            "--recipe",
            "abet")
        .worked();
    Object[] fit = {
      "guard",
      "fit",
      "--model",
      model,
      "--data",
      Samples.FLOWERS,
      "--label",
      "label",
      "--detector",
      "abet:shaping=REACT,energy",
      "--out",
      guard
    };
    Shell.run(fit).worked();
    assertThat(Shell.run("guard", "info", guard).worked().out()).contains("abet", "REACT");
    assertThat(
            Shell.run(
                    "guard",
                    "check",
                    "--guard",
                    guard,
                    "--data",
                    Samples.FLOWERS,
                    "--label",
                    "label",
                    "--out",
                    folder.resolve("v.csv"))
                .worked()
                .out())
        .contains("150 rows judged");
    // Training goes on from the file, and it takes no second head.
    Shell.run(
            "train",
            "--from",
            model,
            "--data",
            Samples.FLOWERS,
            "--label",
            "label",
            "--epochs",
            1,
            "--lr",
            1e-4,
            "--recipe",
            "abet",
            "--out",
            folder.resolve("more.safetensors"))
        .worked();
    fit[3] = Samples.FLOWER_MODEL;
    Shell.run(fit).refused("AbeT needs a last layer with a learned temperature", "mlp");
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
    train("--data", "iris", "--outliers", "wine")
        .refused("--outliers is of no use", "outlier-exposure, ", "mixoe");
    train("--data", "iris", "--hold-out", "setose").refused("Did you mean setosa?");
    train("--data", "iris", "--hold-out", "setosa,virginica").refused("at least 2 known classes");
    train("--data", "iris", "--hold-out", "setosa", "--related", "setosa+virginica")
        .refused("--related is for a share");
    train("--data", "iris", "--recipe", "cider", "--patience", 2).refused("--patience");
    train("--data", "iris", "--resume").refused("--resume needs --checkpoint");
    train("--data", "iris", "--epochs", 0).refused("--epochs", "0");
    train("--data", "iris", "--augment", "crop").refused("--augment is for images");
    train("--data", Samples.FLOWERS).refused("has no labels", "--label");
    train("--data", "iris", "--guard", folder.resolve("g")).refused("too few", "--detector");
    train("--data", "iris:test").refused("has no part 'test'");
    Shell.run("train", "--data", "iris", "--out", folder.resolve("m.pt")).refused(".safetensors");
    Path single = folder.resolve("single.safetensors");
    Shell.run("train", "--data", "iris", "--recipe", "abet", "--batch-size", 1, "--out", single)
        .refused("2 rows or more");
    assertThat(Shell.names(folder)).isEmpty();
  }
}
