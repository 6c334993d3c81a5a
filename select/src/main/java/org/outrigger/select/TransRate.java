package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * TransRate: the bits (nats here) that coding the features to a given precision takes, minus what
 * it takes if the class is known: {@code R(X) - mean_c R(X_c)} with {@code R(Z) = 1/2 log det(I +
 * Z^T Z / (n eps))} of the centred features. Classes count alike, and are not centred again.
 *
 * <p>Huang, Huang, Rong, Yang, Wei. Frustratingly Easy Transferability Estimation. ICML 2022.
 */
@Card(
    slug = "transrate",
    name = "TransRate",
    summary = "How much shorter the features can be coded once the class is known.",
    paper =
        "Huang, Huang, Rong, Yang, Wei. Frustratingly Easy Transferability Estimation. ICML 2022",
    year = 2022,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class TransRate implements ModelScore {
  /**
   * @param eps the squared error that coding may make, above 0; 1e-4
   */
  public record Settings(double eps) {
    public Settings {
      HyperParameter.positive("eps", eps);
    }

    public static Settings defaults() {
      return new Settings(1e-4);
    }
  }

  private final Settings settings;

  public TransRate() {
    this(Settings.defaults());
  }

  public TransRate(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static double score(Tensor features, Tensor labels, double eps) {
    return Scopes.scoped(
        () -> {
          Tensor mean = Rows.of(features).mean();
          ClassOrder order = ClassOrder.of(labels);
          double inside = 0;
          for (int c = 0; c < order.classes(); c++) {
            int label = c;
            inside +=
                Scopes.scoped(
                    () ->
                        rate(
                            Rows.of(features.index_select(0, order.rows(label))).minus(mean), eps));
          }
          return rate(Rows.of(features).minus(mean), eps) - inside / order.classes();
        });
  }

  /** The coding rate of rows, from the smaller of Z^T Z and Z Z^T. */
  private static double rate(Rows rows, double eps) {
    return Scopes.scoped(
        () -> {
          boolean tall = rows.size() > rows.dimension();
          Tensor gram = tall ? rows.gram() : rows.outer();
          gram.div_(new Scalar(rows.size() * eps));
          Tensor shifted = gram.clone();
          shifted.diagonal().add_(new Scalar(1.0));
          T_TensorTensor_T factor = torch.linalg_cholesky_ex(shifted);
          if (factor.get1().item_long() == 0) {
            return factor.get0().diagonal().log().sum().item_double();
          }
          // So large a scale that 1 is lost beside it.
          Tensor values = torch.linalg_eigvalsh(gram).clamp_min_(new Scalar(0.0));
          return values.log1p().sum().item_double() / 2;
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> score(candidate.requireFeatures(this), candidate.denseLabels(this), settings.eps));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
