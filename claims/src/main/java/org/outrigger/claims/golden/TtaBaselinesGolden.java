package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/** Golden cases of the usual test-time adapters, of their parts, and of the streams they meet. */
public final class TtaBaselinesGolden implements GoldenSuite {
  /** An output that only cases of one kind have, and the method whose part will check them. */
  private static final Map<String, String> NOT_BUILT = new LinkedHashMap<>();

  static {
    NOT_BUILT.put("y_alpha", "alpha-bn");
    NOT_BUILT.put("teacher_logits", "cotta");
    NOT_BUILT.put("avg_log_prob", "memo");
    NOT_BUILT.put("note_entropy_loss", "note");
    NOT_BUILT.put("occupancy_after_each", "rotta");
    NOT_BUILT.put("support_labels_after", "t3a");
  }

  @Override
  public String slug() {
    return "tta-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    if (TtaStreamGolden.knows(golden)) {
      TtaStreamGolden.check(golden);
    } else if (TtaEntropyGolden.knows(golden)) {
      TtaEntropyGolden.check(golden);
    } else {
      String method =
          NOT_BUILT.entrySet().stream()
              .filter(kind -> golden.hasOutput(kind.getKey()))
              .map(Map.Entry::getValue)
              .findFirst()
              .orElseThrow(
                  () ->
                      new OutriggerException(
                          golden.file() + " is a kind of case that this suite does not know."));
      golden.outputs().forEach(output -> golden.waits(output, method));
    }
  }
}
