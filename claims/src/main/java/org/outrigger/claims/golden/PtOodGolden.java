package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Knn;
import org.outrigger.detect.Msp;
import org.outrigger.detect.PtOod;

/** Golden cases of PT-OOD: distances in feature space beside the scores of a given probe. */
public final class PtOodGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "pt-ood";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("train_features") || !golden.hasInput("test_features")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    if (golden.hasOutput("knn_score_l2")) {
      golden.expect("knn_score_l2", distances(golden));
    }
    if (golden.hasOutput("knn_score_sq_l2")) {
      // The detector's score is the distance; the squared one is that of plain KNN.
      golden.expect(
          "knn_score_sq_l2",
          Knn.score(
              golden.input("test_features"), Knn.unit(golden.input("train_features")), k(golden)));
    }
    if (golden.hasInput("probe_W")) {
      Tensor logits =
          new LinearHead(golden.input("probe_W"), golden.input("probe_b"))
              .apply(golden.input("test_features"));
      golden.expect("msp_score", Msp.score(logits, 1));
      golden.expect("energy_score", Energy.score(logits, 1));
    }
  }

  private static int k(GoldenCase golden) {
    return (int) golden.param("k");
  }

  /** Through the whole detector: the bank, unit lengths and the neighbour's choice. */
  private static Tensor distances(GoldenCase golden) {
    Tensor features = golden.input("train_features");
    Tensor queries = golden.input("test_features");
    try (PtOod detector = new PtOod(new PtOod.Settings(k(golden), true, 1, 0))) {
      // It looks at features alone; any logits do.
      detector.fit(Outputs.of(features, features, null, null));
      return Scopes.tensor(() -> detector.score(new Output(queries, queries)));
    }
  }
}
