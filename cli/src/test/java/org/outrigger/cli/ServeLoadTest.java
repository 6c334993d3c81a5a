package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;

class ServeLoadTest {
  @TempDir private Path folder;

  @Test
  void measuresAllPartsOfATrialAndLosesNoRequest() throws Exception {
    SplittableRandom random = new SplittableRandom(1);
    List<String> rows = new ArrayList<>(List.of("wide,high,kind"));
    for (int i = 0; i < 400; i++) {
      boolean red = random.nextBoolean();
      rows.add(
          random.nextGaussian()
              + ","
              + (random.nextGaussian() + (red ? 3 : 0))
              + (red ? ",r" : ",b"));
    }
    Path data = Files.write(folder.resolve("rows.csv"), rows);
    Path guard = folder.resolve("rows.guard");
    Path model = folder.resolve("m.safetensors");
    Shell.run("train", "--data", data, "--label", "kind", "--epochs", 1, "--out", model);
    Shell.run("guard", "fit", "--model", model, "--data", data, "--label", "kind", "--out", guard)
        .worked();
    Path json = folder.resolve("load.json");
    String shown =
        Shell.run(
                "serve",
                "load",
                "--guard",
                guard,
                "--rows",
                4,
                "--clients",
                2,
                "--seconds",
                1,
                "--json",
                json)
            .worked()
            .out();
    assertThat(shown).contains("bare loop", "four times that", "p99");
    Map<String, Object> figures = Json.object("figures", Files.readString(json));
    assertThat((Double) figures.get("bareRowsPerSecond")).isPositive();
    for (String part : List.of("saturated", "half", "overload")) {
      Map<?, ?> answers = (Map<?, ?>) figures.get(part);
      assertThat((Double) answers.get("rowsPerSecond")).as(part).isPositive();
      assertThat(((Map<?, ?>) answers.get("statuses")).keySet())
          .as(part)
          .allMatch(status -> status.equals("200") || status.equals("429"));
    }
  }

  @Test
  void memoryIsFlatThroughPeaksButNotThroughALeak() {
    double[] peaks = new double[30];
    double[] leak = new double[30];
    for (int i = 0; i < 30; i++) {
      peaks[i] = i < 3 ? 400 : 700 + (i % 5 == 4 ? 60 : 0);
      leak[i] = 700 + i;
    }
    assertThat(ServeLoadCommand.Memory.of(peaks, 0))
        .isEqualTo(new ServeLoadCommand.Memory(700, 700, 0))
        .matches(ServeLoadCommand.Memory::flat);
    assertThat(ServeLoadCommand.Memory.of(peaks, 1).flat()).isFalse();
    assertThat(ServeLoadCommand.Memory.of(leak, 0))
        .isEqualTo(new ServeLoadCommand.Memory(707, 727, 0))
        .matches(ServeLoadCommand.Memory::flat);
    leak[29] = leak[28] = leak[27] = 760;
    assertThat(ServeLoadCommand.Memory.of(leak, 0).flat()).isFalse();
    assertThat(ServeLoadCommand.Memory.of(new double[] {500}, 0).first()).isEqualTo(500);
    assertThat(ServeLoadCommand.Memory.of(new double[] {500, 600}, 0).flat()).isFalse();
  }
}
