package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.Spectrum.Targets;

/**
 * LogME: the log evidence per row of a Bayesian linear model from features to targets, its prior
 * and noise chosen to make the evidence largest. For classes it is the mean over one-hot targets.
 *
 * <p>With singular values s of the features, sigma = s^2 and x = U^T t for a target t, precisions a
 * (prior) and b (noise) are iterated; the evidence is {@code (D/2) log a + (N/2) log b - 1/2 sum_D
 * log(a + b sigma) - (b/2) r - (a/2) m - (N/2) log 2 pi}. The sum runs over all D directions, also
 * those without variance, which the released fixed-point code leaves out.
 *
 * <p>You, Liu, Wang, Long. LogME: Practical Assessment of Pre-trained Models for Transfer Learning.
 * ICML 2021; the fixed point: Ranking and Tuning Pre-trained Models, JMLR 2022.
 */
@Card(
    slug = "logme",
    name = "LogME",
    summary = "The evidence of a Bayesian linear model on the features; also for regression.",
    paper =
        "You, Liu, Wang, Long. LogME: Practical Assessment of Pre-trained Models for Transfer"
            + " Learning. ICML 2021",
    year = 2021,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class LogMe implements ModelScore {
  private static final double EPSILON = 1e-5;

  /**
   * @param maxIterations the most rounds of the fixed point; 11
   * @param tolerance the relative change of a / b at which it stops; 1e-3
   */
  public record Settings(int maxIterations, double tolerance) {
    public Settings {
      HyperParameter.atLeast("maxIterations", maxIterations, 1);
      HyperParameter.positive("tolerance", tolerance);
    }

    public static Settings defaults() {
      return new Settings(11, 1e-3);
    }
  }

  /**
   * What was found for each target; tensors belong to the caller's scope.
   *
   * @param evidences log evidence a row, [T]
   * @param alphas precision of the prior, [T]
   * @param betas precision of the noise, [T]
   * @param weights posterior mean, [T, D]
   * @param rank the directions in which the features vary, k
   */
  public record Evidence(Tensor evidences, Tensor alphas, Tensor betas, Tensor weights, long rank) {
    /** The mean over targets. */
    public double mean() {
      return Scopes.scoped(() -> evidences.mean().item_double());
    }
  }

  private final Settings settings;

  public LogMe() {
    this(Settings.defaults());
  }

  public LogMe(Settings settings) {
    this.settings = settings;
  }

  /**
   * The evidence for classes.
   *
   * @param features [N, D]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static Evidence classes(Tensor features, Tensor labels, Settings settings) {
    return Scopes.scoped(
        () -> evidence(features, Spectrum.classes(labels, Rows.counts(labels)), settings, 0));
  }

  /**
   * The evidence for numbers.
   *
   * @param features [N, D]
   * @param targets [N, T]
   */
  public static Evidence regression(Tensor features, Tensor targets, Settings settings) {
    return Scopes.scoped(
        () -> evidence(features, Spectrum.values(targets.to(ScalarType.Double)), settings, 0));
  }

  /**
   * The evidence for classes as the paper of 2021 iterates it: to a tolerance of 1e-2, and with
   * 1e-5 added to both squared errors in the evidence too.
   */
  public static Evidence icml(Tensor features, Tensor labels) {
    return Scopes.scoped(
        () ->
            evidence(
                features,
                Spectrum.classes(labels, Rows.counts(labels)),
                new Settings(11, 1e-2),
                EPSILON));
  }

  private static Evidence evidence(
      Tensor features, Targets targets, Settings settings, double extra) {
    double n = features.size(0);
    Spectrum spectrum = Spectrum.of(Rows.of(features), targets);
    Tensor sigma = spectrum.sigma().unsqueeze(1); // [k, 1]
    Tensor squares = spectrum.projections().square(); // [k, T]
    Tensor outside = targets.squares().sub(squares.sum(0)).clamp_min_(new Scalar(0.0));
    Tensor alpha = torch.ones_like(outside);
    Tensor beta = torch.ones_like(outside);
    Tensor ratio = torch.ones_like(outside);
    Tensor length = torch.zeros_like(outside);
    Tensor residual = torch.zeros_like(outside);
    Tensor open = torch.ones_like(outside).to(ScalarType.Bool);
    for (int i = 0; i < settings.maxIterations && open.any().item_bool(); i++) {
      Scopes.run(
          () -> {
            Tensor l = alpha.div(beta);
            Tensor sum = sigma.add(l); // [k, T]
            Tensor gamma = sigma.div(sum).sum(0);
            Tensor m = sigma.mul(squares).div_(sum.square()).sum(0);
            Tensor r =
                squares.div(sigma.div(l).add_(new Scalar(1.0)).square_()).sum(0).add_(outside);
            Tensor a = gamma.div(m.add(new Scalar(EPSILON)));
            Tensor b = gamma.neg().add_(new Scalar(n)).div_(r.add(new Scalar(EPSILON)));
            ratio.copy_(torch.where(open, l, ratio));
            length.copy_(torch.where(open, m, length));
            residual.copy_(torch.where(open, r, residual));
            alpha.copy_(torch.where(open, a, alpha));
            beta.copy_(torch.where(open, b, beta));
            Tensor moved = a.div(b).sub_(l).abs_().div_(l);
            open.logical_and_(moved.gt(new Scalar(settings.tolerance)));
          });
    }
    Tensor logs =
        sigma.mul(beta).add_(alpha).log_().sum(0).mul_(new Scalar(-0.5)); // the k directions
    // Each of the other D - k directions has -1/2 log(a + 0), which cancels its half log a.
    Tensor evidence =
        logs.add_(alpha.log().mul_(new Scalar(spectrum.sigma().size(0) / 2.0)))
            .add_(beta.log().mul_(new Scalar(n / 2)))
            .sub_(beta.mul(residual.add(new Scalar(extra))).mul_(new Scalar(0.5)))
            .sub_(alpha.mul(length.add(new Scalar(extra))).mul_(new Scalar(0.5)))
            .sub_(new Scalar(n / 2 * Math.log(2 * Math.PI)))
            .div_(new Scalar(n));
    Tensor weights =
        spectrum.weights(spectrum.projections().div(sigma.add(ratio))).t().contiguous();
    return new Evidence(
        Scopes.keep(new Tensor(evidence)),
        Scopes.keep(new Tensor(alpha)),
        Scopes.keep(new Tensor(beta)),
        Scopes.keep(new Tensor(weights)),
        spectrum.sigma().size(0));
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () ->
            classes(candidate.requireFeatures(this), candidate.denseLabels(this), settings).mean());
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
