package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.T3a;
import org.outrigger.adapt.T3a.Supports;
import org.outrigger.core.model.LinearHead;

/** T3A: supports and scores of a stream of features. */
final class TtaT3aGolden {
  private TtaT3aGolden() {}

  /** Whether the case is of this kind. */
  static boolean knows(GoldenCase golden) {
    return golden.hasOutput("support_labels_after");
  }

  static void check(GoldenCase golden) {
    Tensor z = golden.input("z");
    int batches = (int) z.size(0);
    LinearHead head = new LinearHead(golden.input("weight"), golden.input("bias"));
    long classes = head.weight().size(0);
    Supports supports = Supports.of(head);
    TensorVector scores = new TensorVector();
    double[] sizes = new double[batches];
    for (int t = 0; t < batches; t++) {
      Tensor batch = z.select(0, t);
      supports =
          supports
              .join(Supports.of(batch, head.apply(batch)))
              .filter((int) golden.param("filter_K"), classes);
      scores.push_back(T3a.scores(batch, supports.prototypes(classes)));
      sizes[t] = supports.labels().size(0);
    }
    golden.expect("scores", torch.stack(scores, 0));
    golden.expect("num_supports_after", sizes);
    golden.expect("support_labels_after", supports.labels());
    golden.expect("support_entropy_after", supports.entropies());
  }
}
