package org.outrigger.stream;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * Population stability index of every feature by itself: shares a and b of both samples in bins
 * between quantiles of the reference, {@code sum (b - a) ln(b / a)}, empty bins counted as a small
 * floor. Usual reading: below 0.1 stable, 0.1 to 0.25 worth watching, above 0.25 shifted.
 *
 * <p>Without any change it is about {@code (bins - 1) (1/n + 1/m)}: with few rows the usual
 * threshold fires by chance; use permutations then. A constant reference gets bins below, at and
 * above its value.
 *
 * <p>Lewis, "An Introduction to Credit Scoring", 1994.
 */
@Card(
    slug = "psi",
    name = "Population stability index",
    summary = "Shares in quantile bins, feature by feature; the usual rule of thumb is 0.25.",
    paper = "Lewis, An Introduction to Credit Scoring, 1994",
    year = 1994,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class Psi extends DistanceTest<Psi.Settings> {
  /**
   * @param bins 2 or more
   * @param floor the least share, in (0, 1)
   * @param permutations for a p-value, at least 1 / alpha, raised to d / alpha where it is
   *     corrected for d features; 0 for the fixed threshold
   * @param threshold a distance beyond it is drift, where there are no permutations
   * @param alpha the level of the whole, in (0, 1)
   * @param correction for the number of features
   * @param seed of the permutations
   */
  public record Settings(
      int bins,
      double floor,
      int permutations,
      double threshold,
      double alpha,
      Correction correction,
      long seed) {
    public Settings {
      HyperParameter.atLeast("bins", bins, 2);
      HyperParameter.inside("floor", floor, 0, 1);
      Objects.requireNonNull(correction);
      new Decision(permutations, threshold, alpha, correction, seed);
    }

    public static Settings defaults() {
      return new Settings(10, 1e-4, 0, 0.25, 0.05, Correction.BONFERRONI, 0);
    }
  }

  public Psi() {
    this(Settings.defaults());
  }

  public Psi(Settings settings) {
    super(settings);
  }

  /**
   * The index of each feature.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @return [d], 0 or more
   */
  public static Tensor index(Tensor reference, Tensor batch, int bins, double floor) {
    return Scopes.tensor(
        () -> {
          Tensor[] shares = Bins.shares(reference, batch, bins);
          Tensor a = shares[0].clamp_min(new Scalar(floor));
          Tensor b = shares[1].clamp_min(new Scalar(floor));
          return b.sub(a).mul(torch.log(b.div(a))).sum(1);
        });
  }

  @Override
  protected Tensor distances(Tensor reference, Tensor batch) {
    return index(reference, batch, settings().bins, settings().floor);
  }

  @Override
  protected Decision decision() {
    Settings s = settings();
    return new Decision(s.permutations, s.threshold, s.alpha, s.correction, s.seed);
  }
}
