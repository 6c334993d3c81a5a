package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Coverage-centred sampling: the extremes of a score are left out, the rest is cut into strata of
 * equal width from high to low, and every stratum gives alike. Zheng et al., Coverage-centric
 * Coreset Selection for High Pruning Rates, ICLR 2023. And the plainer draws that it is compared
 * with.
 */
public final class CoverageSampling {
  private CoverageSampling() {}

  /** How samples are drawn inside a cluster. */
  public enum Draw {
    /** Coverage-centred. */
    COVERAGE,
    /** The smallest scores. */
    LOWEST,
    /** The scores around the median. */
    MIDDLE,
    /** Uniform, whatever the score. */
    RANDOM
  }

  /**
   * The strata of a score.
   *
   * @param low the score below which nothing is taken
   * @param high the score above which nothing is taken
   * @param of the stratum of each sample, 0 for the highest scores; -1: outside
   * @param counts samples in each stratum
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Strata(double low, double high, int[] of, int[] counts) {}

  /**
   * Cuts scores into strata {@code (left, right]} of equal width from the highest down.
   *
   * @param scores [n], without NaN
   * @param bins the number of strata, 1 or more
   * @param cut the share that is left out at both ends, in [0, 0.5)
   */
  public static Strata strata(Tensor scores, int bins, double cut) {
    Shapes.check().tensor("The scores", scores, "n");
    Shapes.notEmpty("The scores", scores);
    if (bins < 1 || !(cut >= 0 && cut < 0.5)) {
      throw new OutriggerException(
          "Strata need bins of 1 or more and a cut in [0, 0.5), not " + bins + " and " + cut + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = scores.to(ScalarType.Double);
          double[] sorted = Tensors.doubles(x.sort().get0());
          double low = sorted[(int) (sorted.length * cut)];
          double high = sorted[Math.min(sorted.length - 1, (int) (sorted.length * (1 - cut)))];
          double[] edges = new double[bins + 1];
          edges[bins] = high;
          for (int i = bins - 1; i >= 0; i--) {
            edges[i] = edges[i + 1] - (high - low) / bins;
          }
          Tensor cells = torch.bucketize(x, Tensors.of(edges, edges.length), false, false);
          Tensor counts = torch.bincount(cells, new TensorOptional(), bins + 2L);
          int[] ascending = Tensors.ints(counts.narrow(0, 1, bins));
          int[] descending = new int[bins];
          Arrays.setAll(descending, i -> ascending[bins - 1 - i]);
          // Cell 0 is outside below, cell bins + 1 outside above.
          Tensor stratum = cells.neg().add(new Scalar(bins));
          Tensor inside = cells.ge(new Scalar(1)).logical_and(cells.le(new Scalar(bins)));
          return new Strata(
              low, high, Tensors.ints(torch.where(inside, stratum, new Scalar(-1))), descending);
        });
  }

  /**
   * How many each stratum gives: {@code ceil(budget / strata)} to begin with; one that has fewer
   * gives all, and the rest of the budget is spread anew over the strata that are left. Never below
   * 0; rounding up may give more than the budget in all.
   *
   * @param counts samples in each stratum, from the highest down
   */
  public static int[] taken(int[] counts, int budget) {
    int[] taken = new int[counts.length];
    int share = ClusterBudgets.ceil(budget, counts.length);
    int remaining = budget;
    for (int i = 0; i < counts.length; i++) {
      taken[i] = Math.min(counts[i], share);
      remaining = Math.max(0, remaining - taken[i]);
      if (counts[i] < share && i + 1 < counts.length) {
        share = ClusterBudgets.ceil(remaining, counts.length - i - 1);
      }
    }
    return taken;
  }

  /**
   * Draws samples of one cluster.
   *
   * @param scores [n]; NaN counts as 0
   * @param budget at most n
   * @param rng draws inside the strata
   * @return {@code budget} positions in 0 .. n-1, ascending
   */
  public static int[] draw(Tensor scores, int budget, Draw how, int bins, double cut, Rng rng) {
    Shapes.check().tensor("The scores", scores, "n");
    int n = Math.toIntExact(scores.size(0));
    if (budget < 0 || budget > n) {
      throw new OutriggerException(budget + " of " + n + " samples cannot be drawn.");
    }
    if (budget == 0) {
      return new int[0];
    }
    return Scopes.scoped(
        () -> {
          Tensor x = torch.nan_to_num(scores.to(ScalarType.Double));
          int[] order = Tensors.ints(rng.permutation(n));
          return switch (how) {
            case COVERAGE -> coverage(strata(x, bins, cut), budget, order);
            case RANDOM -> Arrays.stream(order, 0, budget).sorted().toArray();
            case LOWEST -> ranks(x, 0, budget);
            case MIDDLE -> ranks(x, (n - budget) / 2, budget);
          };
        });
  }

  /** Positions by ascending score, the first of equal ones first. */
  private static int[] ranks(Tensor x, int from, int count) {
    double[] values = Tensors.doubles(x);
    return IntStream.range(0, values.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> values[i]))
        .skip(from)
        .limit(count)
        .mapToInt(Integer::intValue)
        .sorted()
        .toArray();
  }

  private static int[] coverage(Strata strata, int budget, int[] order) {
    int[] taken = taken(strata.counts(), budget);
    int given = Arrays.stream(taken).sum();
    for (; given > budget; given--) {
      int most = 0;
      for (int i = 1; i < taken.length; i++) {
        most = taken[i] > taken[most] ? i : most;
      }
      taken[most]--;
    }
    BitSet drawn = new BitSet();
    List<Integer> rest = new ArrayList<>();
    for (int position : order) {
      int stratum = strata.of()[position];
      if (stratum >= 0 && taken[stratum] > 0) {
        taken[stratum]--;
        drawn.set(position);
      } else {
        rest.add(position);
      }
    }
    // Too little in the strata: fill up uniformly from the rest of the cluster.
    rest.stream().limit(budget - drawn.cardinality()).forEach(drawn::set);
    return drawn.stream().toArray();
  }
}
