package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** The energy of a model's linear head on features that a detector has changed. */
public final class HeadEnergy {
  private HeadEnergy() {}

  /**
   * The energy of {@code W z + b}.
   *
   * @param features [N, D]
   * @return [N]
   */
  public static Tensor of(Tensor features, LinearHead head) {
    return Scopes.tensor(() -> Energy.score(head.apply(features), 1));
  }

  /** The head of {@code known}, checked: weight [C, D] and bias [C], finite. */
  static LinearHead check(Outputs known, String who) {
    LinearHead head = known.requireHead(who);
    Shapes.check()
        .size("C", known.classes(), "the known data")
        .tensor("The head's weight", head.weight(), "C", "D")
        .tensor("The head's bias", head.bias(), "C");
    Shapes.finite("The head's weight", head.weight());
    Shapes.finite("The head's bias", head.bias());
    return head;
  }

  /** A copy of the head, after a look at the features that it is for. */
  static Fitted learn(Outputs known, String who) {
    LinearHead head = check(known, who);
    Shapes shapes = Shapes.check().tensor("The head's weight", head.weight(), "C", "D");
    Rows.forEach(who, known, rows -> shapes.tensor("The features", rows.features(), "*", "D"));
    return new Fitted(known.classes(), head.weight().size(1)).with(head);
  }

  static void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved weight", fitted.tensor("weight"), "C", "D")
        .tensor("The saved bias", fitted.tensor("bias"), "C");
  }
}
