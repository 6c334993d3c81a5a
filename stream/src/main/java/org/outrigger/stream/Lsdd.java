package org.outrigger.stream;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Least-squares density difference with a permutation test: the squared difference of both
 * densities, fitted by kernels at some reference rows. With {@code H} the kernel among the centres
 * at sigma sqrt 2 and {@code h = mean k(A, c) - mean k(B, c)}, it is {@code h' G h}, {@code G = 2
 * (H + lambda I)^-1 - (H + lambda I)^-1 H (H + lambda I)^-1}. lambda is the largest of 1, 1/4, ..,
 * 4^-9 at which the two estimates that G combines differ by less than a fifth.
 *
 * <p>Rows are standardised by the reference; the centres are then left out of it.
 *
 * <p>Sugiyama et al., "Density-Difference Estimation", Neural Computation 2013; Bu, Alippi, Zhao,
 * "A pdf-Free Change Detection Test Based on Density Difference Estimation", TNNLS 2018.
 */
@Card(
    slug = "lsdd",
    name = "Least-squares density difference",
    summary = "The difference of both densities by kernels, with permutations.",
    paper =
        "Sugiyama et al. Density-Difference Estimation. Neural Computation 2013; Bu, Alippi, Zhao. TNNLS 2018",
    year = 2013,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class Lsdd extends ReferenceTest<Lsdd.Settings> {
  private static final int LAMBDAS = 10;

  /**
   * @param alpha the level, in (0, 1)
   * @param permutations at least 1 / alpha
   * @param centers kernels; 0 for a twentieth of the reference
   * @param lambdaRdMax the relative difference of two estimates that is allowed, in (0, 1)
   * @param seed of centres and permutations
   */
  public record Settings(
      double alpha, int permutations, int centers, double lambdaRdMax, long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Permutations.enough(permutations, alpha);
      HyperParameter.atLeast("centers", centers, 0);
      HyperParameter.inside("lambdaRdMax", lambdaRdMax, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.05, 100, 0, 0.2, 0);
    }
  }

  /**
   * What the estimate came to.
   *
   * @param sigma of the kernel
   * @param kernel H [c, c], row-major
   * @param combined G [c, c], row-major
   * @param observed of the samples as they are
   * @param permuted of the permutations
   */
  public record Estimate(
      double sigma, double[] kernel, double[] combined, double observed, double[] permuted) {}

  public Lsdd() {
    this(Settings.defaults());
  }

  public Lsdd(Settings settings) {
    super(settings);
  }

  /** Rows standardised by mean and sample standard deviation + 1e-12 of the reference. */
  public static Tensor standardised(Tensor reference, Tensor rows) {
    return Scopes.tensor(
        () -> {
          Tensor mean = reference.mean(new long[] {0}, true, new ScalarTypeOptional());
          Tensor variance =
              reference.sub(mean).square().sum(0).div(new Scalar(reference.size(0) - 1.0));
          return rows.sub(mean).div(torch.sqrt(variance).add(new Scalar(1e-12)));
        });
  }

  /**
   * The estimate and its permutations.
   *
   * @param centers standardised rows [c, d]
   * @param reference standardised rows without the centres [n, d]
   * @param batch standardised rows [m, d]
   * @param orders int64 [N, n + m], of reference and batch
   * @param sigma of the kernel
   */
  public static Estimate estimate(
      Tensor centers,
      Tensor reference,
      Tensor batch,
      Tensor orders,
      double sigma,
      double lambdaRdMax) {
    return Scopes.scoped(
        () -> {
          long n = reference.size(0);
          Tensor h = GaussianKernel.of(centers, centers, sigma * Math.sqrt(2));
          Tensor pooled =
              GaussianKernel.of(torch.cat(new TensorVector(reference, batch), 0), centers, sigma);
          Tensor observed =
              pooled
                  .narrow(0, 0, n)
                  .mean(0)
                  .sub(pooled.narrow(0, n, batch.size(0)).mean(0))
                  .unsqueeze(1);
          Tensor permuted = differences(pooled, orders, n);
          Tensor inverse = regularised(h, permuted, lambdaRdMax);
          Tensor g = inverse.mul(new Scalar(2.0)).sub(inverse.t().mm(h).mm(inverse));
          return new Estimate(
              sigma,
              Tensors.doubles(h),
              Tensors.doubles(g),
              quadratic(g, observed).item_double(),
              Tensors.doubles(quadratic(g, permuted)));
        });
  }

  /** h of every permutation, [c, N]. */
  private static Tensor differences(Tensor pooled, Tensor orders, long n) {
    long rows = pooled.size(0);
    Tensor weights = torch.full_like(orders, new Scalar(0)).to(torch.ScalarType.Double);
    weights.fill_(new Scalar(-1.0 / (rows - n)));
    weights.scatter_(1, orders.narrow(1, 0, n).contiguous(), new Scalar(1.0 / n));
    return weights.mm(pooled).t();
  }

  /** (H + lambda I)^-1 with the first lambda at which both estimates agree well enough. */
  private static Tensor regularised(Tensor h, Tensor permuted, double most) {
    Tensor identity = torch.eye(h.size(0), new TensorOptions(torch.ScalarType.Double));
    for (int i = 0; i < LAMBDAS; i++) {
      Tensor inverse = torch.linalg_inv(h.add(identity.mul(new Scalar(Math.pow(0.25, i)))));
      Tensor w = inverse.mm(permuted);
      Tensor ratio = w.mul(h.mm(w)).sum(0).div(permuted.mul(w).sum(0));
      if (1 - ratio.mean().item_double() < most) {
        return inverse;
      }
    }
    throw new OutriggerException(
        "No regularisation gives a stable density difference: use fewer centres or a larger"
            + " lambdaRdMax.");
  }

  private static Tensor quadratic(Tensor g, Tensor h) {
    return h.mul(g.mm(h)).sum(0);
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    Settings s = settings();
    long n = reference.size(0);
    long count = s.centers == 0 ? Math.max(1, n / 20) : s.centers;
    if (count > n - 2) {
      throw new OutriggerException(
          count + " centres leave fewer than two of " + n + " reference rows: use fewer.");
    }
    Tensor a = standardised(reference, reference);
    Tensor b = standardised(reference, batch);
    double sigma = GaussianKernel.median(a);
    if (!(sigma > 1e-14)) {
      throw new OutriggerException(
          "Most rows of the reference are the same, so the kernel has no width: choose other"
              + " features.");
    }
    try (Rng rng = Rng.named(s.seed, "lsdd centers")) {
      Tensor order = rng.permutation(n);
      Tensor centers = a.index_select(0, order.narrow(0, 0, count));
      if (GaussianKernel.squaredDistances(centers, centers).lt(new Scalar(1e-12)).sum().item_long()
          > count) {
        // Equal centres would make H singular.
        centers =
            centers.add(
                rng.normal(torch.ScalarType.Double, count, a.size(1)).mul(new Scalar(1e-6)));
      }
      Tensor rest = a.index_select(0, order.narrow(0, count, n - count));
      Tensor orders = Permutations.draw(s.permutations, n - count + b.size(0), s.seed, "lsdd");
      Estimate estimate = estimate(centers, rest, b, orders, sigma, s.lambdaRdMax);
      double p = Permutations.pValue(estimate.observed(), estimate.permuted());
      return new DriftTestResult("lsdd", p < s.alpha, estimate.observed(), p, s.alpha);
    }
  }

  @Override
  protected void check(Tensor reference) {
    if (reference.size(0) < 4) {
      throw new OutriggerException(
          "The reference has "
              + reference.size(0)
              + " rows, but LSDD needs 4: some become centres and are left out.");
    }
  }
}
