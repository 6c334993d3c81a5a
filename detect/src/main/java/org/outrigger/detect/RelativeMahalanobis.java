package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Relative Mahalanobis distance: how much farther a feature is from its nearest class than from the
 * known data as a whole. The score is {@code min_c d_c(z) - d_0(z)}, where d_c is the Mahalanobis
 * distance to class c in the classes' shared covariance, and d_0 that to the mean of all features
 * in their total covariance; both covariances are divided by the number of rows.
 *
 * <p>What makes every input of a domain look far (such as directions that carry no class) cancels.
 *
 * <p>Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection", 2021.
 */
@Card(
    slug = "relative-mahalanobis",
    name = "Relative Mahalanobis",
    summary =
        "Farther from every class than from the data as a whole means unknown; good at "
            + "near unknowns.",
    paper =
        "Ren et al. A Simple Fix to Mahalanobis Distance for Improving Near-OOD "
            + "Detection. ICML UDL workshop 2021",
    year = 2021,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LABELS},
    state = "class means, whitening factors of the shared and the total covariance")
public final class RelativeMahalanobis extends FittedDetector<RelativeMahalanobis.Settings> {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public RelativeMahalanobis() {
    this(Settings.defaults());
  }

  public RelativeMahalanobis(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param means class means [C, D]
   * @param factor L [D, R] with L L^T = S^+, see {@link Mahalanobis#factor}
   * @param mean the mean of all features [D]
   * @param totalFactor the same for the total covariance, [D, R0]
   * @return [N]
   */
  public static Tensor score(
      Tensor features, Tensor means, Tensor factor, Tensor mean, Tensor totalFactor) {
    return Scopes.tensor(
        () ->
            Mahalanobis.score(features, means, factor)
                .sub(Mahalanobis.score(features, mean.unsqueeze(0), totalFactor)));
  }

  @Override
  protected Fitted learn(Outputs known) {
    try (ClassMoments moments = Mahalanobis.moments(known, who())) {
      Tensor means = moments.means();
      Tensor mean = moments.mean();
      Tensor within = moments.within();
      Tensor total = moments.covariance();
      Tensor factor = Whitening.factor(within, moments.scale(), who());
      Tensor totalFactor = Whitening.factor(total, moments.scale(), who());
      boolean single =
          Whitening.fitsFloat(factor, means, within)
              && Whitening.fitsFloat(totalFactor, means, total);
      return new Fitted(moments.classes(), moments.dimension())
          .with("means", means)
          .with("factor", factor)
          .with("offset", Mahalanobis.offset(mean, factor))
          .with("centres", means.sub(mean).mm(factor))
          .with("totalFactor", totalFactor)
          .with("totalOffset", Mahalanobis.offset(mean, totalFactor))
          .with("single", single ? 1 : 0);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved means", fitted.tensor("means"), "C", "D")
        .tensor("The saved factor", fitted.tensor("factor"), "D", "R")
        .tensor("The saved offset", fitted.tensor("offset"), "R")
        .tensor("The saved centres", fitted.tensor("centres"), "C", "R")
        .tensor("The saved totalFactor", fitted.tensor("totalFactor"), "D", "R0")
        .tensor("The saved totalOffset", fitted.tensor("totalOffset"), "R0");
    fitted.number("single");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    ScalarType type = Whitening.type(features, fitted.number("single"));
    Tensor totalFactor = fitted.tensor("totalFactor", type);
    Tensor toClass =
        Mahalanobis.nearest(
            features,
            type,
            fitted.tensor("factor", type),
            fitted.tensor("offset", type),
            fitted.tensor("centres", type));
    Tensor toAll =
        Mahalanobis.nearest(
            features,
            type,
            totalFactor,
            fitted.tensor("totalOffset", type),
            totalFactor.narrow(0, 0, 1).mul(new Scalar(0.0)));
    return toClass.sub(toAll);
  }
}
