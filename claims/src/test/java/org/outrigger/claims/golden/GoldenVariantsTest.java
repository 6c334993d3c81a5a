package org.outrigger.claims.golden;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Cases of other shapes and parameters than the papers' code gave, from {@code
 * claims/scripts/golden-variants.py}: a suite that decided by more than what a case holds would
 * fail here.
 */
class GoldenVariantsTest {
  @TestFactory
  Stream<DynamicTest> everyVariantAgreesWithAnIndependentTranscription() throws URISyntaxException {
    Path folder =
        Path.of(
            Objects.requireNonNull(GoldenVariantsTest.class.getResource("/golden-variants"))
                .toURI());
    GoldenRunner runner = new GoldenRunner();
    return GoldenRunner.files(folder).stream()
        .map(
            file ->
                DynamicTest.dynamicTest(
                    folder.relativize(file).toString(),
                    () -> {
                      GoldenRunner.Result result = runner.run(file);
                      assertThat(result.problems()).as(file.toString()).isEmpty();
                      assertThat(result.outcome()).isEqualTo(GoldenRunner.Outcome.PASSED);
                    }));
  }
}
