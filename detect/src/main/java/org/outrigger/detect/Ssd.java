package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * SSD+: Mahalanobis distance of a feature's direction to the known data as one cloud, without
 * classes. {@code u = z / (||z|| + 1e-10)}, {@code s = (u - m) / (sd + 1e-10)} feature by feature,
 * and the score is {@code s^T S^+ s}, where S is the covariance of the known data's s; moments are
 * divided by the number of rows.
 *
 * <p>Sehwag, Chiang, Mittal, "SSD: A Unified Framework for Self-Supervised Outlier Detection", ICLR
 * 2021, as PALM (Lu et al., ICLR 2024) scores with it.
 */
@Card(
    slug = "ssd-plus",
    name = "SSD+",
    summary = "A feature whose direction is far from the cloud of known ones means unknown.",
    paper =
        "Sehwag, Chiang, Mittal. SSD: A Unified Framework for Self-Supervised Outlier Detection."
            + " ICLR 2021",
    year = 2021,
    room = Room.DETECT,
    needs = Need.FEATURES,
    state = "mean direction, whitening factor of the covariance of directions")
public final class Ssd extends FittedDetector<Ssd.Settings> {
  private static final double TINY = 1e-10;

  /**
   * @param meanTwice whether m is subtracted once more after standardising, {@code s - m} in place
   *     of s, as PALM's released code does; false, as the formula says
   */
  public record Settings(boolean meanTwice) {
    public static Settings defaults() {
      return new Settings(false);
    }
  }

  public Ssd() {
    this(Settings.defaults());
  }

  public Ssd(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param factor L [D, R], see {@link #factor}
   * @param offset [R], see {@link #offset}
   * @return [N], {@code || u L + offset ||^2}, 0 or more
   */
  public static Tensor score(Tensor features, Tensor factor, Tensor offset) {
    return Scopes.tensor(() -> score(features, factor.scalar_type().intern(), factor, offset));
  }

  private static Tensor score(Tensor features, ScalarType type, Tensor factor, Tensor offset) {
    Tensor origin = torch.zeros(new long[] {1, factor.size(1)}, new TensorOptions(type));
    return Mahalanobis.nearest(unit(features.to(type)), type, factor, offset, origin);
  }

  /** Rows over their length, {@code u}, [N, D]; a zero row stays zero. */
  public static Tensor unit(Tensor features) {
    return Scopes.tensor(
        () ->
            features.div(
                features
                    .norm(new ScalarOptional(new Scalar(2.0)), new long[] {1}, true)
                    .add(new Scalar(TINY))));
  }

  /**
   * What turns directions into whitened ones, standardising among it. A feature that never varies
   * counts for nothing.
   *
   * @param covariance of the directions u, float64 [D, D]
   * @return L [D, R] with {@code (u - m) L L^T (u - m)^T = s^T S^+ s}
   */
  public static Tensor factor(Tensor covariance) {
    return factor(covariance, 0, "SSD+");
  }

  private static Tensor factor(Tensor covariance, double scale, String who) {
    return Scopes.tensor(
        () -> {
          Tensor inverse = inverseDeviation(covariance, scale);
          Tensor standard = covariance.mul(inverse).mul(inverse.unsqueeze(1));
          return Whitening.factor(standard, 0, who).mul(inverse.unsqueeze(1));
        });
  }

  /** 1 / (sd + 1e-10), [D]; 0 where nothing but rounding varies. */
  private static Tensor inverseDeviation(Tensor covariance, double scale) {
    Tensor variance = covariance.diagonal();
    Tensor still = variance.le(new Scalar(scale * Math.ulp(1.0)));
    return variance
        .clamp_min(new Scalar(0))
        .sqrt()
        .add(new Scalar(TINY))
        .reciprocal()
        .masked_fill(still, new Scalar(0.0));
  }

  /**
   * What whitened directions lose.
   *
   * @param mean m, float64 [D]
   * @param covariance of the directions u, float64 [D, D]
   * @param factor L [D, R]
   * @param meanTwice whether m is subtracted once more after standardising
   * @return [R]
   */
  public static Tensor offset(Tensor mean, Tensor covariance, Tensor factor, boolean meanTwice) {
    return Scopes.tensor(
        () -> {
          // In units of u, what is subtracted after standardising is m times the deviation.
          Tensor again =
              covariance.diagonal().clamp_min(new Scalar(0)).sqrt().add(new Scalar(TINY));
          Tensor origin = meanTwice ? mean.add(mean.mul(again)) : mean;
          return Mahalanobis.offset(origin, factor);
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    @Nullable ClassMoments[] moments = {null};
    try {
      Rows.forEach(
          who(),
          known,
          rows -> {
            Tensor directions = unit(rows.features().to(ScalarType.Double));
            if (moments[0] == null) {
              moments[0] = new ClassMoments(1, directions.size(1));
            }
            moments[0].add(directions, null);
          });
      return whitened(known.classes(), Objects.requireNonNull(moments[0]));
    } finally {
      if (moments[0] != null) {
        moments[0].close();
      }
    }
  }

  private Fitted whitened(long classes, ClassMoments moments) {
    Tensor covariance = moments.covariance();
    Tensor mean = moments.mean();
    Tensor factor = factor(covariance, moments.scale(), who());
    return new Fitted(classes, moments.dimension())
        .with("factor", factor)
        .with("offset", offset(mean, covariance, factor, settings().meanTwice()))
        .with("single", Whitening.fitsFloat(factor, mean.unsqueeze(0), covariance) ? 1 : 0);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved factor", fitted.tensor("factor"), "D", "R")
        .tensor("The saved offset", fitted.tensor("offset"), "R");
    fitted.number("single");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    ScalarType type = Whitening.type(features, fitted.number("single"));
    return score(features, type, fitted.tensor("factor", type), fitted.tensor("offset", type));
  }
}
