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
 * Jensen-Shannon divergence of every feature by itself: shares of both samples in bins between
 * quantiles of the reference, each compared with their average; in nats, from 0 to ln 2. Its root
 * is a metric.
 *
 * <p>Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information
 * Theory 1991.
 */
@Card(
    slug = "jensen-shannon",
    name = "Jensen-Shannon divergence",
    summary = "Shares in quantile bins compared with their average; bounded by ln 2.",
    paper = "Lin, Divergence measures based on the Shannon entropy, IEEE TIT 1991",
    year = 1991,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class JensenShannon extends DistanceTest<JensenShannon.Settings> {
  /**
   * @param bins 2 or more
   * @param permutations for a p-value, at least 1 / alpha, raised to d / alpha where it is
   *     corrected for d features; 0 for the fixed threshold
   * @param threshold a distance beyond it is drift, where there are no permutations
   * @param alpha the level of the whole, in (0, 1)
   * @param correction for the number of features
   * @param seed of the permutations
   */
  public record Settings(
      int bins,
      int permutations,
      double threshold,
      double alpha,
      Correction correction,
      long seed) {
    public Settings {
      HyperParameter.atLeast("bins", bins, 2);
      Objects.requireNonNull(correction);
      new Decision(permutations, threshold, alpha, correction, seed);
    }

    public static Settings defaults() {
      return new Settings(10, 100, 0.1, 0.05, Correction.BONFERRONI, 0);
    }
  }

  public JensenShannon() {
    this(Settings.defaults());
  }

  public JensenShannon(Settings settings) {
    super(settings);
  }

  /**
   * The divergence of each feature.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @return [d] in [0, ln 2]
   */
  public static Tensor divergence(Tensor reference, Tensor batch, int bins) {
    return Scopes.tensor(
        () -> {
          Tensor[] shares = Bins.shares(reference, batch, bins);
          Tensor middle = shares[0].add(shares[1]).div(new Scalar(2.0));
          return Bins.divergence(shares[0], middle)
              .add(Bins.divergence(shares[1], middle))
              .div(new Scalar(2.0))
              .clamp_min(new Scalar(0.0));
        });
  }

  /** The root of the divergence, a metric; [d]. */
  public static Tensor distance(Tensor reference, Tensor batch, int bins) {
    return Scopes.tensor(() -> torch.sqrt(divergence(reference, batch, bins)));
  }

  @Override
  protected Tensor distances(Tensor reference, Tensor batch) {
    return divergence(reference, batch, settings().bins);
  }

  @Override
  protected Decision decision() {
    Settings s = settings();
    return new Decision(s.permutations, s.threshold, s.alpha, s.correction, s.seed);
  }
}
