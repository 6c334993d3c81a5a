package org.outrigger.detect;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** How far the predictions of two modalities lie apart; symmetric, 0 for equal ones. */
public enum Discrepancy {
  /** {@code |sqrt p - sqrt q| / sqrt 2}, in [0, 1]; probabilities below 1e-6 count as 1e-6. */
  HELLINGER,
  /** The mean over the classes of {@code |p - q|}. */
  L1,
  /** The mean over the classes of {@code (p - q)^2}. */
  MSE,
  /**
   * The Euclidean distance of each row of one batch to the nearest row of the other, averaged, and
   * both directions averaged: what MultiOOD's code calls Wasserstein. No optimal transport, and a
   * property of two batches, not of their rows.
   */
  WASSERSTEIN;

  private static final double SMALLEST = 1e-6;

  /** Under the root, so that two equal rows have a gradient: 0. */
  private static final double UNDER_ROOT = 1e-12;

  /** Distances from differences; products would round away what is close. */
  private static final long FROM_DIFFERENCES = 2;

  /** Whether each row has a discrepancy of its own. */
  public boolean ofRows() {
    return this != WASSERSTEIN;
  }

  /**
   * The discrepancy of two batches: the mean of that of their rows.
   *
   * @param p probabilities [N, C]
   * @param q probabilities of the same rows, [N, C]
   * @return a scalar, 0 or more
   */
  public Tensor between(Tensor p, Tensor q) {
    return Scopes.tensor(
        () -> {
          if (ofRows()) {
            return rows(p, q).mean();
          }
          check(p, q);
          Tensor apart = torch.cdist(p, q, 2, new LongOptional(FROM_DIFFERENCES));
          Tensor there = apart.amin(new long[] {1}, false).mean();
          Tensor back = apart.amin(new long[] {0}, false).mean();
          return there.add(back).div(new Scalar(2.0));
        });
  }

  /**
   * The discrepancy of each row.
   *
   * @param p probabilities [N, C]
   * @param q probabilities of the same rows, [N, C]
   * @return [N], 0 or more
   * @throws UnsupportedOperationException for {@link #WASSERSTEIN}
   */
  public Tensor rows(Tensor p, Tensor q) {
    check(p, q);
    return Scopes.tensor(
        () ->
            switch (this) {
              case HELLINGER ->
                  root(p)
                      .sub(root(q))
                      .square()
                      .sum(1)
                      .add(new Scalar(UNDER_ROOT))
                      .sqrt()
                      .div(new Scalar(Math.sqrt(2)));
              case L1 -> p.sub(q).abs().mean(1);
              case MSE -> p.sub(q).square().mean(1);
              case WASSERSTEIN ->
                  throw new UnsupportedOperationException(
                      "This discrepancy belongs to batches, not to rows");
            });
  }

  private static Tensor root(Tensor probabilities) {
    return probabilities.clamp_min(new Scalar(SMALLEST)).sqrt();
  }

  private static void check(Tensor p, Tensor q) {
    Shapes.check()
        .tensor("One modality's prediction", p, "N", "C")
        .tensor("The other modality's prediction", q, "N", "C");
  }
}
