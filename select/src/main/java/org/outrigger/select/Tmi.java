package org.outrigger.select;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.ClassNeighbours.Norm;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * TMI: how spread out each class is in feature space; a model that keeps classes spread keeps what
 * fine-tuning needs. The differential entropy of each class is estimated from the distance e_i of
 * each row to its k-th neighbour in the class, {@code H_c = -psi(k) + psi(n_c) + log V_D + (D/n_c)
 * sum_i log(2 e_i)} nats, and {@code TMI = (1/C') sum_c p_c H_c} over the classes with a finite
 * one.
 *
 * <p>It needs no classifier, so self-supervised models and single layers can be scored. It depends
 * on the scale and the number of features: H grows by D log s where features are multiplied by s.
 * So models of different width or scale are compared with a bias to the wide and large ones; {@code
 * standardise} takes out the scale. Distances are kept above a floor; where most are at it, models
 * tie, which is warned about.
 *
 * <p>Xu, Kang. Fast and Accurate Transferability Measurement by Evaluating Intra-class Feature
 * Variance. ICCV 2023.
 */
@Card(
    slug = "tmi",
    name = "TMI",
    summary = "How spread out each class is in feature space; needs no classifier.",
    paper =
        "Xu, Kang. Fast and Accurate Transferability Measurement by Evaluating Intra-class Feature"
            + " Variance. ICCV 2023",
    year = 2023,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class Tmi implements ModelScore {
  private static final Logger LOG = LoggerFactory.getLogger(Tmi.class);

  /**
   * @param k which neighbour; 3
   * @param norm the distance; max
   * @param minDist what distances are kept above; 1, above 0
   * @param relative the floor is instead so many times the median distance over all candidates that
   *     are scored together; 0 (off), an extension
   * @param sum the plain sum of p_c H_c, a conditional entropy, instead of that over C'
   * @param standardise divide all features by one number, their standard deviation; an extension
   */
  public record Settings(
      int k, Norm norm, double minDist, double relative, boolean sum, boolean standardise) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.positive("minDist", minDist);
      HyperParameter.notNegative("relative", relative);
    }

    public static Settings defaults() {
      return new Settings(3, Norm.MAX, 1, 0, false, false);
    }

    public Settings withK(int value) {
      return new Settings(value, norm, minDist, relative, sum, standardise);
    }

    public Settings withNorm(Norm value) {
      return new Settings(k, value, minDist, relative, sum, standardise);
    }

    public Settings withMinDist(double value) {
      return new Settings(k, norm, value, relative, sum, standardise);
    }

    public Settings withRelative(double value) {
      return new Settings(k, norm, minDist, value, sum, standardise);
    }

    public Settings withSum(boolean value) {
      return new Settings(k, norm, minDist, relative, value, standardise);
    }

    public Settings withStandardise(boolean value) {
      return new Settings(k, norm, minDist, relative, sum, value);
    }
  }

  /**
   * The score and what it is made of.
   *
   * @param score in nats
   * @param entropies H_c by label; 0 for a class of fewer than two rows, infinite for one of at
   *     most k, which is dropped
   * @param priors p_c by label
   * @param floored the share of distances that were at or below the floor
   * @param floor what distances were kept above
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Result(
      double score, double[] entropies, double[] priors, double floored, double floor) {
    /** Labels of classes with too few rows for a k-th neighbour; they are left out. */
    public List<Integer> dropped() {
      return labels(Double.POSITIVE_INFINITY);
    }

    private List<Integer> labels(double entropy) {
      List<Integer> labels = new ArrayList<>();
      for (int c = 0; c < entropies.length; c++) {
        if (entropies[c] == entropy) {
          labels.add(c);
        }
      }
      return labels;
    }
  }

  private final Settings settings;

  public Tmi() {
    this(Settings.defaults());
  }

  public Tmi(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score with its parts.
   *
   * @param features [N, D]
   * @param labels int64 [N], 0 or more; classes without rows count as one of entropy 0
   */
  public static Result measure(Tensor features, Tensor labels, Settings settings) {
    ClassNeighbours neighbours = neighbours(features, labels, settings);
    return result(neighbours, settings, floor(List.of(neighbours), settings));
  }

  /** The distances that the score needs: all that is to be kept of a candidate. */
  public static ClassNeighbours neighbours(Tensor features, Tensor labels, Settings settings) {
    return ClassNeighbours.of(features, labels, settings.k, settings.norm, settings.standardise);
  }

  /**
   * What distances are kept above: minDist, or with {@code relative} a multiple of the median over
   * all candidates.
   */
  public static double floor(List<ClassNeighbours> candidates, Settings settings) {
    if (settings.relative == 0) {
      return settings.minDist;
    }
    double[] all =
        candidates.stream()
            .flatMapToDouble(each -> Arrays.stream(each.distances()))
            .filter(Double::isFinite)
            .sorted()
            .toArray();
    double median = all.length == 0 ? 0 : (all[(all.length - 1) / 2] + all[all.length / 2]) / 2;
    if (!(median > 0)) {
      throw new OutriggerException(
          "TMI cannot set a floor relative to the median distance, which is "
              + median
              + ": set minDist instead of relative.");
    }
    return settings.relative * median;
  }

  /** The score of a candidate whose distances are known. */
  public static Result result(ClassNeighbours neighbours, Settings settings, double floor) {
    double[] entropies = new double[neighbours.classes()];
    double[] priors = new double[entropies.length];
    double n = neighbours.rows();
    double total = 0;
    int kept = 0;
    for (int c = 0; c < entropies.length; c++) {
      priors[c] = neighbours.count(c) / n;
      entropies[c] = entropy(neighbours, c, floor);
      if (Double.isFinite(entropies[c])) {
        kept++;
        total += priors[c] * entropies[c];
      }
    }
    if (kept == 0) {
      throw new OutriggerException(
          "TMI is not defined: no class has more than k = "
              + neighbours.k()
              + " rows. Give more rows of each class or lower k.");
    }
    double floored = neighbours.share(floor);
    Result result =
        new Result(settings.sum ? total : total / kept, entropies, priors, floored, floor);
    warn(result, neighbours);
    return result;
  }

  private static double entropy(ClassNeighbours neighbours, int label, double floor) {
    double n = neighbours.count(label);
    if (n < 2) {
      return 0;
    }
    double k = neighbours.k();
    if (n <= k) {
      return Double.POSITIVE_INFINITY;
    }
    return Scopes.scoped(
        () -> {
          Tensor e = Tensors.of(neighbours.distances(label), (long) n);
          double logs =
              e.clamp_min(new Scalar(floor)).mul_(new Scalar(2.0)).log_().mean().item_double();
          Tensor psi = Tensors.of(new double[] {k, n}, 2).digamma();
          double d = neighbours.dimension();
          return psi.diff().item_double() + neighbours.norm().logVolume(d) + d * logs;
        });
  }

  private static void warn(Result result, ClassNeighbours neighbours) {
    if (!result.dropped().isEmpty()) {
      LOG.warn(
          "TMI leaves out the classes {}: they have at most k = {} rows. Give more rows or lower k.",
          result.dropped(),
          neighbours.k());
    }
    int single = neighbours.singletons();
    if (single > 0) {
      LOG.warn(
          "TMI counts {} of {} classes as entropy 0, because they have fewer than two rows: that"
              + " drags the score. Leave these classes out.",
          single,
          neighbours.classes());
    }
    if (result.floored() > 0.5) {
      LOG.warn(
          "TMI: {} % of the neighbours are no farther than the floor {}, so that models hardly"
              + " differ. Set a smaller minDist, or relative=0.1.",
          Math.round(100 * result.floored()), result.floor());
    }
  }

  @Override
  public double score(Candidate candidate) {
    return measure(candidate.requireFeatures(this), candidate.labels(), settings).score();
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
