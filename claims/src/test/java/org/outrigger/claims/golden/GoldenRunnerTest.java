package org.outrigger.claims.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;

class GoldenRunnerTest {
  private static final String TEXT =
      """
      {"method": "%s", "case": "c", "inputs": {"x": {"shape": [2], "data": [1, "-inf"]}},
       "params": {}, "outputs": {"y": {"shape": [2], "data": [2, "-inf"]}, "z": 3},
       "rtol": 1e-6, "atol": 1e-9}
      """;

  @TempDir Path folder;

  private GoldenRunner.Result run(Consumer<GoldenCase> check) throws IOException {
    return runner(check).run(file("made"));
  }

  private static GoldenRunner runner(Consumer<GoldenCase> check) {
    return new GoldenRunner(
        List.of(
            new GoldenSuite() {
              @Override
              public String slug() {
                return "made";
              }

              @Override
              public void check(GoldenCase golden) {
                check.accept(golden);
              }
            }));
  }

  private Path file(String slug) throws IOException {
    return Files.writeString(folder.resolve(slug + ".json"), TEXT.formatted(slug));
  }

  @Test
  void rightNumbersPass() throws IOException {
    GoldenRunner.Result result =
        run(
            golden -> {
              golden.expect("y", new double[] {2.000001, Double.NEGATIVE_INFINITY});
              golden.expect("z", 3);
            });
    assertThat(result.problems()).isEmpty();
    assertThat(result.compared()).isEqualTo(3);
  }

  @Test
  void aWrongNumberFails() throws IOException {
    assertThat(
            run(golden -> {
                  golden.expect("y", new double[] {2.1, Double.NEGATIVE_INFINITY});
                  golden.expect("z", 3);
                })
                .problems())
        .containsExactly("y[0] = 2.1 instead of 2.0");
  }

  @Test
  void nanIsNeverTheExpectedNumber() throws IOException {
    assertThat(
            run(golden -> {
                  golden.expect("y", new double[] {2, Double.NaN});
                  golden.expect("z", Double.NaN);
                })
                .problems())
        .hasSize(2);
  }

  @Test
  void anotherShapeFails() throws IOException {
    assertThat(run(golden -> golden.expect("y", 2)).problems())
        .contains("y: 1 values instead of 2");
  }

  @Test
  void anOutputThatNothingCheckedFails() throws IOException {
    assertThat(run(golden -> golden.expect("z", 3)).problems())
        .containsExactly("y was not checked");
  }

  @Test
  void aCaseWhereNothingWasComparedFails() throws IOException {
    assertThat(
            run(golden -> {
                  golden.deviates("y", "a reason");
                  golden.deviates("z", "a reason");
                })
                .problems())
        .containsExactly("no value was compared");
  }

  @Test
  void aSuiteThatThrowsFails() throws IOException {
    assertThat(
            run(golden -> {
                  throw new OutriggerException("no such kind of case");
                })
                .problems())
        .singleElement()
        .asString()
        .contains("no such kind of case");
  }

  @Test
  void aFileThatIsNoCaseFails() throws IOException {
    Path file = Files.writeString(folder.resolve("broken.json"), "{\"inputs\": ");
    assertThat(runner(golden -> {}).run(file).passed()).isFalse();
  }

  @Test
  void anEmptyFolderFails() {
    assertThatThrownBy(() -> runner(golden -> {}).runAll(folder))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("holds no golden case");
    assertThatThrownBy(() -> runner(golden -> {}).runAll(folder.resolve("none")))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void aSlugOfTheCatalogueWaitsUntilItIsBuiltAndAnyOtherFails() throws IOException {
    file("never-heard-of");
    file("apg");
    GoldenRunner.Report report = runner(golden -> {}).runAll(folder);
    assertThat(report.passed()).isFalse();
    assertThat(report.results())
        .extracting(GoldenRunner.Result::slug)
        .containsExactly("never-heard-of");
    assertThat(report.waiting()).extracting(GoldenRunner.Result::slug).containsExactly("apg");
  }

  @Test
  void anOutputWaitsForAMethodThatIsNotBuilt() throws IOException {
    GoldenRunner.Result result =
        run(
            golden -> {
              golden.waits("y", "not-built");
              golden.expect("z", 3);
            });
    assertThat(result.passed()).isTrue();
    assertThat(result.waiting()).containsExactly(Map.entry("y", "not-built"));
  }

  @Test
  void aCaseWhereEverythingWaitsNeitherPassesNorFails() throws IOException {
    GoldenRunner.Result result =
        run(
            golden -> {
              golden.waits("y", "not-built");
              golden.waits("z", "not-built");
            });
    assertThat(result.outcome()).isEqualTo(GoldenRunner.Outcome.WAITING);
  }

  @Test
  void waitingForAMethodThatIsBuiltFails() throws IOException {
    GoldenRunner.Result result =
        run(
            golden -> {
              golden.waits("y", "energy");
              golden.expect("z", 3);
            });
    assertThat(result.problems()).containsExactly("y is not checked, although energy is built");
  }

  @Test
  void waitingHidesNoMismatch() throws IOException {
    GoldenRunner.Result result =
        run(
            golden -> {
              golden.waits("y", "not-built");
              golden.expect("z", 4);
            });
    assertThat(result.outcome()).isEqualTo(GoldenRunner.Outcome.FAILED);
  }
}
