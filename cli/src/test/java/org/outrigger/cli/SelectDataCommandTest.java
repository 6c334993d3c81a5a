package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SelectDataCommandTest {
  @TempDir Path folder;
  private Path answers;

  @BeforeEach
  void write() throws IOException {
    StringBuilder rows = new StringBuilder("id,answer,score\n");
    for (int i = 0; i < 40; i++) {
      // The first half says the same thing again and again.
      rows.append(i)
          .append(",\"")
          .append(i < 20 ? "the cat sat on the mat" : "sentence " + i + " about topic " + i * 7)
          .append("\",")
          .append(i % 10 / 10.0)
          .append('\n');
    }
    answers = Files.writeString(folder.resolve("answers.csv"), rows);
  }

  private Shell.Result select(Object... arguments) {
    Object[] all = new Object[arguments.length + 2];
    all[0] = "select";
    all[1] = "data";
    System.arraycopy(arguments, 0, all, 2, arguments.length);
    return Shell.run(all);
  }

  @Test
  void textsAreMeasuredWithAReport() throws IOException {
    Path report = folder.resolve("data.html");
    Shell.Result result =
        select(
                "measure",
                "--data",
                answers,
                "--text",
                "answer",
                "--quality",
                "score",
                "--report",
                report)
            .worked();
    assertThat(result.out()).contains("distinct", "self-BLEU", "quality");
    assertThat(Files.readString(report)).contains("<html", "</html>");
  }

  @Test
  void bothWaysChooseAsManyDifferentRowsAsTheBudgetAllows() throws IOException {
    for (String way : List.of("score-then-filter", "greedy-balance")) {
      Path chosen = folder.resolve(way + ".csv");
      select(
              "choose",
              "--data",
              answers,
              "--text",
              "answer",
              "--quality",
              "score",
              "--budget",
              8,
              "--method",
              way,
              "--out",
              chosen)
          .worked();
      List<String> lines = Files.readAllLines(chosen);
      assertThat(lines.size() - 1).as(way).isBetween(1, 8);
      assertThat(new HashSet<>(lines)).as(way).hasSameSizeAs(lines);
    }
  }

  @Test
  void setsAreCompared() {
    Shell.Result result =
        select("compare", "--data", "mnist", "fashion-mnist", "--limit", 60).worked();
    assertThat(result.out()).contains("MNIST test", "Fashion-MNIST test");
  }

  @Test
  void aLifelongRunGoesOnWithItsPool() throws IOException {
    Path pool = folder.resolve("pool.safetensors");
    Path first = folder.resolve("first.csv");
    Path second = folder.resolve("second.csv");
    for (Path out : List.of(first, second)) {
      Path arrived = Files.copy(Samples.FLOWERS, folder.resolve("of-" + out.getFileName()));
      select(
              "lifelong",
              "--model",
              Samples.FLOWER_MODEL,
              "--pool",
              pool,
              "--add",
              arrived,
              "--label",
              "label",
              "--train-budget",
              30,
              "--pool-budget",
              200,
              "--out",
              out)
          .worked();
      List<String> rows = Files.readAllLines(out);
      assertThat(rows.get(0)).startsWith("source,row,train,keep");
      assertThat(rows.stream().filter(row -> row.split(",")[2].equals("true"))).hasSize(30);
    }
    assertThat(Files.readAllLines(first)).as("150 rows fit into the pool").hasSize(151);
    assertThat(Files.readAllLines(second).stream().filter(row -> row.split(",")[3].equals("true")))
        .as("of 300 rows the budget keeps 200")
        .hasSize(200);
  }

  @Test
  void whatCannotWorkIsSaid() {
    select("measure", "--data", answers, "--text", "nothing").refused("nothing");
    select("choose", "--data", answers, "--text", "answer", "--budget", 0, "--out", "x.csv")
        .refused("budget");
  }
}
