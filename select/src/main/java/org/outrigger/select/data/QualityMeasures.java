package org.outrigger.select.data;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** Quality of a data set, from a score, solve counts, or a verifier's word for each sample. */
public final class QualityMeasures {
  private QualityMeasures() {}

  /**
   * The mean quality.
   *
   * @param quality [n], each in [0, 1]
   */
  public static double mean(Tensor quality) {
    unit("quality", quality);
    return Scopes.scoped(() -> quality.to(ScalarType.Double).mean().item_double());
  }

  /**
   * The share of samples of quality {@code threshold} or more.
   *
   * @param quality [n], each in [0, 1]
   */
  public static double passRate(Tensor quality, double threshold) {
    unit("quality", quality);
    return Scopes.scoped(
        () ->
            quality
                .to(ScalarType.Double)
                .ge(new Scalar(threshold))
                .to(ScalarType.Double)
                .mean()
                .item_double());
  }

  /**
   * pass@k: the chance that one of k attempts solves a task, of which {@code solved} of {@code
   * attempts} did: {@code 1 - C(n-c, k) / C(n, k)}. Chen et al., Evaluating Large Language Models
   * Trained on Code, 2021.
   *
   * @param solved whole numbers [n], each in 0 .. attempts
   * @param attempts 1 or more
   * @param k 1 .. attempts
   * @return float64 [n]
   */
  public static Tensor passAtK(Tensor solved, int attempts, int k) {
    counts(solved, attempts);
    if (k < 1 || k > attempts) {
      throw new OutriggerException(
          "pass@k needs k from 1 to " + attempts + ", the number of attempts, not " + k + ".");
    }
    return Scopes.tensor(
        () -> {
          // C(n-c, k) / C(n, k) as a product over i of (n - c - i) / (n - i); 0 once n - c < k.
          Tensor failed = solved.to(ScalarType.Double).neg().add(new Scalar((double) attempts));
          Tensor none = torch.ones_like(failed);
          for (int i = 0; i < k; i++) {
            none =
                none.mul(
                    failed
                        .sub(new Scalar((double) i))
                        .clamp_min(new Scalar(0.0))
                        .div(new Scalar((double) (attempts - i))));
          }
          return none.neg().add(new Scalar(1.0));
        });
  }

  /**
   * The share of samples whose label a verifier gives too.
   *
   * @param labels int64 [n]
   * @param verified int64 [n]
   */
  public static double agreement(Tensor labels, Tensor verified) {
    Shapes.check().tensor("labels", labels, "n").tensor("verified", verified, "n");
    Shapes.notEmpty("labels", labels);
    return Scopes.scoped(() -> labels.eq(verified).to(ScalarType.Double).mean().item_double());
  }

  static void counts(Tensor solved, int attempts) {
    Shapes.check().tensor("solved", solved, "n");
    Shapes.notEmpty("solved", solved);
    boolean ok =
        attempts >= 1
            && Scopes.scoped(
                () ->
                    solved.amin().item_double() >= 0
                        && solved.amax().item_double() <= attempts
                        && solved.to(ScalarType.Double).frac().abs().amax().item_double() == 0);
    if (!ok) {
      throw new OutriggerException(
          "Solve counts must be whole numbers from 0 to " + attempts + ", the attempts.");
    }
  }

  static void unit(String name, Tensor values) {
    Shapes.check().tensor(name, values, "n");
    Shapes.notEmpty(name, values);
    boolean ok =
        Scopes.scoped(
            () ->
                values
                    .ge(new Scalar(0.0))
                    .logical_and(values.le(new Scalar(1.0)))
                    .all()
                    .item_bool());
    if (!ok) {
      throw new OutriggerException(
          name + " must be in [0, 1] for every sample: scale it, and leave out NaN.");
    }
  }
}
