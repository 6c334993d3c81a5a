package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * H-score with a shrunk covariance, so that it also tells models apart where features are many:
 * {@code (1-a) tr(S_a^-1 cov(G))} with {@code S_a = (1-a) S + a mu I}. The share a is Ledoit and
 * Wolf's. Ibrahim, Ponomareva, Mazumder. Newer is not always better: Rethinking transferability
 * metrics, their peculiarities, stability and performance, ECML-PKDD 2022.
 */
@Card(
    slug = "hscore-regularised",
    name = "Regularised H-score",
    summary = "H-score with a shrunk covariance, which stands many features and few rows.",
    paper =
        "Ibrahim, Ponomareva, Mazumder. Newer is not always better: Rethinking transferability"
            + " metrics, their peculiarities, stability and performance. ECML-PKDD 2022",
    year = 2022,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class RegularisedHScore implements ModelScore {
  /** It has no hyper-parameter: the data sets how much is shrunk. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public RegularisedHScore() {
    this(Settings.defaults());
  }

  public RegularisedHScore(Settings settings) {
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
          Rows rows = Rows.of(features).centred();
          Tensor counts = Rows.counts(labels);
          Spectrum spectrum = Spectrum.of(rows, Spectrum.classes(labels, counts));
          double n = rows.size();
          Tensor values = spectrum.sigma().div(new Scalar(n)); // of S, the zeros left out
          double mu = values.sum().item_double() / rows.dimension();
          double a = shrinkage(rows, values, mu);
          // A class mean is V diag(s) of its projections over its count.
          Tensor shrunk =
              spectrum
                  .sigma()
                  .div(values.mul(new Scalar(1 - a)).add_(new Scalar(a * mu)))
                  .unsqueeze(1);
          double trace =
              spectrum.projections().square().mul_(shrunk).sum(0).div_(counts).sum().item_double();
          return (1 - a) * trace / (n - 1);
        });
  }

  /** Ledoit and Wolf's share of the identity, from the eigenvalues of S and the rows' lengths. */
  private static double shrinkage(Rows rows, Tensor values, double mu) {
    double n = rows.size();
    double d = rows.dimension();
    double square = values.square().sum().item_double();
    double delta = (square - 2 * mu * values.sum().item_double() + d * mu * mu) / d;
    Tensor fourth = Rows.zeros(1);
    rows.forEach((block, from, length) -> fourth.add_(block.square().sum(1).square_().sum()));
    double beta = Math.min(delta, (fourth.item_double() / n - square) / (d * n));
    return beta > 0 ? beta / delta : 0;
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
