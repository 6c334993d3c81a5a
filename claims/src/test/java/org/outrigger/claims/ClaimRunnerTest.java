package org.outrigger.claims;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Room;

class ClaimRunnerTest {
  @TempDir Path folder;

  /** Measures ours = seed + shift and theirs = 10. */
  private record Made(double shift, String missing) implements Claim {
    Made(double shift) {
      this(shift, "");
    }

    @Override
    public String slug() {
      return "made";
    }

    @Override
    public Room room() {
      return Room.DETECT;
    }

    @Override
    public String title() {
      return "A made-up claim";
    }

    @Override
    public String promise() {
      return "Ours is more.";
    }

    @Override
    public String paper() {
      return "Nobody, 2026";
    }

    @Override
    public List<Inequality> statement() {
      return List.of(Inequality.above("ours", "theirs"), Inequality.below("theirs", 0.5, "ours"));
    }

    @Override
    public List<String> baselines() {
      return List.of("theirs");
    }

    @Override
    public String protocol() {
      return "Numbers | with a bar.";
    }

    @Override
    public String tried() {
      return shift < 0 ? "other numbers" : "";
    }

    @Override
    public Map<String, Double> run(long seed, Scale scale) {
      Map<String, Double> figures = new LinkedHashMap<>();
      figures.put("ours", seed + shift);
      figures.put("theirs", 10.0);
      return figures;
    }
  }

  private static ClaimReport run(Claim claim) {
    return new ClaimRunner(Scale.FULL, new ClaimRunner.Listener() {}).run(claim);
  }

  @Test
  void aClaimHoldsIfAllOfItsInequalitiesHoldOfTheMeans() {
    ClaimReport report = run(new Made(20));
    assertThat(report.holds()).isTrue();
    assertThat(report.measured().mean("ours")).isEqualTo(21);
    assertThat(report.measured().deviation("ours")).isEqualTo(1);
    assertThat(report.finding().words())
        .isEqualTo(
            "ours > theirs: 21.0000 > 10.0000; theirs < 0.5 x ours: 10.0000 < 10.5000 = 0.5 x"
                + " 21.0000");
  }

  @Test
  void oneInequalityThatFailsMakesTheClaimFail() {
    ClaimReport report = run(new Made(15));
    assertThat(report.holds()).isFalse();
    assertThat(report.outcome()).isEqualTo("does not hold");
    assertThat(report.finding().words())
        .contains("ours > theirs: 16.0000 > 10.0000", "10.0000 not < 8.0000");
  }

  @Test
  void aMarginSmallerThanTheSpreadOfTheSeedsIsCalledClose() {
    Inequality inequality = Inequality.above("ours", "theirs");
    assertThat(inequality.words(run(new Made(9.5)).measured()))
        .isEqualTo(
            "ours > theirs: 10.5000 > 10.0000 (a close call: within one standard deviation over"
                + " the seeds)");
    assertThat(inequality.words(run(new Made(8.5)).measured())).contains("not >", "close call");
    assertThat(inequality.words(run(new Made(20)).measured())).doesNotContain("close");
  }

  @Test
  void aFolderThatCannotBeMadeIsAnErrorOfOneLine() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    assertThatThrownBy(() -> ClaimFiles.prepare(file.resolve("inside")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cannot be made");
  }

  @Test
  void equalFiguresAreNotMore() {
    assertThat(Inequality.above("ours", "theirs").holds(run(new Made(9)).measured())).isFalse();
    assertThat(Inequality.atLeast("theirs", 10).holds(run(new Made(9)).measured())).isTrue();
    assertThat(Inequality.below("theirs", 10).holds(run(new Made(9)).measured())).isFalse();
  }

  @Test
  void theListenerHearsOfEverySeed() {
    List<String> heard = new ArrayList<>();
    new ClaimRunner(
            Scale.FULL,
            new ClaimRunner.Listener() {
              @Override
              public void started(Claim claim, long seed) {
                heard.add("start " + seed);
              }

              @Override
              public void measured(Claim claim, Measurements.Run run) {
                heard.add("end " + run.seed());
              }
            })
        .run(new Made(1), List.of(7L, 3L));
    assertThat(heard).containsExactly("start 7", "end 7", "start 3", "end 3");
  }

  @Test
  void aFigureThatIsNotFiniteIsAnError() {
    assertThatThrownBy(() -> run(new Made(Double.NaN)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("'ours' of seed 0 is NaN");
  }

  @Test
  void dataThatIsNotThereIsNeededAtFullSizeOnly() {
    Claim claim = new Made(20, "Put numbers into a folder.");
    ClaimRunner.Listener nobody = new ClaimRunner.Listener() {};
    assertThat(new ClaimRunner(Scale.SMOKE, nobody).run(claim).holds()).isTrue();
    ClaimRunner full = new ClaimRunner(Scale.FULL, nobody);
    assertThat(full.ready(claim)).isFalse();
    assertThatThrownBy(() -> full.run(claim))
        .isInstanceOf(OutriggerException.class)
        .hasMessage("The claim made cannot be measured. Put numbers into a folder.");
  }

  @Test
  void aDataFolderIsFoundOrExplained() throws IOException {
    String before = System.getProperty(DataFolder.PROPERTY);
    try {
      System.setProperty(DataFolder.PROPERTY, folder.toString());
      assertThat(DataFolder.missing("cifar-10"))
          .contains("CIFAR-10 is not embedded", folder.resolve("cifar-10").toString(), "train/");
      assertThat(DataFolder.of("cifar-10")).isEmpty();
      Path made = Files.createDirectory(folder.resolve("cifar-10"));
      assertThat(DataFolder.of("cifar-10")).contains(made);
      assertThat(DataFolder.missing("cifar-10")).isEmpty();
    } finally {
      if (before == null) {
        System.clearProperty(DataFolder.PROPERTY);
      } else {
        System.setProperty(DataFolder.PROPERTY, before);
      }
    }
  }

  @Test
  void noSeedAndTheSameSeedTwiceAreErrors() {
    ClaimRunner runner = new ClaimRunner(Scale.FULL, new ClaimRunner.Listener() {});
    assertThatThrownBy(() -> runner.run(new Made(1), List.of()))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> runner.run(new Made(1), List.of(1L, 1L)))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void filesHoldTheFiguresAndSayWhatFailed() throws IOException {
    ClaimFiles.write(folder, "outrigger claims run made", List.of(run(new Made(-5))));
    String markdown = Files.readString(folder.resolve("detect.md"));
    assertThat(markdown)
        .startsWith("<!-- Generated by `outrigger claims run made`")
        .contains("**Does not hold.**")
        .contains("- Tried: other numbers")
        .contains("| ours | -5.0000 | -4.0000 | -3.0000 | -4.0000 ± 1.0000 |");
    Map<String, Object> json =
        Json.object("claims.json", Files.readString(folder.resolve("claims.json")));
    assertThat(json).containsEntry("command", "outrigger claims run made");
    assertThat(json.get("claims").toString()).contains("holds=false", "seed=2");
    assertThat(Files.readString(folder.resolve("claims.html")))
        .contains("A made-up claim", "does not hold");
  }

  @Test
  void aSmokeRunIsCalledSo() {
    ClaimReport report =
        new ClaimRunner(Scale.SMOKE, new ClaimRunner.Listener() {}).run(new Made(20));
    assertThat(report.outcome()).contains("says nothing about the claim");
  }

  @Test
  void claimsAreFoundByNameAndTheNearestIsSuggested() {
    assertThat(ClaimRegistry.all()).extracting(Claim::slug).doesNotHaveDuplicates();
    assertThat(ClaimRegistry.parse("outlier-exposure, temperature-scaling")).hasSize(2);
    assertThatThrownBy(() -> ClaimRegistry.named("outlier-exposur"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Did you mean outlier-exposure?");
  }

  @Test
  void everyClaimHasWhatItsPageNeeds() {
    assertThat(ClaimRegistry.all())
        .isNotEmpty()
        .allSatisfy(
            claim -> {
              assertThat(claim.slug()).matches("[a-z0-9]+(-[a-z0-9]+)*");
              assertThat(claim.statement()).isNotEmpty();
              assertThat(claim.baselines()).isNotEmpty();
              assertThat(claim.seeds()).hasSizeGreaterThanOrEqualTo(3);
              assertThat(claim.title()).isNotBlank();
              assertThat(claim.promise()).endsWith(".");
              assertThat(claim.protocol()).endsWith(".");
              assertThat(claim.paper()).isNotBlank();
            });
  }
}
