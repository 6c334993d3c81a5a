package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.calibrate.AutoCalibrator;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.torch.Torch;

class CalibrateCommandTest {
  @TempDir Path folder;

  private static Shell.Result flowers(Object... more) {
    Object[] first = {
      "calibrate", "--model", Samples.FLOWER_MODEL, "--data", Samples.FLOWERS, "--label", "label"
    };
    Object[] all = java.util.Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return Shell.run(all);
  }

  @Test
  void methodsAreMeasuredBeforeAndAfterWithAReport() throws IOException {
    Path report = folder.resolve("r.html");
    Shell.Result result =
        flowers(
                "--method",
                "temperature,histogram-binning",
                "--shifted",
                Samples.FLOWERS,
                "--report",
                report)
            .worked();
    assertThat(result.out())
        .contains("uncalibrated", "temperature", "histogram-binning", "classwise ECE")
        .contains("Shifted: ", "The model says ");
    assertThat(Files.readString(report)).contains("<html", "Class by class", "setosa", "</html>");
  }

  @Test
  void theChosenOneIsSavedAndCanBeRestored() {
    Path file = folder.resolve("chosen.calibrator");
    Shell.Result result = flowers("--out", file).worked();
    assertThat(result.out()).contains("Chosen: ", "guard fit ... --calibrator ");
    Torch.start();
    try (PointerScope scope = new PointerScope();
        AutoCalibrator restored = new AutoCalibrator()) {
      restored.restore(StateFiles.read(file));
      assertThat(result.out()).contains("Chosen: " + restored.chosenSlug());
    }
  }

  @Test
  void aCalibratorThatLooksAtTheInputsIsMeasuredToo() {
    Shell.Result result =
        flowers("--method", "temperature,correctness-calibration:k=2:steps=20").worked();
    assertThat(result.out()).contains("correctness-calibration");
    assertThat(result.err()).doesNotContain("Left out");
  }

  @Test
  void figuresArePrintedAsJson() {
    Shell.Result result = flowers("--method", "platt", "--json").worked();
    Map<String, Object> json = Json.object("figures", result.out());
    Map<?, ?> data = (Map<?, ?>) ((List<?>) json.get("data")).get(0);
    Map<?, ?> platt = (Map<?, ?>) ((List<?>) data.get("methods")).get(1);
    assertThat(platt.get("method")).isEqualTo("platt");
    assertThat(((Number) platt.get("ece")).doubleValue()).isBetween(0.0, 1.0);
    assertThat(data.get("rows")).isEqualTo(75);
  }

  @Test
  void whatCannotWorkIsSaidInOneLine() {
    flowers("--method", "temprature").refused("Did you mean temperature?");
    flowers("--method", "all", "--out", folder.resolve("c")).refused("--out saves one calibrator");
  }

  @Test
  void networksAreTrainedWithLossesThatKeepThemHumble() {
    Path model = folder.resolve("m.safetensors");
    Object[] train = {"train", "--data", Samples.FLOWERS, "--label", "label", "--epochs", 2};
    for (String loss :
        List.of("--loss=focal:gamma=3", "--loss=focal-53", "--label-smoothing=0.1")) {
      Object[] all = java.util.Arrays.copyOf(train, train.length + 3);
      all[train.length] = loss;
      all[train.length + 1] = "--out";
      all[train.length + 2] = model;
      Shell.run(all).worked();
    }
    Shell.run("train", "--data", Samples.FLOWERS, "--out", model, "--loss", "hinge")
        .refused("no loss called 'hinge'");
    Shell.run(
            "train",
            "--data",
            Samples.FLOWERS,
            "--out",
            model,
            "--recipe",
            "logit-norm",
            "--label-smoothing",
            "0.1")
        .refused("recipe standard alone");
  }
}
