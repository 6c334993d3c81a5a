package org.outrigger.datasets;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Clouds of points whose right answer can be seen. Row i has class i mod C, so classes are balanced
 * and any cut of the rows is too. Split one data set to get training and test rows of the same
 * clouds.
 */
public final class Points {
  private Points() {}

  /**
   * Gaussian clouds around centres that are drawn from a normal distribution of standard deviation
   * 4.
   *
   * @param spread standard deviation of each cloud, 0 or more
   */
  public static TensorDataset blobs(
      int rows, int classes, int dimensions, double spread, long seed) {
    HyperParameter.atLeast("rows", rows, 1);
    HyperParameter.atLeast("classes", classes, 1);
    HyperParameter.atLeast("dimensions", dimensions, 1);
    HyperParameter.notNegative("spread", spread);
    return make(
        "blobs",
        seed,
        (rng, labels) ->
            rng.normal(classes, dimensions)
                .mul(new Scalar(4.0))
                .index_select(0, labels)
                .add(rng.normal(rows, dimensions), new Scalar(spread)),
        rows,
        classes);
  }

  /**
   * Two interleaved half circles of radius 1 in the plane.
   *
   * @param noise standard deviation added to each coordinate, 0 or more
   */
  public static TensorDataset moons(int rows, double noise, long seed) {
    HyperParameter.atLeast("rows", rows, 1);
    HyperParameter.notNegative("noise", noise);
    return make(
        "moons",
        seed,
        (rng, labels) -> {
          Tensor angle = rng.uniform(rows).mul(new Scalar(Math.PI));
          Tensor lower = labels.to(ScalarType.Float);
          Tensor sign = lower.mul(new Scalar(-2.0)).add(new Scalar(1.0));
          Tensor x = angle.cos().mul(sign).add(lower);
          Tensor y = angle.sin().mul(sign).add(lower, new Scalar(0.5));
          return torch.stack(new TensorVector(x, y), 1).add(rng.normal(rows, 2), new Scalar(noise));
        },
        rows,
        2);
  }

  /**
   * Arms that wind out from the origin to radius 1 in the plane.
   *
   * @param turns how often an arm goes round, above 0
   * @param noise standard deviation added to each coordinate, 0 or more
   */
  public static TensorDataset spirals(int rows, int arms, double turns, double noise, long seed) {
    HyperParameter.atLeast("rows", rows, 1);
    HyperParameter.atLeast("arms", arms, 1);
    HyperParameter.positive("turns", turns);
    HyperParameter.notNegative("noise", noise);
    return make(
        "spirals",
        seed,
        (rng, labels) -> {
          Tensor radius = rng.uniform(rows).mul(new Scalar(0.95)).add(new Scalar(0.05));
          Tensor angle =
              radius
                  .mul(new Scalar(turns))
                  .add(labels.to(ScalarType.Float), new Scalar(1.0 / arms))
                  .mul(new Scalar(2 * Math.PI));
          Tensor x = angle.cos().mul(radius);
          Tensor y = angle.sin().mul(radius);
          return torch.stack(new TensorVector(x, y), 1).add(rng.normal(rows, 2), new Scalar(noise));
        },
        rows,
        arms);
  }

  private interface Drawing {
    Tensor draw(Rng rng, Tensor labels);
  }

  private static TensorDataset make(
      String name, long seed, Drawing drawing, int rows, int classes) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(seed, name)) {
            Tensor labels =
                torch
                    .arange(new Scalar(rows), new TensorOptions(ScalarType.Long))
                    .remainder(new Scalar(classes));
            return TensorDataset.builder(drawing.draw(rng, labels))
                .labels(labels)
                .name(name)
                .build();
          }
        });
  }
}
