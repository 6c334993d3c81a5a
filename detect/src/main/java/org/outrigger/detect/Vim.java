package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Virtual-logit matching: the residual of the feature, scaled to the size of a logit, against the
 * energy of the real logits. The score is {@code alpha || N^T (z - o) || - log sum_c exp f_c}, with
 * o and N as in {@link Residual} and {@code alpha = mean max_c f_c / mean || N^T (z - o) ||} over
 * the known data.
 *
 * <p>Wang et al., "ViM: Out-of-Distribution with Virtual-logit Matching", CVPR 2022.
 */
@Card(
    slug = "vim",
    name = "ViM",
    summary = "Joins what logits say with how far the feature leaves the known subspace.",
    paper =
        "Wang, Li, Feng, Zhang. ViM: Out-of-Distribution with Virtual-logit Matching. "
            + "CVPR 2022",
    year = 2022,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "origin and basis of the null space, alpha, copy of the head")
public final class Vim extends FittedDetector<Vim.Settings> {
  /**
   * @param dim the dimension of the principal space, from 1 to below D; 256 by default, 1000 for
   *     features of 2048
   */
  public record Settings(int dim) {
    public Settings {
      HyperParameter.atLeast("dim", dim, 1);
    }

    public static Settings defaults() {
      return new Settings(256);
    }
  }

  public Vim() {
    this(Settings.defaults());
  }

  public Vim(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param residual || N^T (z - o) ||, float64 [N]; see {@link Residual#score}
   * @param logits [N, C]
   * @return float64 [N]
   */
  public static Tensor score(Tensor residual, Tensor logits, double alpha) {
    return Scopes.tensor(
        () -> residual.mul(new Scalar(alpha)).add(Energy.score(logits.to(ScalarType.Double), 1)));
  }

  @Override
  protected Fitted learn(Outputs known) {
    Fitted fitted = Residual.subspace(known, settings().dim(), who());
    double[] sums = new double[2];
    Rows.forEach(
        who(),
        known,
        rows -> {
          Tensor features = rows.features();
          sums[0] +=
              logits(fitted, features)
                  .to(ScalarType.Double)
                  .amax(new long[] {1}, false)
                  .sum()
                  .item_double();
          sums[1] += residual(fitted, features).sum().item_double();
        });
    if (!(sums[1] > 0)) {
      throw new OutriggerException(
          "ViM with dim = "
              + settings().dim()
              + " finds no residual in the known features: they vary in fewer directions. Lower"
              + " dim.");
    }
    return fitted.with("alpha", sums[0] / sums[1]);
  }

  private static Tensor residual(Fitted fitted, Tensor features) {
    return Residual.score(features, fitted.tensor("origin"), fitted.tensor("basis"));
  }

  private static Tensor logits(Fitted fitted, Tensor features) {
    return fitted.head(features.scalar_type().intern()).apply(features);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    Residual.checkSubspace(shapes, fitted);
    fitted.number("alpha");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    return score(residual(fitted, features), logits(fitted, features), fitted.number("alpha"));
  }
}
