package org.outrigger.select;

import java.util.Arrays;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The distance of each row to its k-th nearest neighbour of the same class, the row itself not
 * counted. Memory: the rows of the largest class, and one block of distances.
 */
public final class ClassNeighbours {
  private static final long QUERIES = 256;
  private static final long BANK = 4096;

  /** The distance between rows. */
  public enum Norm {
    /** The largest difference of any feature. */
    MAX {
      @Override
      double logVolume(double dimension) {
        return 0;
      }
    },
    EUCLIDEAN {
      @Override
      double logVolume(double dimension) {
        return Scopes.scoped(
            () ->
                dimension / 2 * Math.log(Math.PI)
                    - Tensors.of(new double[] {dimension / 2 + 1}, 1).lgamma().item_double());
      }
    };

    /** The logarithm of V_D in the entropy. */
    abstract double logVolume(double dimension);
  }

  private final double[] distances; // class after class
  private final long[] counts;
  private final long dimension;
  private final int k;
  private final Norm norm;

  private ClassNeighbours(double[] distances, long[] counts, long dimension, int k, Norm norm) {
    this.distances = distances;
    this.counts = counts;
    this.dimension = dimension;
    this.k = k;
    this.norm = norm;
  }

  /**
   * Finds them.
   *
   * @param features [N, D]
   * @param labels int64 [N], 0 or more
   * @param k 1 or more; rows of a class with no more than k rows get an infinite distance
   * @param standardise whether to divide by the standard deviation of all values about their
   *     features' means
   */
  static ClassNeighbours of(Tensor features, Tensor labels, int k, Norm norm, boolean standardise) {
    return Scopes.scoped(
        () -> {
          Rows all = Rows.of(features);
          Tensor mean = all.mean();
          double scale = standardise ? scale(all.minus(mean)) : 1;
          ClassOrder order = ClassOrder.of(labels);
          TensorVector parts = new TensorVector();
          for (int c = 0; c < order.classes(); c++) {
            int label = c;
            if (order.counts()[c] > 0) {
              parts.push_back(
                  Scopes.tensor(
                      () -> {
                        Tensor own = features.index_select(0, order.rows(label));
                        return own.size(0) <= k
                            ? torch.full_like(
                                Rows.zeros(own.size(0)), new Scalar(Double.POSITIVE_INFINITY))
                            : kth(own.to(ScalarType.Double).sub_(mean), k, norm);
                      }));
            }
          }
          double[] distances = Tensors.doubles(torch.cat(parts, 0).div_(new Scalar(scale)));
          return new ClassNeighbours(distances, order.counts(), features.size(1), k, norm);
        });
  }

  private static double scale(Rows centred) {
    Tensor squares = Rows.zeros(1);
    centred.forEach((block, from, length) -> squares.add_(block.square().sum()));
    double scale =
        Math.sqrt(squares.item_double() / ((double) centred.size() * centred.dimension()));
    if (!(scale > 0)) {
      throw new OutriggerException(
          "TMI cannot standardise features that do not vary: check where they are taken.");
    }
    return scale;
  }

  /** The distance of each row to its k-th neighbour, [n]; the row itself is the nearest of k+1. */
  private static Tensor kth(Tensor rows, int k, Norm norm) {
    if (norm == Norm.EUCLIDEAN) {
      Tensor half = NearestNeighbours.halfLengths(rows);
      return NearestNeighbours.kthDistance(rows, rows, half, k + 1).sqrt_();
    }
    TensorVector parts = new TensorVector();
    long n = rows.size(0);
    for (long from = 0; from < n; from += QUERIES) {
      Tensor queries = rows.narrow(0, from, Math.min(QUERIES, n - from));
      parts.push_back(Scopes.tensor(() -> nearest(queries, rows, k + 1)));
    }
    return torch.cat(parts, 0);
  }

  /** The k-th smallest max-norm distance of each query to the bank, over blocks of it. */
  private static Tensor nearest(Tensor queries, Tensor bank, int k) {
    Tensor best = torch.empty(new long[] {queries.size(0), 0}, queries.options(), null);
    for (long from = 0; from < bank.size(0); from += BANK) {
      Tensor part = bank.narrow(0, from, Math.min(BANK, bank.size(0) - from));
      Tensor before = best;
      best =
          Scopes.tensor(
              () -> {
                Tensor here =
                    torch.cdist(queries, part, Double.POSITIVE_INFINITY, new LongOptional());
                Tensor both = torch.cat(new TensorVector(before, here), 1);
                return both.topk(Math.min(k, both.size(1)), 1, false, true).get0();
              });
    }
    return best.select(1, k - 1);
  }

  /** The number of rows N. */
  public int rows() {
    return distances.length;
  }

  /** The largest label plus one. */
  public int classes() {
    return counts.length;
  }

  /** The number of features D. */
  public long dimension() {
    return dimension;
  }

  /** Which neighbour. */
  public int k() {
    return k;
  }

  public Norm norm() {
    return norm;
  }

  /** The number of rows with a label. */
  public int count(int label) {
    return (int) counts[label];
  }

  /** How many classes have fewer than two rows. */
  int singletons() {
    return (int) Arrays.stream(counts).filter(n -> n < 2).count();
  }

  /** All distances, class after class; infinite where there is no k-th neighbour. */
  public double[] distances() {
    return distances.clone();
  }

  /** The distances of the rows of a class. */
  public double[] distances(int label) {
    int from = (int) Arrays.stream(counts, 0, label).sum();
    return Arrays.copyOfRange(distances, from, from + (int) counts[label]);
  }

  /** The share of finite distances that are at most {@code floor}. */
  double share(double floor) {
    double finite = Arrays.stream(distances).filter(Double::isFinite).count();
    return finite == 0 ? 0 : Arrays.stream(distances).filter(e -> e <= floor).count() / finite;
  }
}
