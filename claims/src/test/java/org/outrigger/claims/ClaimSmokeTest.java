package org.outrigger.claims;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every claim's code runs, at the smallest scale; whether the statement holds then means nothing.
 */
class ClaimSmokeTest {
  static List<Claim> claims() {
    return ClaimRegistry.all();
  }

  @ParameterizedTest
  @MethodSource("claims")
  void measuresFiniteFiguresOfWhichTheStatementCanBeEvaluated(Claim claim) {
    ClaimReport report =
        new ClaimRunner(Scale.SMOKE, new ClaimRunner.Listener() {}).run(claim, List.of(0L));
    assertThat(report.measured().names()).isNotEmpty();
    for (Inequality inequality : claim.statement()) {
      assertThat(report.finding().words()).contains(inequality.text());
    }
    assertThat(report.outcome()).contains("smoke");
  }
}
