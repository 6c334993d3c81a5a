package org.outrigger.claims.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.outrigger.core.OutriggerException;

/**
 * Runs every golden case of a folder, by default the one among this module's test resources; {@code
 * -Doutrigger.golden=DIR} names another.
 */
class GoldenTest {
  @TestFactory
  Stream<DynamicTest> everyCaseGivesTheNumbersOfThePapersCode() {
    Path folder = folder();
    GoldenRunner runner = new GoldenRunner();
    // An empty folder throws here, which fails the test.
    return GoldenRunner.files(folder).stream()
        .map(
            file ->
                DynamicTest.dynamicTest(
                    folder.relativize(file).toString(),
                    () -> {
                      GoldenRunner.Result result = runner.run(file);
                      if (result.outcome() == GoldenRunner.Outcome.WAITING) {
                        abort("Waits for " + Set.copyOf(result.waiting().values()));
                      }
                      assertThat(result.problems()).as(file.toString()).isEmpty();
                    }));
  }

  @Test
  void whatThisModuleKeepsIsOfBuiltSlugs() {
    GoldenRunner runner = new GoldenRunner();
    assertThat(runner.slugs())
        .contains("ood-baselines", "corruptions", "calibration-baselines")
        .containsAll(
            GoldenRunner.files(kept()).stream()
                .map(file -> file.getParent().getFileName().toString())
                .collect(Collectors.toSet()));
  }

  private static Path folder() {
    String named = System.getProperty("outrigger.golden");
    if (named != null && !named.isBlank()) {
      return Path.of(named).toAbsolutePath();
    }
    return kept();
  }

  private static Path kept() {
    URL resources = GoldenTest.class.getResource("/golden");
    if (resources == null) {
      throw new OutriggerException("The golden cases are missing from the test resources.");
    }
    try {
      return Path.of(resources.toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
