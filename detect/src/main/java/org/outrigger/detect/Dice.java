package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * DICE, directed sparsification: only the weights of the head that contribute most on known data
 * are kept. The score is the energy of {@code (W masked) z + b}, where a weight is kept if its mean
 * contribution {@code W[c,j] mean(z)[j]} is above a percentile of all contributions.
 *
 * <p>Sun, Li, "DICE: Leveraging Sparsification for Out-of-Distribution Detection", ECCV 2022.
 */
@Card(
    slug = "dice",
    name = "DICE",
    summary = "Energy of a head that keeps its strongest weights only.",
    paper =
        "Sun, Li. DICE: Leveraging Sparsification for Out-of-Distribution Detection. "
            + "ECCV 2022",
    year = 2022,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "sparse copy of the head")
public final class Dice extends FittedDetector<Dice.Settings> {
  /**
   * @param p which percentile of the contributions is the threshold, from 0 to below 100; 90 in the
   *     paper
   */
  public record Settings(double p) {
    public Settings {
      HyperParameter.require(p >= 0 && p < 100, "p", p, "0 or more and below 100");
    }

    public static Settings defaults() {
      return new Settings(90);
    }
  }

  public Dice() {
    this(Settings.defaults());
  }

  public Dice(Settings settings) {
    super(settings);
  }

  /**
   * The p-th percentile of all contributions.
   *
   * @param mean the mean known feature, float64 [D]
   * @param weight [C, D]
   */
  public static double threshold(Tensor mean, Tensor weight, double p) {
    return Scopes.scoped(
        () -> Percentile.of(p, part -> part.accept(weight.to(ScalarType.Double).mul(mean))));
  }

  /**
   * The weights whose contribution is above the threshold; 0 elsewhere.
   *
   * @param mean the mean known feature, float64 [D]
   * @param weight [C, D]
   * @return [C, D]
   */
  public static Tensor sparse(Tensor mean, Tensor weight, double threshold) {
    return Scopes.tensor(
        () -> {
          Tensor contribution = weight.to(ScalarType.Double).mul(mean);
          return weight.mul(contribution.gt(new Scalar(threshold)).to(weight.scalar_type()));
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = HeadEnergy.check(known, who());
    try (ClassMoments moments = ClassMoments.ofMeans(1, head.weight().size(1))) {
      Rows.forEach(who(), known, rows -> moments.add(rows.features(), null));
      Tensor mean = moments.mean();
      double threshold = threshold(mean, head.weight(), settings().p());
      return new Fitted(known.classes(), moments.dimension())
          .with(new LinearHead(sparse(mean, head.weight(), threshold), head.bias()))
          .with("threshold", threshold);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    return HeadEnergy.of(features, fitted.head(features.scalar_type().intern()));
  }
}
