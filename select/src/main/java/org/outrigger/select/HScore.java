package org.outrigger.select;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * H-score: {@code tr(cov(X)^+ cov(G))}, where G has the mean of its class in place of each row: how
 * much of the features' variance, measured in their own spread, lies between classes. In [0, C-1];
 * with fewer rows than features it is C-1 for every model.
 *
 * <p>With X = U diag(s) V^T about its mean it is {@code sum_c |sum_{i in c} U_i|^2 / n_c}, which
 * needs no inverse. Bao et al., An Information-Theoretic Approach to Transferability in Task
 * Transfer Learning, ICIP 2019.
 */
@Card(
    slug = "hscore",
    name = "H-score",
    summary = "How much of the features' variance, in units of their spread, parts the classes.",
    paper =
        "Bao, Li, Huang, Zhang, Zheng, Zamir, Guibas. An Information-Theoretic Approach to"
            + " Transferability in Task Transfer Learning. ICIP 2019",
    year = 2019,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class HScore implements ModelScore {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public HScore() {
    this(Settings.defaults());
  }

  public HScore(Settings settings) {
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
          Tensor counts = Rows.counts(labels);
          Spectrum spectrum =
              Spectrum.of(Rows.of(features).centred(), Spectrum.classes(labels, counts));
          return spectrum.projections().square().sum(0).div_(counts).sum().item_double();
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
