package org.outrigger.claims.golden;

import org.outrigger.core.OutriggerException;

/** Golden cases of the out-of-distribution baselines: scores, training losses and metrics. */
public final class OodBaselinesGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "ood-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasOutput("msp")) {
      OodLogitGolden.check(golden);
    } else if (golden.hasInput("train_features")) {
      OodFeatureGolden.check(golden);
    } else if (OodTrainingGolden.knows(golden)) {
      OodTrainingGolden.check(golden);
    } else if (OodMapsGolden.knows(golden)) {
      OodMapsGolden.check(golden);
    } else if (OodMetricsGolden.applies(golden)) {
      OodMetricsGolden.check(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }
}
