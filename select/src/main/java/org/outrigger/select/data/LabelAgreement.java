package org.outrigger.select.data;

import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * An estimate of label noise: the share of samples whose label a linear classifier, fitted on the
 * other folds, contradicts with a probability above 0.9.
 */
public final class LabelAgreement {
  private static final double SURE = 0.9;
  private static final int STEPS = 200;
  private static final double DECAY = 1e-3;
  private static final double MOMENTUM = 0.9;

  private LabelAgreement() {}

  /**
   * The estimated share of wrong labels.
   *
   * @param features [n, d], finite
   * @param labels int64 [n], each in 0 .. classes-1
   * @param folds 2 or more, at most n
   * @param seed of the folds
   */
  public static double noise(Tensor features, Tensor labels, int folds, long seed) {
    Shapes.check().tensor("features", features, "n", "d").tensor("labels", labels, "n");
    Shapes.notEmpty("features", features);
    Shapes.finite("features", features);
    int n = Math.toIntExact(features.size(0));
    long classes = Scopes.scoped(() -> labels.max().item_long() + 1);
    Shapes.labels("labels", labels, Math.max(1, classes), false);
    if (folds < 2 || folds > n) {
      throw new OutriggerException(
          "The label-noise estimate needs 2 to " + n + " folds, not " + folds + ".");
    }
    if (classes < 2) {
      throw new OutriggerException(
          "All labels are the same, so that no classifier can contradict one: leave this out.");
    }
    int[] order;
    try (Rng rng = Rng.named(seed, "label noise")) {
      order = Scopes.scoped(() -> Tensors.ints(rng.permutation(n)));
    }
    long wrong = 0;
    for (int fold = 0; fold < folds; fold++) {
      int from = (int) ((long) n * fold / folds);
      int to = (int) ((long) n * (fold + 1) / folds);
      int[] held = Arrays.copyOfRange(order, from, to);
      int[] rest = new int[n - held.length];
      System.arraycopy(order, 0, rest, 0, from);
      System.arraycopy(order, to, rest, from, n - to);
      wrong += contradicted(features, labels, rest, held, classes);
    }
    return (double) wrong / n;
  }

  private static long contradicted(
      Tensor features, Tensor labels, int[] fit, int[] held, long classes) {
    return Scopes.scoped(
        () -> {
          Tensor x = features.detach().to(ScalarType.Double);
          Tensor known = x.index_select(0, Tensors.labels(fit));
          Tensor mean = known.mean(0);
          Tensor apart = known.sub(mean);
          Tensor scale = apart.mul(apart).mean(0).sqrt().clamp_min(new Scalar(1e-8));
          Tensor weights =
              fit(extended(apart.div(scale)), labels.index_select(0, Tensors.labels(fit)), classes);
          Tensor index = Tensors.labels(held);
          Tensor rows = extended(x.index_select(0, index).sub(mean).div(scale));
          T_TensorTensor_T best = torch.softmax(rows.mm(weights), 1).max(1, false);
          return best.get1()
              .ne(labels.index_select(0, index))
              .logical_and(best.get0().gt(new Scalar(SURE)))
              .sum()
              .item_long();
        });
  }

  private static Tensor extended(Tensor rows) {
    Tensor ones = torch.ones(new long[] {rows.size(0), 1}, rows.options());
    return torch.cat(new TensorVector(rows, ones), 1);
  }

  /** Multinomial logistic regression by gradient steps with momentum; [d + 1, C]. */
  private static Tensor fit(Tensor rows, Tensor labels, long classes) {
    Tensor target = torch.one_hot(labels, classes).to(ScalarType.Double);
    Tensor weights = torch.zeros(new long[] {rows.size(1), classes}, rows.options());
    Tensor velocity = torch.zeros_like(weights);
    // The largest curvature of the loss is at most half the mean squared length of a row.
    double rate = 1 / (rows.mul(rows).sum(1).mean().item_double() / 2 + DECAY);
    for (int step = 0; step < STEPS; step++) {
      Scopes.run(
          () -> {
            Tensor ahead = weights.add(velocity, new Scalar(MOMENTUM));
            Tensor error = torch.softmax(rows.mm(ahead), 1).sub(target);
            Tensor gradient =
                rows.t()
                    .mm(error)
                    .div(new Scalar((double) rows.size(0)))
                    .add(ahead, new Scalar(DECAY));
            velocity.mul_(new Scalar(MOMENTUM)).sub_(gradient, new Scalar(rate));
            weights.add_(velocity);
          });
    }
    return weights;
  }
}
