package org.outrigger.datasets;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Tables whose distribution is known and can be moved by a chosen amount: class c is normal with
 * unit covariance around its own mean. The means depend on the seed of the table, the rows on the
 * seed of the sample, so two samples of one table differ by their shift alone.
 *
 * @param features D, 2 or more
 * @param classes C, 2 or more
 * @param separation standard deviation of the classes' means in each feature, 0 or more
 * @param seed of the means and of the directions of the shifts
 */
public record Tabular(int features, int classes, double separation, long seed) {
  public Tabular {
    HyperParameter.atLeast("features", features, 2);
    HyperParameter.atLeast("classes", classes, 2);
    HyperParameter.notNegative("separation", separation);
  }

  /**
   * How a sample differs from the source.
   *
   * @param mean how far all rows move, in standard deviations, along one direction
   * @param scale factor on all features, above 0
   * @param rotation angle in radians by which features 1 and 2, 3 and 4, ... turn
   * @param priors the share of each class; empty for equal shares
   * @param concept the probability that a row's label is the next class's, in [0, 1]: the inputs
   *     are distributed as before, what they mean is not
   */
  public record Shift(
      double mean, double scale, double rotation, List<Double> priors, double concept) {
    public Shift {
      HyperParameter.require(Double.isFinite(mean), "mean", mean, "a finite number");
      HyperParameter.positive("scale", scale);
      HyperParameter.require(Double.isFinite(rotation), "rotation", rotation, "a finite number");
      HyperParameter.between("concept", concept, 0, 1);
      priors = List.copyOf(priors);
      for (double share : priors) {
        HyperParameter.notNegative("priors", share);
      }
      double sum = priors.stream().mapToDouble(share -> share).sum();
      if (!priors.isEmpty() && Math.abs(sum - 1) > 1e-6) {
        throw new OutriggerException(
            "Hyper-parameter priors must sum to 1, but sum to " + sum + ".");
      }
    }

    /** As the source. */
    public static Shift none() {
      return new Shift(0, 1, 0, List.of(), 0);
    }

    public static Shift ofMean(double deviations) {
      return new Shift(deviations, 1, 0, List.of(), 0);
    }

    public static Shift ofScale(double factor) {
      return new Shift(0, factor, 0, List.of(), 0);
    }

    public static Shift ofRotation(double radians) {
      return new Shift(0, 1, radians, List.of(), 0);
    }

    public static Shift ofLabels(double... priors) {
      return new Shift(0, 1, 0, Arrays.stream(priors).boxed().toList(), 0);
    }

    public static Shift ofConcept(double probability) {
      return new Shift(0, 1, 0, List.of(), probability);
    }
  }

  /**
   * Draws rows. Class counts are the priors' shares, rounded; the order is random.
   *
   * @param rows 1 or more
   * @param sampleSeed of the rows
   */
  public TensorDataset sample(int rows, Shift shift, long sampleSeed) {
    HyperParameter.atLeast("rows", rows, 1);
    List<Double> priors = shift.priors();
    if (!priors.isEmpty() && priors.size() != classes) {
      throw new OutriggerException(
          priors.size() + " priors were given for " + classes + " classes: give one for each.");
    }
    return Scopes.scoped(
        () -> {
          try (Rng fixed = Rng.named(seed, "table");
              Rng rng = Rng.named(sampleSeed, "table rows")) {
            Tensor means = fixed.normal(classes, features).mul(new Scalar(separation));
            Tensor direction = fixed.normal(features);
            Tensor own =
                Tensors.labels(classCounts(rows, priors)).index_select(0, rng.permutation(rows));
            Tensor x = means.index_select(0, own).add(rng.normal(rows, features));
            x = rotated(x.mul(new Scalar(shift.scale())), shift.rotation());
            x = x.add(direction.div(direction.norm()), new Scalar(shift.mean()));
            Tensor moved = rng.uniform(rows).lt(new Scalar(shift.concept())).to(own.scalar_type());
            return TensorDataset.builder(x)
                .labels(own.add(moved).remainder(new Scalar(classes)))
                .name("table")
                .build();
          }
        });
  }

  /** A label for each row, in order of the classes. */
  private int[] classCounts(int rows, List<Double> priors) {
    int[] labels = new int[rows];
    double[] ends = new double[classes];
    double sum = 0;
    for (int c = 0; c < classes; c++) {
      sum += priors.isEmpty() ? 1.0 / classes : priors.get(c);
      ends[c] = sum;
    }
    for (int i = 0; i < rows; i++) {
      double at = (i + 0.5) / rows;
      OptionalInt c =
          java.util.stream.IntStream.range(0, classes).filter(k -> at < ends[k]).findFirst();
      labels[i] = c.orElse(classes - 1);
    }
    return labels;
  }

  private static Tensor rotated(Tensor x, double angle) {
    if (angle == 0) {
      return x;
    }
    long pairs = x.size(1) / 2;
    Tensor planes = x.narrow(1, 0, 2 * pairs).reshape(x.size(0), pairs, 2);
    double cos = Math.cos(angle);
    double sin = Math.sin(angle);
    Tensor turn =
        Tensors.of(new float[] {(float) cos, (float) sin, (float) -sin, (float) cos}, 2, 2);
    Tensor turned = planes.matmul(turn).reshape(x.size(0), 2 * pairs);
    Tensor rest = x.narrow(1, 2 * pairs, x.size(1) - 2 * pairs);
    return torch.cat(new org.bytedeco.pytorch.TensorVector(turned, rest), 1);
  }
}
