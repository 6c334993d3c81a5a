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

class GpCommandTest {
  @TempDir Path folder;

  /** A plane with a little noise that is no noise, and a column of words. */
  private Path table() throws IOException {
    List<String> lines = new ArrayList<>(List.of("name,width,height,price"));
    for (int i = 0; i < 60; i++) {
      double a = Math.sin(i * 1.7);
      double b = Math.cos(i * 2.3);
      lines.add(
          "row" + i + "," + a + "," + b + "," + (50 + 10 * a - 5 * b + 0.3 * Math.sin(i * 9.1)));
    }
    return Files.write(folder.resolve("table.csv"), lines);
  }

  private Shell.Result fit(Path data, Path out, Object... more) {
    List<Object> words =
        new ArrayList<>(
            List.of(
                "gp",
                "fit",
                "--data",
                data,
                "--target",
                "price",
                "--id-column",
                "name",
                "--out",
                out,
                "--kernel",
                "mlp:hiddenLayers=1",
                "--setting",
                "lbfgsIterations=6"));
    words.addAll(Arrays.asList(more));
    return Shell.run(words.toArray());
  }

  @Test
  void aColumnIsLearnedMeasuredAndPredicted() throws IOException {
    Path model = folder.resolve("price.gp");
    Path json = folder.resolve("price.json");
    Path page = folder.resolve("price.html");
    assertThat(fit(table(), model, "--json", json, "--report", page).worked().out())
        .contains("48 rows of 2 columns learned, 12 held out", "coverage", "Model: " + model);
    Map<String, Object> figures = Json.object("figures", Files.readString(json));
    assertThat((double) figures.get("rmse"))
        .isLessThan(0.3 * (double) figures.get("rmseOfTheMean"));
    assertThat(Files.readString(page)).contains("Predicted and true", "Coverage of intervals");

    Path out = folder.resolve("out.csv");
    assertThat(
            Shell.run(
                    "gp",
                    "predict",
                    "--model",
                    model,
                    "--data",
                    table(),
                    "--truth",
                    "--id-column",
                    "name",
                    "--out",
                    out)
                .worked()
                .out())
        .contains("60 rows of table.csv predicted", "RMSE", "Predictions: " + out);
    List<String> rows = Files.readAllLines(out);
    assertThat(rows).hasSize(61);
    assertThat(rows.get(0)).isEqualTo("id,location,scale,lower,upper");
    String[] first = rows.get(1).split(",", -1);
    assertThat(first[0]).isEqualTo("row0");
    assertThat(Double.parseDouble(first[3])).isLessThan(Double.parseDouble(first[1]));
    assertThat(Double.parseDouble(first[4])).isGreaterThan(Double.parseDouble(first[1]));
  }

  @Test
  void anEmbeddedTableGoesByItsName() {
    Path model = folder.resolve("d.gp");
    assertThat(
            Shell.run(
                    "gp",
                    "fit",
                    "--data",
                    "diabetes",
                    "--target",
                    "progression",
                    "--process",
                    "gaussian",
                    "--limit",
                    "80",
                    "--setting",
                    "fit=false",
                    "--out",
                    model)
                .worked()
                .out())
        .contains("Diabetes", "64 rows of 10 columns learned", "process gaussian");
  }

  @Test
  void mistakesAreNamed() throws IOException {
    Path model = folder.resolve("price.gp");
    Path data = table();
    Shell.run("gp", "fit", "--data", data, "--target", "prize", "--out", model)
        .refused("no column 'prize'", "price");
    fit(data, model, "--process", "cauchy").refused("cauchy", "student-t, gaussian, burr");
    fit(data, model, "--test", "1").refused("test = 1.0");
    fit(data, model, "--test", "0", "--report", folder.resolve("r.html")).refused("--test 0");
    Shell.run("gp", "predict", "--model", data, "--data", data, "--out", folder.resolve("o.csv"))
        .refused("table.csv");
    assertThat(model).doesNotExist();
  }
}
