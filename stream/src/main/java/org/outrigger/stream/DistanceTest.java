package org.outrigger.stream;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Tensors;

/**
 * The shell of tests whose distance has no law of its own: it is compared with a fixed threshold
 * or, with permutations, gets a p-value.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class DistanceTest<S extends Record> extends ReferenceTest<S> {
  /**
   * How distances become a decision.
   *
   * @param permutations 0 for the fixed threshold; raised to d / alpha where p-values are corrected
   *     for d features
   * @param threshold of a feature's distance, 0 or more
   * @param alpha the level of the permutation test over all features, in (0, 1)
   * @param correction for the number of features
   * @param seed of the permutations
   */
  public record Decision(
      int permutations, double threshold, double alpha, Correction correction, long seed) {
    public Decision {
      HyperParameter.atLeast("permutations", permutations, 0);
      HyperParameter.notNegative("threshold", threshold);
      HyperParameter.inside("alpha", alpha, 0, 1);
      if (permutations > 0) {
        Permutations.enough(permutations, alpha);
      }
    }
  }

  protected DistanceTest(S settings) {
    super(settings);
  }

  /**
   * The distance of each feature.
   *
   * @return [d], 0 or more
   */
  protected abstract Tensor distances(Tensor reference, Tensor batch);

  /** How distances become a decision. */
  protected abstract Decision decision();

  @Override
  protected final DriftTestResult compare(Tensor reference, Tensor batch) {
    Decision how = decision();
    double[] distances = Tensors.doubles(distances(reference, batch));
    if (how.permutations > 0) {
      // With fewer, no single feature of many could ever be found.
      double needed = how.correction == Correction.NONE ? 0 : distances.length / how.alpha;
      int count = (int) Math.max(how.permutations, Math.ceil(needed));
      Tensor orders =
          Permutations.draw(count, reference.size(0) + batch.size(0), how.seed, card().slug());
      double[] pValues =
          Permutations.featureValues(reference, batch, orders, both -> distances(both[0], both[1]));
      return byFeature(distances, pValues, how.alpha, how.correction);
    }
    DriftTestResult.Feature[] features = new DriftTestResult.Feature[distances.length];
    double largest = 0;
    for (int f = 0; f < features.length; f++) {
      features[f] =
          new DriftTestResult.Feature(distances[f], Double.NaN, distances[f] > how.threshold);
      largest = Math.max(largest, distances[f]);
    }
    return new DriftTestResult(
        card().slug(), largest > how.threshold, largest, Double.NaN, how.threshold, features);
  }
}
