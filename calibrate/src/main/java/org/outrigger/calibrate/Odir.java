package org.outrigger.calibrate;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Multinomial logistic regression with off-diagonal and intercept regularisation: mean
 * cross-entropy of softmax(W x + b) plus lambda times the squares off W's diagonal plus mu times
 * those of b, from the identity. What matrix scaling and Dirichlet calibration share. Kull et al.,
 * Beyond temperature scaling, NeurIPS 2019 (on the mean, and without fixing the last row).
 */
final class Odir {
  private static final double[] GRID = {1e-4, 1e-3, 1e-2, 1e-1, 1, 10};
  private static final int FOLDS = 5;
  private static final long SEED = 0;

  private Odir() {}

  /** The strengths of both penalties. */
  record Strength(double lambda, double mu) {}

  /**
   * @param x [N, C]
   * @param weightAndBias [C, C + 1], the offset in the last column
   * @return [N, C]
   */
  static Tensor logits(Tensor x, Tensor weightAndBias) {
    long classes = weightAndBias.size(0);
    return x.matmul(weightAndBias.narrow(1, 0, classes).t()).add(weightAndBias.select(1, classes));
  }

  /** What is minimised, a scalar. */
  static Tensor objective(Tensor x, Tensor labels, Tensor weightAndBias, Strength strength) {
    return Scopes.tensor(
        () -> {
          long classes = weightAndBias.size(0);
          Tensor squares = weightAndBias.narrow(1, 0, classes).square();
          Tensor offDiagonal = squares.sum().sub(squares.trace());
          Tensor offsets = weightAndBias.select(1, classes).square().sum();
          return CrossEntropy.loss(logits(x, weightAndBias), labels, 0)
              .add(offDiagonal.mul(new Scalar(strength.lambda)))
              .add(offsets.mul(new Scalar(strength.mu)));
        });
  }

  /** W and b of the smallest objective, [C, C + 1]. */
  static Tensor fit(String who, Tensor x, Tensor labels, Strength strength) {
    return Scopes.tensor(
        () -> {
          long classes = x.size(1);
          Tensor identity =
              Tensors.of(new double[(int) (classes * (classes + 1))], classes, classes + 1);
          identity.fill_diagonal_(new Scalar(1.0));
          return ConvexFit.minimise(who, identity, at -> objective(x, labels, at, strength));
        });
  }

  /**
   * The strengths of the smallest cross-validated negative log-likelihood among 1e-4, 1e-3 ... 10:
   * lambda first with the mu that is given, then mu with that lambda. Folds are stratified.
   */
  static Strength choose(String who, Tensor x, Tensor labels, Strength from) {
    return Scopes.scoped(
        () -> {
          Folds folds = Folds.of(labels, FOLDS, SEED);
          Strength best = from;
          double least = Double.POSITIVE_INFINITY;
          for (double lambda : GRID) {
            Strength next = new Strength(lambda, from.mu);
            double loss = crossValidated(who, x, labels, folds, next);
            if (loss < least) {
              least = loss;
              best = next;
            }
          }
          for (double mu : GRID) {
            Strength next = new Strength(best.lambda, mu);
            double loss = mu == best.mu ? least : crossValidated(who, x, labels, folds, next);
            if (loss < least) {
              least = loss;
              best = next;
            }
          }
          return best;
        });
  }

  private static double crossValidated(
      String who, Tensor x, Tensor labels, Folds folds, Strength strength) {
    double sum = 0;
    for (int f = 0; f < folds.count(); f++) {
      int fold = f;
      sum +=
          Scopes.scoped(
              () -> {
                Tensor in = folds.training(fold);
                Tensor out = folds.held(fold);
                Tensor fitted =
                    fit(who, x.index_select(0, in), labels.index_select(0, in), strength);
                Tensor loss =
                    CrossEntropy.loss(
                        logits(x.index_select(0, out), fitted), labels.index_select(0, out), 0);
                return loss.item_double() * out.size(0);
              });
    }
    return sum / x.size(0);
  }

  /** log softmax, no smaller than the logarithm of the smallest positive normal number. */
  static Tensor logProbabilities(Tensor logits) {
    return torch
        .log_softmax(logits.to(ScalarType.Double), 1)
        .clamp_min(new Scalar(Math.log(Double.MIN_NORMAL)));
  }
}
