package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * SFDA: the mean probability that a shrunk Fisher discriminant gives the right class after its sure
 * mistakes were made harder: rows are mixed with the other classes' means by how unsure a first
 * discriminant was, and a second one is fitted on those. In [0, 1].
 *
 * <p>The discriminant is {@code softmax(x S^-1 m_c - 1/2 m_c S^-1 m_c + log prior_c)} with {@code S
 * = (1 - lam) Sw + lam tr(Sw)/D I}; lam falls with the largest spread within classes.
 *
 * <p>Shao et al., Not All Models Are Equal: Predicting Model Transferability in a Self-challenging
 * Fisher Space, ECCV 2022.
 */
@Card(
    slug = "sfda",
    name = "SFDA",
    summary = "How sure a Fisher discriminant is of the right class once rows are made harder.",
    paper =
        "Shao, Zhao, Ge, Zhang, Yang, Wang, Shan, Luo. Not All Models Are Equal: Predicting Model"
            + " Transferability in a Self-challenging Fisher Space. ECCV 2022",
    year = 2022,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class Sfda implements ModelScore {
  private static final double LEAST_SHRINKAGE = 1e-10;

  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public Sfda() {
    this(Settings.defaults());
  }

  public Sfda(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static double score(Tensor features, Tensor labels) {
    return Scopes.scoped(
        () -> {
          Rows rows = Rows.of(features);
          rows = rows.minus(rows.mean()); // changes nothing but rounding
          Tensor counts = Rows.counts(labels);
          double n = rows.size();
          Tensor means = rows.means(labels, counts);
          Tensor within = within(rows, means, labels);
          double lam = shrinkage(within);
          Tensor sure =
              rightProbability(rows, labels, new Discriminant(means, counts, within, lam), true);
          double classes = counts.size(0);
          Tensor others =
              means.sum(0).sub(means).div_(new Scalar(classes - 1)); // mean of the other means
          Rows mixed =
              rows.changed(
                  rows.dimension(),
                  (block, from, length) -> {
                    Tensor q = sure.narrow(0, from, length).unsqueeze(1);
                    Tensor other = others.index_select(0, labels.narrow(0, from, length));
                    return torch.lerp(other, block, q);
                  });
          Tensor harder = mixed.means(labels, counts);
          Discriminant second =
              new Discriminant(harder, counts, within(mixed, harder, labels), lam);
          return rightProbability(mixed, labels, second, false).sum().item_double() / n;
        });
  }

  /** The covariance within classes, [D, D], divided by N. */
  private static Tensor within(Rows rows, Tensor means, Tensor labels) {
    return rows.minusMeans(means, labels).gram().div_(new Scalar((double) rows.size()));
  }

  /**
   * The share of the identity in the covariance: exp(-5 times about its largest eigenvalue).
   *
   * @param within [D, D]
   */
  static double shrinkage(Tensor within) {
    return Scopes.scoped(
        () -> {
          Tensor x = within.sum(1);
          Tensor v = x;
          for (int i = 0; i < 3; i++) {
            v = unit(within.mv(x));
            x = unit(within.mv(v));
          }
          double largest = x.dot(within.mv(v)).item_double();
          return Math.max(Math.exp(-5 * largest), LEAST_SHRINKAGE);
        });
  }

  /**
   * The share of the identity for these features.
   *
   * @param features [N, D]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static double shrinkage(Tensor features, Tensor labels) {
    return Scopes.scoped(
        () -> {
          Rows rows = Rows.of(features);
          return shrinkage(within(rows, rows.means(labels, Rows.counts(labels)), labels));
        });
  }

  private static Tensor unit(Tensor vector) {
    double length = vector.norm().item_double();
    return length > 0 ? vector.div(new Scalar(length)) : vector;
  }

  /** A linear discriminant: logits are x W + b. */
  private static final class Discriminant {
    private final Tensor weight; // [D, C]
    private final Tensor bias; // [C]

    Discriminant(Tensor means, Tensor counts, Tensor within, double lam) {
      double spread = within.trace().item_double() / within.size(0);
      if (!(spread > 0)) {
        throw new OutriggerException(
            "SFDA is not defined where all rows of each class are the same: check the features.");
      }
      Tensor shrunk = within.mul(new Scalar(1 - lam));
      shrunk.diagonal().add_(new Scalar(lam * spread));
      T_TensorTensor_T factor = torch.linalg_cholesky_ex(shrunk);
      weight =
          factor.get1().item_long() == 0
              ? torch.cholesky_solve(means.t(), factor.get0())
              : torch.linalg_pinv(shrunk, 1e-15, true).mm(means.t());
      Tensor prior = counts.div(counts.sum()).log();
      bias = prior.sub(means.t().mul(weight).sum(0).div_(new Scalar(2.0)));
    }

    Tensor probabilities(Tensor x) {
      return torch.addmm(bias, x, weight).softmax(1);
    }
  }

  /** The probability of the right class, [N]; with another softmax over them if {@code twice}. */
  private static Tensor rightProbability(
      Rows rows, Tensor labels, Discriminant discriminant, boolean twice) {
    return Scopes.tensor(
        () -> {
          Tensor right = Rows.zeros(rows.size());
          rows.forEach(
              (block, from, length) -> {
                Tensor p = discriminant.probabilities(block);
                Tensor own = labels.narrow(0, from, length).unsqueeze(1);
                right
                    .narrow(0, from, length)
                    .copy_((twice ? p.softmax(1) : p).gather(1, own).squeeze(1));
              });
          return right;
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(() -> score(candidate.requireFeatures(this), candidate.denseLabels(this)));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
