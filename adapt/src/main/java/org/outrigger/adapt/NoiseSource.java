package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.HeterogeneousData.SourceCodes;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Sources that are noise, to learn what of a source transfers: those with a mean for each class are
 * discriminable, the others are not. Codes are float32 and belong to the enclosing scope or the
 * caller, as do labels; rows come class after class.
 */
public final class NoiseSource {
  private static final int SMALLEST = 100;
  private static final int LARGEST = 1000;

  private NoiseSource() {}

  /** Class means N(0, I), rows N(mean, I). */
  public static SourceCodes gaussian(int classes, int perClass, int width, long seed) {
    return separated(1, classes, perClass, width, seed);
  }

  /**
   * Rows {@code kappa m_c + N(0, I)} of class means {@code m_c ~ N(0, I)}.
   *
   * @param kappa how far the classes are apart, 0 or more; 0: no class structure
   */
  public static SourceCodes separated(
      double kappa, int classes, int perClass, int width, long seed) {
    HyperParameter.notNegative("kappa", kappa);
    check(classes, perClass, width);
    return made(
        "Gaussian, separation " + number(kappa),
        sizes(classes, perClass),
        seed,
        (rng, labels) ->
            rng.normal(classes, width)
                .mul(new Scalar(kappa))
                .index_select(0, labels)
                .add(rng.normal(labels.size(0), width)));
  }

  /** As {@link #separated}, but with one mean for all classes. */
  public static SourceCodes commonMean(
      double kappa, int classes, int perClass, int width, long seed) {
    HyperParameter.notNegative("kappa", kappa);
    check(classes, perClass, width);
    return made(
        "Gaussian, one common mean",
        sizes(classes, perClass),
        seed,
        (rng, labels) ->
            rng.normal(1, width).mul(new Scalar(kappa)).add(rng.normal(labels.size(0), width)));
  }

  /** Uniform in [-10, 10), the same for all classes. */
  public static SourceCodes uniform(int classes, int perClass, int width, long seed) {
    check(classes, perClass, width);
    return made(
        "uniform",
        sizes(classes, perClass),
        seed,
        (rng, labels) ->
            rng.uniform(labels.size(0), width).mul(new Scalar(20.0)).sub(new Scalar(10.0)));
  }

  /** Laplace(0, 1), the same for all classes. */
  public static SourceCodes laplace(int classes, int perClass, int width, long seed) {
    check(classes, perClass, width);
    return made(
        "Laplace",
        sizes(classes, perClass),
        seed,
        (rng, labels) -> {
          // The difference of two exponential values; 1 - u is never 0.
          Tensor one = rng.uniform(labels.size(0), width).neg().log1p();
          return one.sub(rng.uniform(labels.size(0), width).neg().log1p());
        });
  }

  /**
   * Means {@code c alpha N(0, I)} and covariances {@code c alpha PSD(B)} for c = 1 .. C, where B is
   * a symmetrised standard normal matrix and PSD sets negative eigenvalues to 0. Classes have 100
   * to 1,000 rows each.
   *
   * @param alpha the strength, above 0; the paper's sweep goes from 0.05 to 9.95 in steps of 0.1
   */
  public static SourceCodes differentMoments(double alpha, int classes, int width, long seed) {
    HyperParameter.positive("alpha", alpha);
    check(classes, 1, width);
    int[] sizes =
        Scopes.scoped(
            () -> {
              try (Rng rng = Rng.named(seed, "noise sizes")) {
                double span = LARGEST - SMALLEST + 1;
                return Tensors.ints(
                    rng.uniform(ScalarType.Double, classes)
                        .mul(new Scalar(span))
                        .add(new Scalar((double) SMALLEST))
                        .to(ScalarType.Long));
              }
            });
    return made(
        "different means and covariances, strength " + number(alpha),
        sizes,
        seed,
        (rng, labels) -> {
          List<Tensor> parts = new ArrayList<>();
          for (int c = 1; c <= classes; c++) {
            double strength = c * alpha;
            Tensor mean = rng.normal(ScalarType.Double, 1, width).mul(new Scalar(strength));
            Tensor root = root(rng.normal(ScalarType.Double, width, width));
            parts.add(
                rng.normal(ScalarType.Double, sizes[c - 1], width)
                    .matmul(root.t())
                    .mul(new Scalar(Math.sqrt(strength)))
                    .add(mean)
                    .to(ScalarType.Float));
          }
          return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
        });
  }

  /** A matrix R with R R^T the positive part of the symmetrised matrix. */
  private static Tensor root(Tensor normal) {
    T_TensorTensor_T eigen = torch.linalg_eigh(normal.add(normal.t()).mul(new Scalar(0.5)));
    return eigen.get1().mul(eigen.get0().clamp_min(new Scalar(0.0)).sqrt());
  }

  /** The same rows with their labels in a random order: separable no longer, if it was before. */
  public static SourceCodes shuffled(SourceCodes source, long seed) {
    Tensor labels =
        Scopes.tensor(
            () -> {
              try (Rng rng = Rng.named(seed, "shuffled labels")) {
                Tensor order = rng.permutation(source.labels().size(0));
                return source.labels().index_select(0, order);
              }
            });
    return new SourceCodes(source.name() + ", labels shuffled", source.codes(), labels);
  }

  /** The same rows with the classes exchanged for one another: as separable as before. */
  public static SourceCodes permuted(SourceCodes source, long seed) {
    Tensor labels =
        Scopes.tensor(
            () -> {
              try (Rng rng = Rng.named(seed, "permuted classes")) {
                long classes = source.labels().max().item_long() + 1;
                return rng.permutation(classes).index_select(0, source.labels());
              }
            });
    return new SourceCodes(source.name() + ", classes permuted", source.codes(), labels);
  }

  private interface Draw {
    Tensor rows(Rng rng, Tensor labels);
  }

  private static SourceCodes made(String name, int[] sizes, long seed, Draw draw) {
    Tensor labels =
        Scopes.tensor(
            () ->
                torch.repeat_interleave(
                    Tensors.of(Arrays.stream(sizes).asLongStream().toArray(), sizes.length)));
    Tensor codes =
        Scopes.tensor(
            () -> {
              try (Rng rng = Rng.named(seed, "noise source")) {
                return draw.rows(rng, labels);
              }
            });
    return new SourceCodes(name, codes, labels);
  }

  private static int[] sizes(int classes, int perClass) {
    int[] sizes = new int[classes];
    Arrays.fill(sizes, perClass);
    return sizes;
  }

  private static void check(int classes, int perClass, int width) {
    HyperParameter.atLeast("classes", classes, 2);
    HyperParameter.atLeast("perClass", perClass, 1);
    HyperParameter.atLeast("width", width, 1);
  }

  private static String number(double value) {
    return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
  }
}
