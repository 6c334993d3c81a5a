package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

class AdaptCommandsTest {
  @TempDir static Path shared;
  @TempDir Path folder;

  private static Path model;

  @BeforeAll
  static void train() {
    model = shared.resolve("resnet.safetensors");
    Shell.run(
            "train",
            "--data",
            "fashion-mnist",
            "--limit",
            320,
            "--arch",
            "resnet8",
            "--epochs",
            1,
            "--out",
            model)
        .worked();
  }

  @Test
  @SuppressWarnings("unchecked")
  void adaptersAreComparedOnAStream() throws IOException {
    Path report = folder.resolve("r.html");
    Object[] words = {
      "adapt",
      "compare",
      "--model",
      model,
      "--data",
      "fashion-mnist",
      "--limit",
      120,
      "--corruptions",
      "fog,contrast",
      "--severity",
      3,
      "--batch-size",
      32,
      "--adapters",
      "source,bn-adapt,tent:lr=0.002,safety-net/tent",
      "--report",
      report
    };
    Shell.Result table = Shell.run(words).worked();
    assertThat(table.out())
        .contains("adapter", "accuracy", "tent:lr=0.002", "safety-net", "Report: ")
        .doesNotContain("Left out");
    assertThat(Files.readString(report))
        .contains("Adapters on a stream", "Does adapting help?", "Domain by domain", "</html>");

    List<Object> json = new ArrayList<>(List.of(words));
    json.add("--json");
    Map<String, Object> figures =
        Json.object("comparison", Shell.run(json.toArray()).worked().out());
    List<Map<String, Object>> rows = (List<Map<String, Object>>) figures.get("adapters");
    assertThat(rows).hasSize(4);
    Map<String, Object> tent =
        rows.stream()
            .filter(r -> r.get("adapter").equals("tent:lr=0.002"))
            .findFirst()
            .orElseThrow();
    assertThat(tent).containsEntry("backward", 240).containsKeys("parameters", "peakMegabytes");
  }

  @Test
  void allAdaptersAreTriedAndThoseThatCannotServeAreNamed() {
    Shell.Result result =
        Shell.run(
                "adapt",
                "compare",
                "--model",
                Samples.CLOTHES_MODEL,
                "--data",
                "fashion-mnist",
                "--limit",
                40,
                "--corruptions",
                "contrast",
                "--batch-size",
                20)
            .worked();
    assertThat(result.out()).contains("source", "Left out:", "tent: TENT needs normalisation");
  }

  @Test
  void domainsOfTheirOwnTakeThePlaceOfCorruptions() {
    assertThat(
            Shell.run(
                    "adapt",
                    "compare",
                    "--model",
                    model,
                    "--domain",
                    "clothes=" + Samples.CLOTHES,
                    "--domain",
                    "again=" + Samples.CLOTHES,
                    "--limit",
                    40,
                    "--channels",
                    1,
                    "--adapters",
                    "source,tent",
                    "--stream",
                    "mixed-domains")
                .worked()
                .out())
        .contains("source", "tent");
  }

  @Test
  void aRunIsSavedResumedAndItsModelUsed() throws IOException {
    Path first = folder.resolve("first.csv");
    Path second = folder.resolve("second.csv");
    Path adapter = folder.resolve("tent.safetensors");
    Path adapted = folder.resolve("adapted.safetensors");
    Shell.Result run =
        Shell.run(
                "adapt",
                "run",
                "--model",
                model,
                "--data",
                Samples.CLOTHES,
                "--channels",
                1,
                "--batch-size",
                32,
                "--out",
                first,
                "--save-adapter",
                adapter,
                "--save-model",
                adapted)
            .worked();
    assertThat(run.out())
        .contains(
            "160 rows predicted by safety-net/tent", "Accuracy against the labels", "Model: ");
    List<String> lines = Files.readAllLines(first);
    assertThat(lines).hasSize(161);
    assertThat(lines.get(0)).isEqualTo("id,label,class_name,probability");

    assertThat(
            Shell.run(
                    "adapt",
                    "run",
                    "--model",
                    model,
                    "--data",
                    Samples.CLOTHES,
                    "--channels",
                    1,
                    "--resume",
                    adapter,
                    "--out",
                    second)
                .worked()
                .out())
        .contains("gradients from 320 of them");
    Shell.run("inspect", adapted).worked();
    Shell.run(
            "adapt",
            "run",
            "--model",
            adapted,
            "--data",
            Samples.CLOTHES,
            "--channels",
            1,
            "--adapter",
            "source",
            "--out",
            second)
        .worked();
  }

  @Test
  void aModelAdaptedOnBatchStatisticsIsSavedWithStatisticsOfItsOwn() throws IOException {
    Path adapted = folder.resolve("adapted.safetensors");
    Path before = predicted(model, "source", folder.resolve("before.csv"));
    predicted(model, "bn-adapt", folder.resolve("bn.csv"), "--save-model", adapted);
    Path after = predicted(adapted, "source", folder.resolve("after.csv"));
    assertThat(Files.readAllLines(after)).isNotEqualTo(Files.readAllLines(before));
  }

  private static Path predicted(Path network, String adapter, Path out, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "adapt", "run", "--model", network, "--data", Samples.CLOTHES, "--channels", 1));
    words.addAll(List.of("--adapter", adapter, "--out", out));
    words.addAll(List.of(more));
    Shell.run(words.toArray()).worked();
    return out;
  }

  @Test
  void badInputIsRefused() {
    Shell.run("adapt", "compare", "--model", model).refused("Name --data");
    Shell.run("adapt", "compare", "--model", model, "--data", "fashion-mnist", "--adapters", "tend")
        .refused("Did you mean tent");
    Shell.run("adapt", "compare", "--model", model, "--data", "fashion-mnist", "--stream", "contin")
        .refused("Unknown stream protocol");
    Shell.run(
            "adapt", "compare", "--model", model, "--data", "fashion-mnist", "--corruptions", "fgo")
        .refused("fog");
    Shell.run(
            "adapt",
            "run",
            "--model",
            model,
            "--data",
            "fashion-mnist",
            "--out",
            folder.resolve("p.txt"))
        .refused(".parquet, .csv or .jsonl");
    Shell.run(
            "adapt",
            "run",
            "--model",
            model,
            "--data",
            "fashion-mnist",
            "--adapter",
            "tent/source",
            "--out",
            folder.resolve("p.csv"))
        .refused("cannot be put over");
  }

  @Test
  void aGuardThatFollowsTheStreamIsFittedUsedAndRemembered() {
    Path guard = folder.resolve("following.guard");
    Shell.run(
            "guard",
            "fit",
            "--model",
            model,
            "--data",
            "fashion-mnist",
            "--limit",
            200,
            "--detector",
            "energy",
            "--adapter",
            "tent",
            "--out",
            guard)
        .worked();
    assertThat(Shell.run("guard", "info", guard).worked().out())
        .contains("adapter      safety-net/tent", "0 rows seen");
    assertThat(
            Shell.run(
                    "guard",
                    "check",
                    "--guard",
                    guard,
                    "--data",
                    "fashion-mnist",
                    "--limit",
                    100,
                    "--remember",
                    "--out",
                    folder.resolve("v.csv"))
                .worked()
                .out())
        .contains("Adapted by safety-net/tent: 100 rows used for gradients");
    assertThat(Shell.run("guard", "info", guard).worked().out()).contains("100 rows seen");
  }
}
