package org.outrigger.datasets;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Loads of links over days, as shares of their capacity: a level, a wave with the time of day, and
 * noise of 0.02. A failure elsewhere re-routes traffic onto a link: from then on its wave is higher
 * and later, and its level is higher.
 */
public final class LinkLoads {
  /** Steps of a day. */
  public static final int PERIOD = 48;

  private static final double NOISE = 0.02;

  private LinkLoads() {}

  /** How much a failure moves a link. */
  public enum Failure {
    /** none */
    NONE(1, 1, 0, 0, 0),
    /** the wave grows by up to a fifth, the level by up to 0.05 */
    MODERATE(1, 1.2, 0.02, 0.05, 0.3),
    /** the wave grows to 2 to 2.5 times its size, the level by 0.3 to 0.4 */
    DRASTIC(2, 2.5, 0.3, 0.4, 1.5);

    private final double lowFactor;
    private final double highFactor;
    private final double lowLevel;
    private final double highLevel;
    private final double delay;

    Failure(double lowFactor, double highFactor, double lowLevel, double highLevel, double delay) {
      this.lowFactor = lowFactor;
      this.highFactor = highFactor;
      this.lowLevel = lowLevel;
      this.highLevel = highLevel;
      this.delay = delay;
    }
  }

  /** Quiet days of links with levels of 0.2 to 0.4 and waves of 0.08 to 0.18, [links, steps]. */
  public static Tensor quiet(int links, int periods, long seed) {
    return loads(links, periods, 0, Failure.NONE, "quiet links", seed);
  }

  /**
   * Days of other such links with a failure in between, [links, steps].
   *
   * @param before periods before the failure
   * @param after periods from the failure on
   */
  public static Tensor failing(int links, int before, int after, Failure failure, long seed) {
    HyperParameter.atLeast("after", after, 1);
    return loads(links, before, after, failure, "failing links", seed);
  }

  private static Tensor loads(
      int links, int before, int after, Failure failure, String purpose, long seed) {
    HyperParameter.atLeast("links", links, 1);
    HyperParameter.atLeast("before", before, 1);
    return Scopes.tensor(
        () -> {
          SplittableRandom random = new SplittableRandom(Rng.derive(seed, purpose));
          try (Rng noise = Rng.named(seed, purpose + " noise")) {
            List<Tensor> rows = new ArrayList<>();
            for (int link = 0; link < links; link++) {
              double level = between(random, 0.2, 0.4);
              double wave = between(random, 0.08, 0.18);
              double phase = between(random, 0, 2 * Math.PI);
              Tensor row = wave(0, before * PERIOD, level, wave, phase);
              double factor = between(random, failure.lowFactor, failure.highFactor);
              double more = between(random, failure.lowLevel, failure.highLevel);
              if (after > 0) {
                Tensor later =
                    wave(
                        before * PERIOD,
                        (before + after) * PERIOD,
                        level + more,
                        wave * factor,
                        phase - failure.delay);
                row = torch.cat(new TensorVector(row, later), 0);
              }
              rows.add(row);
            }
            Tensor all = torch.stack(new TensorVector(rows.toArray(new Tensor[0])), 0);
            return all.add(noise.normal(ScalarType.Double, all.shape()), new Scalar(NOISE));
          }
        });
  }

  private static double between(SplittableRandom random, double low, double high) {
    return low + (high - low) * random.nextDouble();
  }

  private static Tensor wave(int from, int to, double level, double size, double phase) {
    return torch
        .arange(
            new Scalar((double) from),
            new Scalar((double) to),
            new TensorOptions(ScalarType.Double))
        .mul(new Scalar(2 * Math.PI / PERIOD))
        .add(new Scalar(phase))
        .sin()
        .mul(new Scalar(size))
        .add(new Scalar(level));
  }
}
