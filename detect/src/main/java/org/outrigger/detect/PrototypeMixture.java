package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The mathematics of {@link Palm}: embeddings on the unit sphere as a mixture of several prototypes
 * a class, and what one batch makes of them.
 *
 * @param before assignments to the prototypes before the step, [N, M]; rows sum to 1
 * @param after the same to the prototypes after it
 * @param prototypes P' [M, E], unit rows, with gradients to the embeddings
 * @param likelihood L_mle, a scalar
 * @param contrast L_pc, a scalar
 */
public record PrototypeMixture(
    Tensor before, Tensor after, Tensor prototypes, Tensor likelihood, Tensor contrast) {
  private static final double CONTRAST_TEMPERATURE = 0.5;
  private static final double TINY = 1e-12;

  /** {@code L_mle + lambda L_pc}. */
  public Tensor loss(double lambda) {
    return likelihood.add(contrast.mul(new Scalar(lambda)));
  }

  /**
   * Shares samples out among prototypes so that every prototype gets about as much, by alternate
   * scaling of the rows and columns of {@code exp(Z P^T / epsilon)}. Without gradient.
   *
   * @param embeddings Z [N, E], unit rows
   * @param prototypes P [M, E], unit rows
   * @return Q [N, M]; rows sum to 1
   */
  public static Tensor sinkhorn(
      Tensor embeddings, Tensor prototypes, double epsilon, int iterations) {
    return Scopes.noGrad(
        () -> {
          Tensor fit = prototypes.mm(embeddings.t()).div(new Scalar(epsilon));
          Scalar m = new Scalar((double) fit.size(0));
          Scalar n = new Scalar((double) fit.size(1));
          // Only ratios count: shifted by the largest exponent nothing overflows.
          Tensor q = fit.sub(fit.amax()).exp();
          q = q.div(q.sum());
          for (int i = 0; i < iterations; i++) {
            q = shares(q, 1).div(m);
            q = shares(q, 0).div(n);
          }
          return q.mul(n).t().contiguous();
        });
  }

  /** Entries, 0 or more, over their sum along a dimension; zeros stay. */
  private static Tensor shares(Tensor entries, long dimension) {
    return entries.div(entries.sum(new long[] {dimension}, true, null).clamp_min(new Scalar(TINY)));
  }

  /**
   * One batch: assignment, the prototypes' move, and both losses. The results belong to the
   * innermost scope.
   *
   * @param embeddings Z [N, E], unit rows
   * @param prototypes P [M, E]; prototype p is of class p mod C. Scaled to unit length first if
   *     they have grown so large that the assignment overflows
   * @param labels int64 [N], each 0 .. C-1
   * @param classes C, of which M is a multiple
   * @throws OutriggerException if a shape, a label or an embedding's length is not that
   */
  public static PrototypeMixture step(
      Tensor embeddings, Tensor prototypes, Tensor labels, long classes, Palm.Settings settings) {
    check(embeddings, prototypes, labels, classes);
    Tensor still = embeddings.detach();
    double epsilon = settings.epsilon();
    int iterations = settings.sinkhornIterations();
    Tensor start = overflows(still, prototypes, epsilon) ? unit(prototypes) : prototypes;
    Tensor own =
        labels.unsqueeze(1).eq(classes(start, classes).unsqueeze(0)).to(still.scalar_type());
    Tensor before = sinkhorn(still, start, epsilon, iterations);
    Tensor kept = own.mul(largest(own.mul(before), settings.k()));
    Tensor pull = shares(shares(before.mul(kept), 1), 0);
    double mu = settings.prototypeMomentum();
    Tensor moved =
        unit(start.mul(new Scalar(mu)).add(pull.t().mm(embeddings).mul(new Scalar(1 - mu))));
    Tensor after = sinkhorn(still, moved.detach(), epsilon, iterations);
    // The old assignment says which prototypes count, the new one how much.
    Tensor weights = shares(after.mul(kept), 1);
    return new PrototypeMixture(
        before,
        after,
        moved,
        likelihood(embeddings, moved.detach(), weights, settings.temperature()),
        contrast(moved, classes));
  }

  private static void check(Tensor embeddings, Tensor prototypes, Tensor labels, long classes) {
    Shapes.check()
        .tensor("The embeddings", embeddings, "N", "E")
        .tensor("The prototypes", prototypes, "M", "E")
        .tensor("The labels", labels, "N");
    Shapes.notEmpty("The embeddings", embeddings);
    Shapes.labels("The labels", labels, classes, false);
    if (prototypes.size(0) == 0 || prototypes.size(0) % classes != 0) {
      throw new OutriggerException(
          prototypes.size(0)
              + " prototypes cannot be shared evenly by "
              + classes
              + " classes: give as many to each.");
    }
    requireUnit("The embeddings", embeddings, "Scale them first.");
  }

  /** Demands rows of length 1, up to rounding. */
  static void requireUnit(String name, Tensor rows, String remedy) {
    double apart =
        Scopes.noGrad(() -> rows.detach().square().sum(1).sqrt().sub(new Scalar(1.0)).abs().amax())
            .item_double();
    if (!(apart < 1e-3)) {
      throw new OutriggerException(
          name
              + (Double.isFinite(apart)
                  ? " must be rows of length 1, but one differs by " + apart + ". " + remedy
                  : " hold NaN or infinite values: lower the learning rate, or clean the data."));
    }
  }

  private static boolean overflows(Tensor embeddings, Tensor prototypes, double epsilon) {
    return Scopes.scoped(
        () ->
            !prototypes
                .mm(embeddings.t())
                .div(new Scalar(epsilon))
                .exp()
                .sum()
                .isfinite()
                .item_bool());
  }

  private static Tensor unit(Tensor rows) {
    return ProjectionHead.unit(rows);
  }

  /** The class of each prototype, int64 [M]. */
  private static Tensor classes(Tensor prototypes, long classes) {
    return torch
        .arange(new Scalar(prototypes.size(0)), new TensorOptions(ScalarType.Long))
        .remainder(new Scalar(classes));
  }

  /** 1 at the k largest entries of each row and 0 elsewhere; all 1 for k = 0. */
  private static Tensor largest(Tensor rows, int k) {
    if (k == 0 || k >= rows.size(1)) {
      return torch.ones_like(rows);
    }
    Tensor places = rows.topk(k, 1, true, false).get1();
    return torch.zeros_like(rows).scatter(1, places, new Scalar(1.0));
  }

  /**
   * {@code L_mle}, with gradients to the embeddings.
   *
   * @param embeddings Z [N, E]
   * @param prototypes P' [M, E], without gradient
   * @param weights w [N, M]; rows sum to 1
   * @return a scalar
   */
  public static Tensor likelihood(
      Tensor embeddings, Tensor prototypes, Tensor weights, double temperature) {
    return Scopes.tensor(
        () -> {
          Tensor similar = embeddings.mm(prototypes.t()).div(new Scalar(temperature));
          return similar.logsumexp(1).sub(similar.mul(weights).sum(1)).mean();
        });
  }

  /**
   * {@code L_pc = -mean_p [ mean_(p+) A_pp+ - log sum_(p'' != p) exp(A_pp'') ]} with {@code A = P
   * P^T / 0.5} less its row's maximum, and p+ the other prototypes of p's class.
   *
   * @param prototypes P [M, E], unit rows; prototype p is of class p mod C
   * @param classes C
   * @return a scalar; 0 for a single prototype
   */
  public static Tensor contrast(Tensor prototypes, long classes) {
    return Scopes.tensor(
        () -> {
          if (prototypes.size(0) < 2) {
            return prototypes.sum().mul(new Scalar(0.0));
          }
          Tensor similar = prototypes.mm(prototypes.t()).div(new Scalar(CONTRAST_TEMPERATURE));
          Tensor shifted = similar.sub(similar.detach().amax(new long[] {1}, true));
          Tensor of = classes(prototypes, classes);
          Tensor self = torch.eye(prototypes.size(0)).to(ScalarType.Bool);
          Tensor pairs =
              of.unsqueeze(1)
                  .eq(of.unsqueeze(0))
                  .logical_and(self.logical_not())
                  .to(prototypes.scalar_type());
          Tensor others = shifted.masked_fill(self, new Scalar(Double.NEGATIVE_INFINITY));
          return others.logsumexp(1).sub(shifted.mul(shares(pairs, 1)).sum(1)).mean();
        });
  }
}
