package org.outrigger.stream;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * Wasserstein-1 distance of every feature by itself: how far values must be moved on average to
 * turn one sample into the other, the area between the distribution functions. A shift of all
 * values by c has the distance |c|. In standard deviations of the reference by default, so that
 * features compare.
 *
 * <p>Ramdas, García Trillos, Cuturi, "On Wasserstein Two-Sample Testing and Related Families of
 * Nonparametric Tests", Entropy 2017.
 */
@Card(
    slug = "wasserstein",
    name = "Wasserstein distance",
    summary = "How far values moved on average, in standard deviations of the reference.",
    paper = "Ramdas, García Trillos, Cuturi. On Wasserstein Two-Sample Testing. Entropy 2017",
    year = 2017,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class Wasserstein extends DistanceTest<Wasserstein.Settings> {
  /**
   * @param standardise whether distances are in standard deviations of the reference
   * @param permutations for a p-value, at least 1 / alpha, raised to d / alpha where it is
   *     corrected for d features; 0 for the fixed threshold
   * @param threshold a distance beyond it is drift, where there are no permutations
   * @param alpha the level of the whole, in (0, 1)
   * @param correction for the number of features
   * @param seed of the permutations
   */
  public record Settings(
      boolean standardise,
      int permutations,
      double threshold,
      double alpha,
      Correction correction,
      long seed) {
    public Settings {
      Objects.requireNonNull(correction);
      new Decision(permutations, threshold, alpha, correction, seed);
    }

    public static Settings defaults() {
      return new Settings(true, 100, 0.1, 0.05, Correction.BONFERRONI, 0);
    }
  }

  public Wasserstein() {
    this(Settings.defaults());
  }

  public Wasserstein(Settings settings) {
    super(settings);
  }

  /**
   * The distance of each feature, in its own unit.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @return [d], 0 or more
   */
  public static Tensor distance(Tensor reference, Tensor batch) {
    return Scopes.tensor(
        () -> {
          Tensor[] f = KsTest.distributions(reference, batch);
          long gaps = f[2].size(1) - 1;
          Tensor widths = f[2].narrow(1, 1, gaps).sub(f[2].narrow(1, 0, gaps));
          return f[0].sub(f[1]).abs().narrow(1, 0, gaps).mul(widths).sum(1);
        });
  }

  /** The distance of each feature in standard deviations of the reference; 1e-12 at least. */
  public static Tensor standardised(Tensor reference, Tensor batch) {
    return Scopes.tensor(
        () ->
            distance(reference, batch)
                .div(
                    torch
                        .sqrt(
                            reference
                                .sub(reference.mean(new long[] {0}, true, new ScalarTypeOptional()))
                                .square()
                                .sum(0)
                                .div(new Scalar(reference.size(0) - 1.0)))
                        .clamp_min(new Scalar(1e-12))));
  }

  @Override
  protected Tensor distances(Tensor reference, Tensor batch) {
    return settings().standardise ? standardised(reference, batch) : distance(reference, batch);
  }

  @Override
  protected Decision decision() {
    Settings s = settings();
    return new Decision(s.permutations, s.threshold, s.alpha, s.correction, s.seed);
  }
}
