package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Residual: how much of a feature lies outside the directions that known features span. The score
 * is {@code || N^T (z - o) ||}, where the origin {@code o = -W^+ b} makes the logits vanish, and N
 * holds the eigenvectors of {@code (Z - o)^T (Z - o) / n} after the first {@code dim}.
 *
 * <p>Wang et al., "ViM: Out-of-Distribution with Virtual-logit Matching", CVPR 2022.
 */
@Card(
    slug = "residual",
    name = "Residual",
    summary = "A feature outside the subspace of the known ones means unknown.",
    paper =
        "Wang, Li, Feng, Zhang. ViM: Out-of-Distribution with Virtual-logit Matching. "
            + "CVPR 2022",
    year = 2022,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "origin and basis of the null space")
public final class Residual extends FittedDetector<Residual.Settings> {
  /**
   * @param dim the dimension of the principal space, from 1 to below D; 512 in the paper
   */
  public record Settings(int dim) {
    public Settings {
      HyperParameter.atLeast("dim", dim, 1);
    }

    public static Settings defaults() {
      return new Settings(512);
    }
  }

  public Residual() {
    this(Settings.defaults());
  }

  public Residual(Settings settings) {
    super(settings);
  }

  /**
   * The origin {@code -W^+ b}.
   *
   * @param weight [C, D]
   * @param bias [C]
   * @return float64 [D]
   */
  public static Tensor origin(Tensor weight, Tensor bias) {
    return Scopes.tensor(
        () ->
            torch
                .linalg_pinv(weight.detach().to(ScalarType.Double))
                .mv(bias.detach().to(ScalarType.Double))
                .neg());
  }

  /**
   * The eigenvectors of {@code second} but for the {@code dim} with the largest eigenvalues.
   *
   * @param second the second moment about the origin, symmetric float64 [D, D]
   * @return [D, D - dim]
   */
  public static Tensor nullSpace(Tensor second, int dim) {
    return Scopes.tensor(
        () -> {
          T_TensorTensor_T eigen = torch.linalg_eigh(second);
          // Eigenvalues ascend.
          return eigen.get1().narrow(1, 0, second.size(0) - dim).contiguous();
        });
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param origin o [D]
   * @param basis N [D, D - dim]
   * @return float64 [N], 0 or more
   */
  public static Tensor score(Tensor features, Tensor origin, Tensor basis) {
    return Scopes.tensor(
        () ->
            features
                .to(ScalarType.Double)
                .sub(origin)
                .mm(basis)
                .norm(new ScalarOptional(new Scalar(2.0)), 1));
  }

  /** Origin, basis and the copied head. */
  static Fitted subspace(Outputs known, int dim, String who) {
    LinearHead head = HeadEnergy.check(known, who);
    long dimension = head.weight().size(1);
    if (dim >= dimension) {
      throw new OutriggerException(
          who
              + " with dim = "
              + dim
              + " leaves no residual of "
              + dimension
              + " features: set dim below "
              + dimension
              + ".");
    }
    Tensor origin = origin(head.weight(), head.bias());
    try (ClassMoments moments = new ClassMoments(1, dimension)) {
      Rows.forEach(who, known, rows -> moments.add(rows.features(), null));
      return new Fitted(known.classes(), dimension)
          .with(head)
          .with("origin", origin)
          .with("basis", nullSpace(moments.secondMoment(origin), dim));
    }
  }

  static void checkSubspace(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
    shapes
        .tensor("The saved origin", fitted.tensor("origin"), "D")
        .tensor("The saved basis", fitted.tensor("basis"), "D", "R");
  }

  @Override
  protected Fitted learn(Outputs known) {
    return subspace(known, settings().dim(), who());
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    checkSubspace(shapes, fitted);
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    return score(rows.features(), fitted.tensor("origin"), fitted.tensor("basis"));
  }
}
