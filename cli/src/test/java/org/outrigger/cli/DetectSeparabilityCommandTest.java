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

class DetectSeparabilityCommandTest {
  @TempDir Path folder;

  private static Shell.Result run(Object... more) {
    List<Object> words =
        new ArrayList<>(List.of("detect", "separability", "--limit", 120, "--steps", 40));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  @Test
  void aBackboneIsJudgedOnDigitsAndOnTheClothesThatItKnows() throws IOException {
    Path report = folder.resolve("r.html");
    Shell.Result result =
        run(
                "--model",
                Samples.CLOTHES_MODEL,
                "--id",
                "mnist",
                "--ood",
                "fashion-mnist",
                Samples.CLOTHES,
                "--report",
                report)
            .worked();
    assertThat(result.out())
        .contains("accuracy of the probe", "separable", "AUROC distance", "Fashion-MNIST test:")
        .contains("60 rows to fit, 60 to test");
    assertThat(Files.readString(report))
        .contains("<html", "How far can this backbone be trusted?", "accepted by MSP", "</html>");
  }

  @Test
  @SuppressWarnings("unchecked")
  void figuresComeAsJsonWithTheDifferenceToAnotherBackbone() throws IOException {
    Path report = folder.resolve("r.html");
    Object[] words = {
      "--report",
      report,
      "--model",
      Samples.CLOTHES_MODEL,
      "--against",
      Samples.CLOTHES_MODEL,
      "--id",
      "mnist",
      "--fit-data",
      "mnist:train",
      "--ood",
      "fashion-mnist",
      "--k",
      3,
      "--bank",
      0.5,
      "--json"
    };
    Map<String, Object> json = Json.object("separability", run(words).worked().out());
    assertThat(json).containsEntry("fitRows", 120).containsEntry("testRows", 120);
    List<Map<String, Object>> unknown = (List<Map<String, Object>>) json.get("unknown");
    assertThat(unknown).hasSize(1);
    assertThat(unknown.get(0))
        .containsKeys("linearSeparability", "msp", "energy", "knn", "unsafe", "advice");
    // A backbone does not differ from itself.
    List<Map<String, Object>> difference = (List<Map<String, Object>>) json.get("difference");
    assertThat(difference).hasSize(1);
    assertThat(difference.get(0))
        .containsEntry("msp", 0.0)
        .containsEntry("knn", 0.0)
        .containsEntry("name", unknown.get(0).get("name"));
    assertThat(Files.readString(report)).contains("Compared with", "+0.000");
  }

  @Test
  void theModelsOwnHeadIsJudgedOnItsClasses() {
    assertThat(
            run(
                    "--model",
                    Samples.CLOTHES_MODEL,
                    "--id",
                    "fashion-mnist",
                    "--ood",
                    "mnist",
                    "--own-head")
                .worked()
                .out())
        .contains("accuracy of the model");
  }

  @Test
  void whatCannotBeMeasuredIsRefused() throws IOException {
    Path report = folder.resolve("r.html");
    run("--model", Samples.CLOTHES_MODEL, "--id", "mnist", "--ood", "mnist", "--report", report)
        .refused("are known classes too");
    run("--model", Samples.FLOWER_MODEL, "--id", "iris", "--ood", Samples.FLOWERS)
        .refused("state that no class is shared");
    run("--model", Samples.CLOTHES_MODEL, "--id", Samples.FLOWERS, "--ood", "mnist")
        .refused("has no labels");
    run("--model", Samples.CLOTHES_MODEL, "--id", "mnist", "--ood", "fashion-mnist", "--k", 0)
        .refused("k = 0");
    run("--model", Samples.CLOTHES_MODEL, "--id", "mnist", "--ood", "fashion-mnist", "--k", 60)
        .refused("k = 60");
    run("--model", Samples.CLOTHES_MODEL, "--id", "mnist").refused("--ood");
    assertThat(Shell.names(folder)).isEmpty();
  }

  @Test
  void theUserMayStateThatNoClassIsShared() {
    assertThat(
            run(
                    "--model",
                    Samples.FLOWER_MODEL,
                    "--id",
                    "iris",
                    "--ood",
                    Samples.FLOWERS,
                    "--no-shared-class")
                .worked()
                .out())
        .contains("iris.csv");
  }
}
