package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DriftCommandTest {
  @TempDir private Path folder;

  private Path table(String name, int rows, double shift, double rate) throws IOException {
    SplittableRandom random = new SplittableRandom(name.hashCode());
    StringBuilder text = new StringBuilder("age,income,error\n");
    for (int i = 0; i < rows; i++) {
      text.append(40 + 10 * random.nextGaussian())
          .append(',')
          .append(random.nextGaussian() + shift)
          .append(',')
          .append(random.nextDouble() < (i < rows / 2 ? 0.1 : rate) ? 1 : 0)
          .append('\n');
    }
    return Files.writeString(folder.resolve(name), text);
  }

  @Test
  void theFeatureThatChangedComesFirst() throws IOException {
    Path page = folder.resolve("page.html");
    String out =
        Shell.run(
                "drift",
                "compare",
                "--reference",
                table("a.csv", 300, 0, 0.1).toString(),
                "--data",
                table("b.csv", 300, 2, 0.1).toString(),
                "--features",
                "age,income",
                "--tests",
                "ks-test,mmd-test",
                "--report",
                page.toString())
            .worked()
            .out();
    assertThat(out).contains("ks-test", "1 of 2 features changed", "Report: ");
    assertThat(out.indexOf("income")).isLessThan(out.indexOf("age "));
    assertThat(Files.readString(page)).contains("Has the data changed?", "income");
  }

  @Test
  void aStreamSaysWhereItChanged() throws IOException {
    Path log = table("log.csv", 2000, 0, 0.6);
    Path page = folder.resolve("page.html");
    String out =
        Shell.run(
                "drift",
                "watch",
                "--data",
                log.toString(),
                "--column",
                "error",
                "--detector",
                "hddm-w,adwin",
                "--report",
                page.toString())
            .worked()
            .out();
    assertThat(out).containsPattern("10\\d\\d +hddm-w +drift").contains("2000 rows of error");
    assertThat(Files.readString(page)).contains("When did it change?");
    Shell.run("drift", "watch", "--data", log.toString(), "--column", "eror").refused("error");
    Shell.run("drift", "watch", "--data", log.toString(), "--column", "age", "--detector", "ddm")
        .refused("Row 1", "0 or 1");
  }

  @Test
  void runLengthsAreSimulated() {
    String out =
        Shell.run(
                "drift",
                "run-length",
                "--errors",
                "0.2",
                "--change",
                "0.6",
                "--detector",
                "eddm,adwin",
                "--runs",
                "5",
                "--longest",
                "500")
            .worked()
            .out();
    assertThat(out).contains("rows an alarm", "eddm", "adwin");
    Shell.run("drift", "run-length", "--detector", "adwim").refused("adwin");
  }
}
