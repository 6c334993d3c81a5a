package org.outrigger.calibrate.nngp;

import java.util.Optional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * What is predicted of numeric targets: each row's distribution is {@code law}, stretched by the
 * row's scale and moved to its location.
 *
 * @param location float64 [N], in the targets' units: mean and median
 * @param scale float64 [N], in the targets' units, above 0
 * @param law of the standardised residual
 */
public record Prediction(Tensor location, Tensor scale, PredictiveLaw law)
    implements AutoCloseable {
  /**
   * The value that the target does not exceed with that probability.
   *
   * @param probability in (0, 1)
   * @return [N]
   */
  public Tensor quantile(double probability) {
    double unit = law.quantile(probability);
    return Scopes.tensor(() -> location.add(scale.mul(new Scalar(unit))));
  }

  /**
   * The central interval that holds the target with that probability.
   *
   * @param level in (0, 1), such as 0.95
   * @return lower and upper ends, [N, 2]
   */
  public Tensor interval(double level) {
    HyperParameter.inside("level", level, 0, 1);
    return Scopes.tensor(
        () ->
            torch.stack(new TensorVector(quantile((1 - level) / 2), quantile((1 + level) / 2)), 1));
  }

  /** The variance of each row, [N]; none where the tails are too heavy to have one. */
  public Optional<Tensor> variance() {
    return law.variance().isPresent()
        ? Optional.of(
            Scopes.tensor(() -> scale.square().mul(new Scalar(law.variance().getAsDouble()))))
        : Optional.empty();
  }

  /**
   * The log density of each target.
   *
   * @param targets [N]
   * @return [N], in nats
   */
  public Tensor logDensity(Tensor targets) {
    Shapes.check().tensor("location", location, "N").tensor("targets", targets, "N");
    return Scopes.tensor(
        () -> {
          Tensor z = targets.to(ScalarType.Double).sub(location).div(scale);
          return law.logDensity(z).sub(scale.log());
        });
  }

  /** The mean negative log-likelihood of targets, in nats. */
  public double nll(Tensor targets) {
    return Scopes.scoped(() -> -logDensity(targets).mean().item_double());
  }

  /** The root of the mean squared error of the location. */
  public double rmse(Tensor targets) {
    Shapes.check().tensor("location", location, "N").tensor("targets", targets, "N");
    return Scopes.scoped(
        () -> Math.sqrt(targets.to(ScalarType.Double).sub(location).square().mean().item_double()));
  }

  /**
   * The share of targets that the central intervals of that level hold.
   *
   * @param level in (0, 1)
   */
  public double coverage(Tensor targets, double level) {
    Shapes.check().tensor("location", location, "N").tensor("targets", targets, "N");
    return Scopes.scoped(
        () -> {
          Tensor y = targets.to(ScalarType.Double);
          Tensor ends = interval(level);
          Tensor inside = y.ge(ends.select(1, 0)).logical_and(y.le(ends.select(1, 1)));
          return inside.to(ScalarType.Double).mean().item_double();
        });
  }

  @Override
  public void close() {
    location.close();
    scale.close();
  }
}
