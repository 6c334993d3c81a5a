package org.outrigger.detect;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * fDBD: how far, on average, a feature is from the decision boundaries of its predicted class, for
 * its distance from the mean feature; unknown inputs sit close to boundaries. The score is {@code
 * -(sum_c |f_c - f_y| / ||w_y - w_c||) / ||z - mu||} with the predicted class y, or divided by
 * {@code ||z||}.
 *
 * <p>Liu, Qin, "Fast Decision Boundary based Out-of-Distribution Detector", ICML 2024.
 */
@Card(
    slug = "fdbd",
    name = "fDBD",
    summary = "Close to the decision boundaries for its distance from the mean means unknown.",
    paper = "Liu, Qin. Fast Decision Boundary based Out-of-Distribution Detector. ICML 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "mean feature, distances between the classes' weights, copy of the head")
public final class Fdbd extends FittedDetector<Fdbd.Settings> {
  /**
   * @param distanceAsNormalizer whether the distance from the mean feature divides, as in the
   *     paper, or the feature's length
   */
  public record Settings(boolean distanceAsNormalizer) {
    public static Settings defaults() {
      return new Settings(true);
    }
  }

  public Fdbd() {
    this(Settings.defaults());
  }

  public Fdbd(Settings settings) {
    super(settings);
  }

  /**
   * The distances between the classes' weights, with 1 on the diagonal.
   *
   * @param weight [C, D]
   * @return float64 [C, C]
   */
  public static Tensor weightDistances(Tensor weight) {
    return Scopes.tensor(
        () -> {
          Tensor w = weight.detach().to(ScalarType.Double);
          // Mode 2 computes differences and not products, which keeps small distances exact.
          return torch.cdist(w, w, 2, new LongOptional(2)).fill_diagonal_(new Scalar(1.0), false);
        });
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @param weightDistances float64 [C, C], see {@link #weightDistances}
   * @param origin what the feature's length is measured from: mu [D], or zeros
   * @return float64 [N], 0 or less
   */
  public static Tensor score(
      Tensor features, Tensor logits, Tensor weightDistances, Tensor origin) {
    return Scopes.tensor(
        () -> {
          Tensor f = logits.to(ScalarType.Double);
          Tensor y = f.argmax(new LongOptional(1), true);
          Tensor gaps = f.sub(f.gather(1, y)).abs();
          Tensor toBoundaries = gaps.div(weightDistances.index_select(0, y.squeeze(1))).sum(1);
          Tensor length =
              features
                  .to(ScalarType.Double)
                  .sub(origin)
                  .norm(new ScalarOptional(new Scalar(2.0)), 1)
                  .clamp_min(new Scalar(1e-12));
          return toBoundaries.div(length).neg();
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = HeadEnergy.check(known, who());
    Tensor distances = weightDistances(head.weight());
    if (!(distances.amin().item_double() > 0)) {
      throw new OutriggerException(
          "fDBD cannot be fitted: two classes of the head have the same weights, so that there is no"
              + " boundary between them.");
    }
    try (ClassMoments moments = ClassMoments.ofMeans(1, head.weight().size(1))) {
      Rows.forEach(who(), known, rows -> moments.add(rows.features(), null));
      return new Fitted(known.classes(), moments.dimension())
          .with(head)
          .with("mean", moments.mean())
          .with("distances", distances);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
    shapes
        .tensor("The saved mean", fitted.tensor("mean"), "D")
        .tensor("The saved distances", fitted.tensor("distances"), "C", "C");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    Tensor mean = fitted.tensor("mean");
    return score(
        features,
        fitted.head(features.scalar_type().intern()).apply(features),
        fitted.tensor("distances"),
        settings().distanceAsNormalizer() ? mean : mean.mul(new Scalar(0.0)));
  }
}
