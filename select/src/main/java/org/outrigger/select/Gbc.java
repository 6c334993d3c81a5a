package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * Gaussian Bhattacharyya coefficient: minus how much Gaussians of the classes overlap, {@code -
 * sum_{c != c'} exp(-d(c, c'))} over ordered pairs, with {@code d = 1/8 sum (m - m')^2 / v + 1/2
 * sum (log v - 1/2 log v_c - 1/2 log v_c')} and v the mean of both variances. At most 0.
 *
 * <p>Pandy, Agostinelli, Uijlings, Ferrari, Mensink. Transferability Estimation using Bhattacharyya
 * Class Separability. CVPR 2022.
 */
@Card(
    slug = "gbc",
    name = "GBC",
    summary = "How little Gaussians around the classes overlap in feature space.",
    paper =
        "Pandy, Agostinelli, Uijlings, Ferrari, Mensink. Transferability Estimation using"
            + " Bhattacharyya Class Separability. CVPR 2022",
    year = 2022,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class Gbc implements ModelScore {
  private static final double LEAST_VARIANCE = 1e-4;

  /** What a class's covariance may be. */
  public enum Covariance {
    /** One variance for all features of a class. */
    SPHERICAL,
    /** A variance for each feature. */
    DIAGONAL,
    /** As spherical, but its logarithm counted once instead of D times, as released code has it. */
    LEGACY
  }

  /**
   * @param covariance spherical or diagonal; legacy for the released spherical code
   * @param dimensions the features are reduced to so many principal components; 64, 0 for none
   */
  public record Settings(Covariance covariance, int dimensions) {
    public Settings {
      HyperParameter.atLeast("dimensions", dimensions, 0);
    }

    public static Settings defaults() {
      return new Settings(Covariance.SPHERICAL, 64);
    }
  }

  private final Settings settings;

  public Gbc() {
    this(Settings.defaults());
  }

  public Gbc(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score of features as they are.
   *
   * @param features [N, D]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static double score(Tensor features, Tensor labels, Covariance covariance) {
    return Scopes.scoped(
        () -> {
          Rows rows = Rows.of(features);
          Tensor counts = Rows.counts(labels);
          Tensor means = rows.means(labels, counts);
          Tensor variances =
              rows.minusMeans(means, labels)
                  .changed(rows.dimension(), (block, from, length) -> block.square())
                  .means(labels, counts)
                  .clamp_min_(new Scalar(LEAST_VARIANCE)); // [C, D]
          boolean shared = covariance != Covariance.DIAGONAL;
          if (shared) {
            variances = variances.mean(new long[] {1}, true, null); // [C, 1]
          }
          double copies = covariance == Covariance.SPHERICAL ? rows.dimension() : 1;
          double overlap = 0;
          for (long c = 0; c < means.size(0); c++) {
            overlap += overlap(means, variances, c, copies);
          }
          return -overlap;
        });
  }

  /** The overlap of class c with all others; each logarithm counts {@code copies} times. */
  private static double overlap(Tensor means, Tensor variances, long c, double copies) {
    return Scopes.scoped(
        () -> {
          Tensor own = variances.narrow(0, c, 1);
          Tensor both = variances.add(own).div_(new Scalar(2.0));
          Tensor apart =
              means.sub(means.narrow(0, c, 1)).square_().div_(both).sum(1).div_(new Scalar(8.0));
          Tensor logs =
              both.log()
                  .sub_(variances.log().add_(own.log()).div_(new Scalar(2.0)))
                  .sum(1)
                  .mul_(new Scalar(copies / 2));
          // A class overlaps itself by exactly 1.
          return apart.add_(logs).neg_().exp_().sum().item_double() - 1;
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () ->
            score(
                Principal.first(candidate.requireFeatures(this), settings.dimensions),
                candidate.denseLabels(this),
                settings.covariance));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
