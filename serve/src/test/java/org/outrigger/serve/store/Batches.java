package org.outrigger.serve.store;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.JudgedBatch;

/** Made-up verdicts. */
final class Batches {
  private Batches() {}

  static Verdict verdict(int label, double probability, boolean unknown) {
    return new Verdict(
        "0", label, "class " + label, probability, unknown ? 9 : 1, unknown, "energy", null);
  }

  static JudgedBatch.Request request(String id, Verdict... verdicts) {
    float[] inputs = new float[2 * verdicts.length];
    for (int i = 0; i < inputs.length; i++) {
      inputs[i] = i + 0.5f;
    }
    return new JudgedBatch.Request(id, "door", inputs, List.of(verdicts), 1_000_000);
  }

  static JudgedBatch batch(String guard, Instant at, JudgedBatch.Request... requests) {
    return new JudgedBatch(guard, "1", false, at, List.of(requests));
  }

  /** A request of some rows. */
  static JudgedBatch rows(String guard, String id, int rows) {
    List<Verdict> verdicts = new ArrayList<>();
    for (int i = 0; i < rows; i++) {
      verdicts.add(verdict(i % 10, 0.9, false));
    }
    return batch(guard, Instant.now(), request(id, verdicts.toArray(Verdict[]::new)));
  }
}
