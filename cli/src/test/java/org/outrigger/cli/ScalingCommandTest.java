package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.datasets.SyntheticSeries;

class ScalingCommandTest {
  @TempDir private Path folder;

  private Path table(String name, SyntheticSeries kind) throws IOException {
    StringBuilder text = new StringBuilder("hour,meter,load\n");
    SplittableRandom random = new SplittableRandom(1);
    for (int meter = 0; meter < 12; meter++) {
      float[] values = kind.draw(100, random);
      for (int t = 0; t < values.length; t++) {
        text.append(t).append(",m").append(meter).append(',').append(values[t]).append('\n');
      }
    }
    return Files.writeString(folder.resolve(name), text);
  }

  @Test
  void runsOfOwnSeriesAreTrainedFittedAndContinued() throws IOException {
    Path known = table("known.csv", SyntheticSeries.KNOWN);
    Path other = table("other.csv", SyntheticSeries.SHIFTED);
    Path out = folder.resolve("runs");
    Object[] words = {
      "scaling",
      "run",
      "--series",
      known,
      "--time-column",
      "hour",
      "--id-column",
      "meter",
      "--ood",
      "other=" + other,
      "--ladder",
      "8x1,16x1,24x1",
      "--data-sizes",
      "300,600,all",
      "--architecture",
      "both",
      "--set",
      "steps=3",
      "--set",
      "warmUp=1",
      "--set",
      "records=1",
      "--set",
      "batch=2",
      "--set",
      "samples=3",
      "--out",
      out
    };
    Shell.Result first = Shell.run(words).worked();
    assertThat(first.out()).contains("NLL other", "decoder-24x1-1100-s0", "872");
    byte[] runs = Files.readAllBytes(out.resolve("runs.csv"));
    Shell.Result again = Shell.run(words).worked();
    assertThat(again.out()).doesNotContain("done ");
    assertThat(out.resolve("runs.csv")).hasBinaryContent(runs);

    Path page = folder.resolve("page.html");
    Path json = folder.resolve("laws.json");
    Shell.Result fit =
        Shell.run(
                "scaling",
                "fit",
                "--runs",
                out.resolve("runs.csv"),
                "--target-loss",
                1,
                "--report",
                page,
                "--json",
                json)
            .worked();
    assertThat(fit.out()).contains("N: encoder, id, nll", "D: decoder, other, nll", "Report:");
    assertThat(page).content().contains("Scaling laws", "log10 nll");
    assertThat(json).content().contains("\"log10X0\"", "\"answers\"");
  }

  @Test
  void figuresByHandAreFitted() throws IOException {
    Path mine =
        Files.writeString(
            folder.resolve("mine.csv"),
            "parameters,loss\n1000000,2.31\n10000000,2.04\n100000000,1.83\n");
    assertThat(
            Shell.run(
                    "scaling",
                    "fit",
                    "--runs",
                    mine,
                    "--axis",
                    "N",
                    "--target-loss",
                    1.6,
                    "--at",
                    "1e9,1e12")
                .worked()
                .out())
        .contains("A loss of 1.600 needs about", "1.0G parameters: a loss of 1.6", "Warning");
    Shell.run("scaling", "fit", "--runs", mine, "--axis", "D").refused("do not vary");
    Shell.run("scaling", "fit", "--runs", mine, "--at", "5").refused("--axis");
    Shell.run("scaling", "fit", "--runs", mine, "--metric", "mse").refused("It has: loss");
    Shell.run("scaling", "fit", "--runs", mine, "--irreducible").refused("at least 4");
    Path negative =
        Files.writeString(folder.resolve("n.csv"), "parameters,loss\n1,2\n10,1\n100,-1\n");
    Shell.run("scaling", "fit", "--runs", negative).refused("irreducible");
  }

  @Test
  void runsThatCannotWorkAreRefused() throws IOException {
    Path out = folder.resolve("runs");
    Shell.run("scaling", "run", "--out", out).refused("--synthetic");
    Shell.run("scaling", "run", "--synthetic", "--ladder", "9x1", "--out", out)
        .refused("multiple of 4");
    Shell.run("scaling", "run", "--synthetic", "--data-sizes", "1e9", "--out", out)
        .refused("720000 points");
    Shell.run("scaling", "run", "--synthetic", "--data-sizes", "lots", "--out", out)
        .refused("number of points");
    Shell.run("scaling", "run", "--synthetic", "--set", "stepz=3", "--out", out)
        .refused("Did you mean steps");
    Path shortOnes = Files.writeString(folder.resolve("short.csv"), "load\n1\n2\n3\n");
    Shell.run("scaling", "run", "--series", shortOnes, "--out", out).refused("80 points");
    assertThat(out).doesNotExist();
  }
}
