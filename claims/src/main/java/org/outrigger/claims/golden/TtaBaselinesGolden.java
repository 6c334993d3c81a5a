package org.outrigger.claims.golden;

import org.outrigger.core.OutriggerException;

/** Golden cases of the usual test-time adapters, of their parts, and of the streams they meet. */
public final class TtaBaselinesGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "tta-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    if (TtaStreamGolden.knows(golden)) {
      TtaStreamGolden.check(golden);
    } else if (TtaNormGolden.knows(golden)) {
      TtaNormGolden.check(golden);
    } else if (TtaTeacherGolden.knows(golden)) {
      TtaTeacherGolden.check(golden);
    } else if (TtaEntropyGolden.knows(golden)) {
      TtaEntropyGolden.check(golden);
    } else if (TtaT3aGolden.knows(golden)) {
      TtaT3aGolden.check(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }
}
