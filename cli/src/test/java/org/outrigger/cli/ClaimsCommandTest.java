package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class ClaimsCommandTest {
  @TempDir Path folder;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return line.execute(arguments);
  }

  @Test
  void aRunPrintsTheFiguresAndWritesThem() {
    Path target = folder.resolve("new").resolve("claims");
    int code =
        run(
            "claims",
            "run",
            "temperature-scaling",
            "--scale",
            "smoke",
            "--seeds",
            "3,4",
            "--out",
            target.toString());
    assertThat(code).isIn(ExitCode.OK, ExitCode.NO);
    assertThat(out.toString())
        .contains("seed 3", "seed 4", "ECE tempered < 0.7 x ECE uncalibrated", "smoke run");
    assertThat(target.resolve("claims.json")).isRegularFile();
    assertThat(target.resolve("claims.html")).isRegularFile();
    assertThat(target.resolve("calibrate.md"))
        .content()
        .contains(
            "`outrigger claims run temperature-scaling --seeds 3,4 --scale smoke --out " + target);
  }

  @Test
  void aClaimWithoutItsDataSaysWhatToPutWhere() {
    String property = "outrigger.data";
    String before = System.getProperty(property);
    System.setProperty(property, folder.toString());
    try {
      assertThat(run("claims", "run", "cifar10-post-hoc")).isEqualTo(ExitCode.USER);
    } finally {
      if (before == null) {
        System.clearProperty(property);
      } else {
        System.setProperty(property, before);
      }
    }
    assertThat(err.toString().strip().lines())
        .singleElement()
        .asString()
        .contains("cifar10-post-hoc cannot be measured", folder.resolve("cifar-10").toString());
  }

  @Test
  void anUnknownClaimIsOneLineWithTheNearestName() {
    assertThat(run("claims", "run", "temperature-scalin")).isEqualTo(ExitCode.USER);
    assertThat(err.toString().strip().lines())
        .singleElement()
        .asString()
        .contains("Did you mean temperature-scaling?");
  }

  @Test
  void withoutANameItSaysWhatToGive() {
    assertThat(run("claims", "run")).isEqualTo(ExitCode.USER);
    assertThat(err.toString()).contains("--all");
  }

  @Test
  void aSoakThatIsTooShortIsRefused() {
    assertThat(run("soak", "--steps", "5")).isEqualTo(ExitCode.USER);
    assertThat(err.toString()).contains("steps = 5");
  }

  @Test
  void aShortSoakSaysWhetherMemoryIsFlat() {
    assertThat(run("soak", "--steps", "100", "--checks", "100")).isIn(ExitCode.OK, ExitCode.NO);
    assertThat(out.toString()).contains("training", "checking", "MB resident", "limit");
  }
}
