package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Regularised adaptive prediction sets: APS with a penalty on far ranks, so that a long tail of
 * small probabilities does not blow sets up. The score is that of {@link Aps} plus {@code lambda
 * max(0, rank(y) - k_reg)}, rank from 1.
 *
 * <p>What of k_reg and lambda is not given is chosen on a part of the held-out rows, which the
 * threshold then does without: k_reg is the conformal quantile of the true label's rank, lambda the
 * one of 0.001, 0.01, 0.1, 0.2 and 0.5 with the smallest sets.
 *
 * <p>Angelopoulos, Bates, Malik, Jordan, "Uncertainty Sets for Image Classifiers using Conformal
 * Prediction", ICLR 2021.
 */
@Card(
    slug = "raps",
    name = "RAPS",
    summary = "APS with a penalty on far ranks: smaller sets where there are many classes.",
    paper =
        "Angelopoulos, Bates, Malik, Jordan. Uncertainty Sets for Image Classifiers using Conformal"
            + " Prediction. ICLR 2021",
    year = 2021,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "one threshold, k_reg and lambda")
public final class Raps extends SplitConformal<Raps.Settings> {
  private static final double[] LAMBDAS = {0.001, 0.01, 0.1, 0.2, 0.5};

  /**
   * @param alpha the share of sets that may miss the true label, in (0, 1)
   * @param kReg the rank from which labels are penalised, 0 or more; -1 chooses it
   * @param lambda the penalty a rank, 0 or more; -1 chooses it
   * @param tuning the share of the held-out rows that chooses, in (0, 1)
   * @param randomised whether the last label is taken or left by chance, which makes coverage exact
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label, and
   *     coverage rises
   * @param seed of the randomisation, and of which rows choose
   */
  public record Settings(
      double alpha,
      int kReg,
      double lambda,
      double tuning,
      boolean randomised,
      boolean allowEmpty,
      long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.atLeast("kReg", kReg, -1);
      HyperParameter.require(
          lambda == -1 || (lambda >= 0 && Double.isFinite(lambda)),
          "lambda",
          lambda,
          "0 or more, or -1 to choose it");
      HyperParameter.inside("tuning", tuning, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.1, -1, -1, 0.2, true, true, 0);
    }
  }

  public Raps() {
    this(Settings.defaults());
  }

  public Raps(Settings settings) {
    super(settings);
  }

  /**
   * The scores of all labels.
   *
   * @param probabilities [N, C]
   * @param u [N], in [0, 1]
   * @return float64 [N, C]
   */
  public static Tensor scores(Tensor probabilities, Tensor u, int kReg, double lambda) {
    return Scopes.noGrad(
        () -> {
          T_TensorTensor_T ranked = LabelScore.ranked(probabilities.to(ScalarType.Double));
          Tensor p = ranked.get0();
          long classes = p.size(1);
          Tensor above =
              torch.cat(
                  new TensorVector(
                      torch.zeros_like(p.narrow(1, 0, 1)), p.narrow(1, 0, classes - 1).cumsum(1)),
                  1);
          Tensor score = above.add(p.mul(u.to(ScalarType.Double).unsqueeze(1)));
          if (lambda > 0) {
            Tensor far =
                LabelScore.counting(classes)
                    .sub(new Scalar((double) kReg))
                    .clamp_min(new Scalar(0.0));
            score = score.add(far.mul(new Scalar(lambda)));
          }
          return torch.empty_like(score).scatter(1, ranked.get1(), score);
        });
  }

  @Override
  protected Learned learn(
      Settings settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    long n = labels.size(0);
    int kReg = settings.kReg;
    double lambda = settings.lambda;
    Tensor rest = probabilities;
    Tensor restLabels = labels;
    if (kReg < 0 || lambda < 0) {
      if (n < 2) {
        throw new OutriggerException(
            "RAPS needs two rows or more to choose k_reg and lambda on some of them: give more"
                + " held-out data, or set kReg and lambda.");
      }
      long count = Math.min(n - 1, Math.max(1, Math.round(settings.tuning * n)));
      try (Rng rng = Rng.named(settings.seed, "raps tuning")) {
        Tensor order = rng.permutation(n);
        Tensor first = order.narrow(0, 0, count);
        Tensor others = order.narrow(0, count, n - count);
        Tensor p = probabilities.index_select(0, first);
        Tensor y = labels.index_select(0, first);
        kReg = kReg < 0 ? rank(p, y, settings.alpha) : kReg;
        lambda = lambda < 0 ? smallest(settings, p, y, kReg) : lambda;
        rest = probabilities.index_select(0, others);
        restLabels = labels.index_select(0, others);
      }
    }
    Learned learned =
        new Learned(restLabels.size(0), probabilities.size(1), 0)
            .with("kReg", kReg)
            .with("lambda", lambda);
    return learned.with("threshold", threshold(settings, learned, rest, restLabels));
  }

  /** The conformal quantile of the true label's rank; C if there are too few rows for one. */
  private static int rank(Tensor probabilities, Tensor labels, double alpha) {
    Tensor ranks = trueLabel(LabelScore.ranks(probabilities), labels);
    return (int)
        Math.min((double) probabilities.size(1), ConformalQuantile.of(ranks, alpha).item_double());
  }

  /** The lambda with the smallest sets on the rows that choose. */
  private double smallest(Settings settings, Tensor probabilities, Tensor labels, int kReg) {
    double best = LAMBDAS[0];
    double size = Double.POSITIVE_INFINITY;
    for (double lambda : LAMBDAS) {
      LabelScore score =
          new LabelScore(LabelScore.Kind.RAPS, settings.randomised, kReg, lambda, settings.seed);
      double mean =
          Scopes.scoped(
              () -> {
                Tensor scores = score.of(probabilities);
                Tensor q = ConformalQuantile.of(trueLabel(scores, labels), settings.alpha);
                return scores.le(q).sum(1).to(ScalarType.Double).mean().item_double();
              });
      if (mean < size) {
        size = mean;
        best = lambda;
      }
    }
    return best;
  }

  /** The k_reg in use. */
  public int kReg() {
    return (int) required().number("kReg");
  }

  /** The lambda in use. */
  public double lambda() {
    return required().number("lambda");
  }

  @Override
  protected double alpha(Settings settings) {
    return settings.alpha;
  }

  @Override
  protected boolean allowEmpty(Settings settings) {
    return settings.allowEmpty;
  }

  @Override
  protected LabelScore score(Settings settings, Learned learned) {
    return new LabelScore(
        LabelScore.Kind.RAPS,
        settings.randomised,
        (int) learned.number("kReg"),
        learned.number("lambda"),
        settings.seed);
  }
}
