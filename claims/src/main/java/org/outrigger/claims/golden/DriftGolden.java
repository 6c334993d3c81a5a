package org.outrigger.claims.golden;

import org.outrigger.core.OutriggerException;

/** Golden cases of drift: streams, two samples, kernels, classifiers and label shift. */
public final class DriftGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "drift-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    DriftSampleGolden samples = new DriftSampleGolden(golden);
    boolean known = golden.hasInput("oof_probs") || golden.hasInput("source_logits");
    if (golden.hasInput("oof_probs")) {
      samples.classifier();
    }
    if (golden.hasInput("source_logits")) {
      samples.labelShift();
    }
    if (golden.hasInput("stream")) {
      DriftStreamGolden.check(golden);
    } else if (golden.hasOutput("mmd2")) {
      samples.mmd();
    } else if (golden.hasOutput("lsdd")) {
      samples.lsdd();
    } else if (golden.hasInput("ref")) {
      samples.features();
    } else if (!known) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }
}
