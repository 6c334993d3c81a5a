package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * A mixture of Gaussians with full covariances, fitted by expectation and maximisation in float64
 * from a k-means start. Rows are taken in blocks: beside the data and the posteriors it needs
 * memory for the covariances [K, D, D] and one block.
 */
final class GaussianMixture {
  /** Numbers in the largest tensor of a block. */
  private static final long BLOCK = 1L << 22;

  private static final int KMEANS_ROUNDS = 10;

  private final Tensor x; // [N, D]
  private final long components;
  private final double floor;

  private final Tensor posteriors; // [N, K]
  private final Tensor logWeights; // [K]
  private final Tensor centres; // [K, D]
  private final Tensor whitening; // [D, K D]: for each component the factor W with W W^T = S^-1
  private final Tensor logScales; // [K]: log det W

  private GaussianMixture(Tensor x, long components, double floor, Rng rng) {
    this.x = x;
    this.components = components;
    this.floor = floor;
    centres = start(rng);
    posteriors = nearest();
    logWeights = Rows.zeros(components);
    whitening = Rows.zeros(x.size(1), components * x.size(1));
    logScales = Rows.zeros(components);
  }

  /**
   * Fits and gives the posterior of each component, [N, K].
   *
   * @param x float64 [N, D]
   * @param components K, at most N
   * @param iterations the most rounds
   * @param tolerance the change of the mean log-likelihood at which it stops
   * @param floor added to the variances
   */
  static Tensor posteriors(
      Tensor x, long components, int iterations, double tolerance, double floor, Rng rng) {
    return Scopes.tensor(
        () -> {
          GaussianMixture mixture = new GaussianMixture(x, components, floor, rng);
          double before = Double.NEGATIVE_INFINITY;
          for (int i = 0; i < iterations; i++) {
            mixture.maximise();
            double likelihood = mixture.expect();
            if (Math.abs(likelihood - before) < tolerance) {
              break;
            }
            before = likelihood;
          }
          return mixture.posteriors;
        });
  }

  /** k-means++: each next centre is a row drawn by its squared distance; then Lloyd's rounds. */
  private Tensor start(Rng rng) {
    return Scopes.tensor(
        () -> {
          Tensor chosen = Rows.zeros(components, x.size(1));
          Tensor least = torch.full_like(x.select(1, 0), new Scalar(1.0));
          for (long k = 0; k < components; k++) {
            long at = k;
            Scopes.run(
                () -> {
                  boolean spread = least.sum().item_double() > 0;
                  Tensor odds = spread ? least : torch.ones_like(least);
                  long row = torch.multinomial(odds, 1, true, rng.generator()).item_long();
                  chosen.select(0, at).copy_(x.select(0, row));
                  Tensor apart = x.sub(x.select(0, row)).square_().sum(1);
                  least.copy_(at == 0 ? apart : torch.minimum(least, apart));
                });
          }
          Tensor owners = owners(chosen);
          for (int i = 0; i < KMEANS_ROUNDS; i++) {
            Tensor counts = counts(owners);
            Tensor means =
                Rows.of(x)
                    .sums(owners, components)
                    .div_(counts.clamp_min(new Scalar(1.0)).unsqueeze(1));
            // A centre that lost all rows stays where it is.
            chosen.copy_(torch.where(counts.gt(new Scalar(0.0)).unsqueeze(1), means, chosen));
            Tensor next = owners(chosen);
            if (next.equal(owners)) {
              break;
            }
            owners = next;
          }
          return chosen;
        });
  }

  private Tensor counts(Tensor owners) {
    return owners.bincount(new TensorOptional(), components).to(ScalarType.Double);
  }

  /** The centre nearest to each row, int64 [N]. */
  private Tensor owners(Tensor among) {
    return Scopes.tensor(
        () -> {
          Tensor half = among.square().sum(1).mul_(new Scalar(-0.5));
          TensorVector parts = new TensorVector();
          Tensor transposed = among.t();
          blocks(
              components,
              (from, length) ->
                  parts.push_back(
                      Scopes.tensor(
                          () ->
                              torch
                                  .addmm(half, x.narrow(0, from, length), transposed)
                                  .argmax(new org.bytedeco.pytorch.LongOptional(1), false))));
          return torch.cat(parts, 0);
        });
  }

  private Tensor nearest() {
    return Scopes.tensor(() -> torch.one_hot(owners(centres), components).to(ScalarType.Double));
  }

  private interface Block {
    void visit(long from, long length);
  }

  private void blocks(long width, Block block) {
    long rows = Math.max(16, BLOCK / width);
    for (long from = 0; from < x.size(0); from += rows) {
      block.visit(from, Math.min(rows, x.size(0) - from));
    }
  }

  /** Weights, means and covariances from the posteriors. */
  private void maximise() {
    long d = x.size(1);
    Scopes.run(
        () -> {
          Tensor mass = posteriors.sum(0).add_(new Scalar(10 * Math.ulp(1.0)));
          Tensor means = posteriors.t().mm(x).div_(mass.unsqueeze(1));
          Tensor factors = Rows.zeros(components, d, d);
          Tensor eye = torch.eye(d, new TensorOptions(ScalarType.Double));
          for (long k = 0; k < components; k++) {
            long at = k;
            Scopes.run(
                () -> {
                  Tensor apart = x.sub(means.select(0, at));
                  Tensor share = posteriors.narrow(1, at, 1).div(mass.select(0, at));
                  Tensor covariance = apart.t().mm(apart.mul(share));
                  covariance.diagonal().add_(new Scalar(floor));
                  T_TensorTensor_T lower = torch.linalg_cholesky_ex(covariance);
                  if (lower.get1().item_long() != 0) {
                    throw new OutriggerException(
                        "A component of the mixture has no covariance that can be inverted: raise"
                            + " the setting floor = "
                            + floor
                            + ", or lower the number of components.");
                  }
                  factors
                      .select(0, at)
                      .copy_(torch.linalg_solve_triangular(lower.get0(), eye, false).t());
                });
          }
          double n = x.size(0);
          logWeights.copy_(mass.div(new Scalar(n)).log());
          centres.copy_(means);
          logScales.copy_(factors.diagonal(0, 1, 2).log().sum(1));
          whitening.copy_(factors.permute(1, 0, 2).reshape(d, components * d));
        });
  }

  /** Posteriors from weights, means and covariances; the mean log-likelihood. */
  private double expect() {
    long d = x.size(1);
    return Scopes.scoped(
        () -> {
          Tensor offsets =
              torch
                  .bmm(centres.unsqueeze(1), whitening.unflatten(1, components, d).permute(1, 0, 2))
                  .flatten(0, -1); // [K D]
          Tensor constant =
              logWeights.add(logScales).sub_(new Scalar(d / 2.0 * Math.log(2 * Math.PI)));
          Tensor total = Rows.zeros(1);
          blocks(
              components * d,
              (from, length) ->
                  Scopes.run(
                      () -> {
                        Tensor white = x.narrow(0, from, length).mm(whitening).sub_(offsets);
                        Tensor logs =
                            white
                                .square_()
                                .unflatten(1, components, d)
                                .sum(2)
                                .mul_(new Scalar(-0.5))
                                .add_(constant);
                        Tensor all = logs.logsumexp(new long[] {1}, true);
                        posteriors.narrow(0, from, length).copy_(logs.sub_(all).exp_());
                        total.add_(all.sum());
                      }));
          return Tensors.doubles(total)[0] / x.size(0);
        });
  }
}
