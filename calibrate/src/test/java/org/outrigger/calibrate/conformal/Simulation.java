package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

/**
 * Rows of four classes of unequal shares and a model of them that does not see how hard a row is:
 * labels are drawn from {@code softmax(z exp(h / 2))}, the model says {@code softmax(1.5 z)}.
 *
 * @param probabilities float64 [N, 4]
 * @param labels int64 [N]
 * @param features float64 [N, 5]: z and h
 */
record Simulation(Tensor probabilities, Tensor labels, Tensor features) {
  static final int CLASSES = 4;

  static Simulation draw(long rows, long seed) {
    try (Rng rng = new Rng(seed)) {
      Tensor z =
          rng.normal(ScalarType.Double, rows, CLASSES)
              .mul(new Scalar(1.5))
              .add(Tensors.of(new double[] {1, 0.3, 0, -0.5}, 1, CLASSES));
      Tensor h = rng.normal(ScalarType.Double, rows, 1);
      Tensor truth = torch.softmax(z.mul(h.div(new Scalar(2.0)).exp()), 1);
      Tensor labels = torch.multinomial(truth, 1, true, rng.generator()).squeeze(1);
      return new Simulation(
          torch.softmax(z.mul(new Scalar(1.5)), 1), labels, torch.cat(new TensorVector(z, h), 1));
    }
  }

  /** Rows drawn again, by weights [N]. */
  Simulation resample(Tensor weights, long rows, long seed) {
    try (Rng rng = new Rng(seed)) {
      return pick(torch.multinomial(weights, rows, true, rng.generator()));
    }
  }

  Simulation pick(Tensor index) {
    return new Simulation(
        probabilities.index_select(0, index),
        labels.index_select(0, index),
        features.index_select(0, index));
  }

  Simulation rows(long from, long count) {
    return new Simulation(
        probabilities.narrow(0, from, count),
        labels.narrow(0, from, count),
        features.narrow(0, from, count));
  }

  /** The scores of the true labels. */
  Tensor scores(LabelScore score) {
    return SplitConformal.trueLabel(score.of(probabilities), labels);
  }

  /** What a shift towards hard rows weighs each row by, up to a factor, [N]. */
  Tensor hardness() {
    return features.select(1, CLASSES).neg().exp();
  }
}
