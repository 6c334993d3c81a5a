package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.ear.Adaptor.Family;
import org.outrigger.adapt.ear.Adaptor.Plan;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Zero-shot search for an adaptor: candidates within a budget of parameters are drawn, ranked by
 * each of {@link ZeroShotProxies} on one batch at fresh weights, and sorted by their mean rank; of
 * equal ones that with fewer parameters comes first. None is trained.
 */
public final class AdaptorSearch {
  private static final int[] HIDDEN = {8, 16, 32, 64};

  /** Up to so many taps all subsets are in the search space, beyond it runs of neighbours. */
  private static final int ALL_SUBSETS = 6;

  private AdaptorSearch() {}

  /**
   * A candidate with its place.
   *
   * @param plan the adaptor
   * @param parameters how many it has
   * @param proxies means over the drawings of first weights
   * @param meanRank over the proxies, from 1; smaller is better
   */
  public record Candidate(Plan plan, long parameters, ZeroShotProxies proxies, double meanRank) {}

  /**
   * All adaptors with at most that many parameters, in a fixed order: subsets of the taps times
   * families, hidden widths of 8, 16, 32 and 64, depths 1 and 2. Two linear maps are one, so the
   * linear family has depth 1 alone; scale and shift look at the last tap alone.
   *
   * @param widths of the taps
   */
  public static List<Plan> space(long[] widths, long maxParameters) {
    List<Plan> plans = new ArrayList<>();
    for (List<Integer> taps : subsets(widths.length)) {
      plans.add(new Plan(taps, Family.LINEAR, 0, 1));
      for (Family family : List.of(Family.BOTTLENECK, Family.RESIDUAL)) {
        for (int width : HIDDEN) {
          plans.add(new Plan(taps, family, width, 1));
          plans.add(new Plan(taps, family, width, 2));
        }
      }
    }
    List<Integer> last = List.of(widths.length - 1);
    plans.add(new Plan(last, Family.SCALE_SHIFT, 0, 1));
    plans.add(new Plan(last, Family.SCALE_SHIFT, 0, 2));
    long least = plans.stream().mapToLong(plan -> plan.parameters(widths)).min().orElseThrow();
    if (least > maxParameters) {
      throw new OutriggerException(
          "No adaptor has at most "
              + maxParameters
              + " parameters; the smallest has "
              + least
              + ": raise maxParameters, or name fewer or narrower taps.");
    }
    plans.removeIf(plan -> plan.parameters(widths) > maxParameters);
    return plans;
  }

  private static List<List<Integer>> subsets(int taps) {
    List<List<Integer>> all = new ArrayList<>();
    if (taps <= ALL_SUBSETS) {
      for (int bits = 1; bits < 1 << taps; bits++) {
        int chosen = bits;
        all.add(IntStream.range(0, taps).filter(t -> (chosen >> t & 1) == 1).boxed().toList());
      }
    } else {
      for (int from = 0; from < taps; from++) {
        for (int to = from; to < taps; to++) {
          all.add(IntStream.rangeClosed(from, to).boxed().toList());
        }
      }
    }
    return all;
  }

  /**
   * Some of the space, each once.
   *
   * @param count how many, 1 or more; all if there are fewer
   */
  public static List<Plan> draw(long[] widths, long maxParameters, int count, Rng rng) {
    HyperParameter.atLeast("candidates", count, 1);
    List<Plan> space = space(widths, maxParameters);
    int[] order = Scopes.scoped(() -> Tensors.ints(rng.permutation(space.size())));
    return Arrays.stream(order).limit(count).mapToObj(space::get).toList();
  }

  /**
   * Ranks candidates.
   *
   * @param plans at least one
   * @param widths of the taps
   * @param inputs [N, F], the features of all taps side by side, N at least 2
   * @param labels int64 [N] in 0 .. classes-1; null leaves the gradient norm out
   * @param classes outputs of the head behind the adaptor
   * @param initialisations over how many drawings of first weights the proxies are averaged
   * @param seed of these
   * @return the candidates, best first
   */
  public static List<Candidate> rank(
      List<Plan> plans,
      long[] widths,
      Tensor inputs,
      @Nullable Tensor labels,
      int classes,
      int initialisations,
      long seed) {
    HyperParameter.atLeast("initialisations", initialisations, 1);
    Shapes.check().tensor("The features", inputs, "N", Long.toString(Arrays.stream(widths).sum()));
    if (inputs.size(0) < 2) {
      throw new OutriggerException(
          "The tangent kernel of a single row says nothing: rank adaptors on two rows or more.");
    }
    if (labels != null) {
      Shapes.labels("The labels", labels, classes, false);
    }
    List<ZeroShotProxies> proxies = new ArrayList<>();
    try (PointerScope scope = new PointerScope()) {
      Tensor exact = inputs.to(ScalarType.Double);
      for (Plan plan : plans) {
        List<ZeroShotProxies> drawn = new ArrayList<>();
        for (int i = 0; i < initialisations; i++) {
          try (Rng rng = Rng.named(seed, "adaptor search/" + plan + "/" + i);
              Layer network = network(plan, widths, classes, rng)) {
            network.to(ScalarType.Double);
            drawn.add(ZeroShotProxies.of(network, exact, labels));
          }
        }
        proxies.add(ZeroShotProxies.mean(drawn));
      }
    }
    double[] ranks = meanRanks(proxies);
    return IntStream.range(0, plans.size())
        .mapToObj(
            i ->
                new Candidate(
                    plans.get(i), plans.get(i).parameters(widths), proxies.get(i), ranks[i]))
        .sorted(
            Comparator.comparingDouble(Candidate::meanRank)
                .thenComparingLong(Candidate::parameters))
        .toList();
  }

  /** An adaptor and a head behind it, as they are trained; the caller closes it. */
  static Sequential network(Plan plan, long[] widths, int classes, Rng rng) {
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put(EarDomain.ADAPTOR, new Adaptor(plan, widths, rng));
    layers.put(EarDomain.HEAD, new Linear(widths[widths.length - 1], classes, rng));
    return new Sequential(layers);
  }

  /** The mean over the proxies of the rank among the candidates; NaN ranks last. */
  static double[] meanRanks(List<ZeroShotProxies> proxies) {
    List<ToDoubleFunction<ZeroShotProxies>> larger =
        new ArrayList<>(
            List.of(
                ZeroShotProxies::linearRegions,
                ZeroShotProxies::naswot,
                p -> -p.ntkCondition(),
                ZeroShotProxies::synflow));
    if (proxies.stream().anyMatch(p -> !Double.isNaN(p.gradientNorm()))) {
      larger.add(ZeroShotProxies::gradientNorm);
    }
    double[] mean = new double[proxies.size()];
    for (ToDoubleFunction<ZeroShotProxies> proxy : larger) {
      double[] ranks = ranks(proxies.stream().mapToDouble(proxy).toArray());
      Arrays.setAll(mean, i -> mean[i] + ranks[i] / larger.size());
    }
    return mean;
  }

  /** Ranks from 1 for the largest; equal values share the mean of their ranks. */
  static double[] ranks(double[] values) {
    double[] ranks = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      double own = orLeast(values[i]);
      double above = 0;
      double equal = 0;
      for (double value : values) {
        int order = Double.compare(orLeast(value), own);
        above += order > 0 ? 1 : 0;
        equal += order == 0 ? 1 : 0;
      }
      ranks[i] = above + (equal + 1) / 2;
    }
    return ranks;
  }

  private static double orLeast(double value) {
    return Double.isNaN(value) ? Double.NEGATIVE_INFINITY : value;
  }
}
