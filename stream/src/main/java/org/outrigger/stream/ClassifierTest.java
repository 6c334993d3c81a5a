package org.outrigger.stream;

import java.util.Arrays;
import java.util.Objects;
import org.apache.commons.statistics.distribution.BinomialDistribution;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.KolmogorovSmirnov.Side;

/**
 * Classifier two-sample test: if a classifier can tell the batch from the reference on rows that it
 * was not trained on, they differ. The classifier is logistic regression on standardised features,
 * stratified K-fold, so that it sees shifts of means along any direction.
 *
 * <p>The hard decision asks for more right guesses than the larger sample's share would give
 * (binomial); the soft one for lower probabilities of the reference rows (one-sided
 * Kolmogorov-Smirnov), and is the better one, above all where the sizes differ.
 *
 * <p>Lopez-Paz, Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
 */
@Card(
    slug = "c2st",
    name = "Classifier two-sample test",
    summary = "Can a classifier tell batch and reference apart? All features together.",
    paper = "Lopez-Paz, Oquab. Revisiting Classifier Two-Sample Tests. ICLR 2017",
    year = 2017,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class ClassifierTest extends ReferenceTest<ClassifierTest.Settings> {
  private static final int NEWTON_STEPS = 25;
  private static final int SPLIT = 4;

  /** What of the classifier decides. */
  public enum Form {
    /** How many guesses are right. */
    HARD,
    /** How probabilities are ordered. */
    SOFT
  }

  /**
   * @param alpha the level, in (0, 1)
   * @param form what of the classifier decides
   * @param folds K, 2 or more; or 1 for a single split, three quarters of the rows to train on and
   *     the others to judge, which keeps the level where that matters more than power: rows of
   *     different folds are not independent, so that K folds reject somewhat too often
   * @param ridge the weight of the squared weights against the summed loss, above 0
   * @param seed of the folds
   */
  public record Settings(double alpha, Form form, int folds, double ridge, long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Objects.requireNonNull(form);
      HyperParameter.atLeast("folds", folds, 1);
      HyperParameter.positive("ridge", ridge);
    }

    public static Settings defaults() {
      return new Settings(0.05, Form.SOFT, 5, 1, 0);
    }
  }

  /**
   * The hard decision.
   *
   * @param accuracy the share of right guesses
   * @param pValue the chance of as many by always guessing the larger sample
   * @param distance how much of what was left to gain the classifier gained, in [0, 1]
   */
  public record Hard(double accuracy, double pValue, double distance) {}

  /**
   * The soft decision.
   *
   * @param statistic how far reference rows have lower probabilities, in [0, 1]
   * @param pValue one-sided
   */
  public record Soft(double statistic, double pValue) {}

  public ClassifierTest() {
    this(Settings.defaults());
  }

  public ClassifierTest(Settings settings) {
    super(settings);
  }

  /**
   * The hard decision.
   *
   * @param reference probabilities of being of the batch, of reference rows, out of fold
   * @param batch the same of batch rows
   */
  public static Hard hard(double[] reference, double[] batch) {
    long right =
        Arrays.stream(reference).filter(p -> !(p > 0.5)).count()
            + Arrays.stream(batch).filter(p -> p > 0.5).count();
    int rows = reference.length + batch.length;
    double base = Math.max(reference.length, batch.length) / (double) rows;
    double accuracy = right / (double) rows;
    return new Hard(
        accuracy,
        BinomialDistribution.of(rows, base).survivalProbability((int) right - 1),
        Math.max(0, 1 - (1 - accuracy) / (1 - base)));
  }

  /** The soft decision; arguments as for {@link #hard}. */
  public static Soft soft(double[] reference, double[] batch) {
    double statistic =
        KolmogorovSmirnov.distance(
            KolmogorovSmirnov.sorted(reference, "The reference's probabilities"),
            KolmogorovSmirnov.sorted(batch, "The batch's probabilities"),
            Side.FIRST_LOWER);
    return new Soft(
        statistic,
        KolmogorovSmirnov.pValue(statistic, reference.length, batch.length, Side.FIRST_LOWER));
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    Settings s = settings();
    int n = (int) reference.size(0);
    int m = (int) batch.size(0);
    int parts = s.folds == 1 ? SPLIT : s.folds;
    if (n < parts || m < parts) {
      throw new OutriggerException(
          (s.folds == 1 ? "A split needs " : s.folds + " folds need ")
              + parts
              + " rows or more of each: there are "
              + n
              + " and "
              + m
              + ".");
    }
    double[] p = outOfFold(reference, batch, s, parts);
    double[] first = judged(p, 0, n);
    double[] second = judged(p, n, n + m);
    if (s.form == Form.HARD) {
      Hard hard = hard(first, second);
      return new DriftTestResult(
          "c2st", hard.pValue < s.alpha, hard.distance, hard.pValue, s.alpha);
    }
    Soft soft = soft(first, second);
    return new DriftTestResult("c2st", soft.pValue < s.alpha, soft.statistic, soft.pValue, s.alpha);
  }

  private static double[] judged(double[] p, int from, int to) {
    return Arrays.stream(p, from, to).filter(value -> !Double.isNaN(value)).toArray();
  }

  /**
   * The probability of being of the batch for every row, by a classifier that did not see it; NaN
   * for rows that only trained it.
   */
  private static double[] outOfFold(Tensor reference, Tensor batch, Settings s, int parts) {
    Tensor pooled = torch.cat(new TensorVector(reference, batch), 0);
    Tensor labels =
        torch.cat(
            new TensorVector(
                torch.zeros(reference.size(0)).to(torch.ScalarType.Double),
                torch.ones(batch.size(0)).to(torch.ScalarType.Double)),
            0);
    Tensor fold;
    try (Rng rng = Rng.named(s.seed, "c2st")) {
      fold =
          torch
              .cat(
                  new TensorVector(
                      rng.permutation(reference.size(0)), rng.permutation(batch.size(0))),
                  0)
              .remainder(new Scalar(parts));
    }
    Tensor p = torch.full_like(labels, new Scalar(Double.NaN));
    for (int k = 0; k < s.folds; k++) {
      try (PointerScope scope = new PointerScope()) {
        Tensor held = fold.eq(new Scalar(k)).nonzero().squeeze(1);
        Tensor rest = fold.ne(new Scalar(k)).nonzero().squeeze(1);
        Tensor train = pooled.index_select(0, rest);
        Tensor w =
            logistic(
                withBias(Lsdd.standardised(train, train)), labels.index_select(0, rest), s.ridge);
        Tensor test = withBias(Lsdd.standardised(train, pooled.index_select(0, held)));
        p.index_copy_(0, held, torch.sigmoid(test.mv(w)));
      }
    }
    return Tensors.doubles(p);
  }

  private static Tensor withBias(Tensor rows) {
    return torch.cat(new TensorVector(rows, torch.ones_like(rows.narrow(1, 0, 1))), 1);
  }

  /**
   * Weights of a ridge logistic regression by Newton's steps; the last feature is the bias and is
   * not shrunk.
   *
   * @param x [N, d]
   * @param y [N], 0 or 1
   * @return [d]
   */
  static Tensor logistic(Tensor x, Tensor y, double ridge) {
    return Scopes.tensor(
        () -> {
          long d = x.size(1);
          Tensor shrink =
              torch.full(
                  new long[] {d}, new Scalar(ridge), new TensorOptions(torch.ScalarType.Double));
          shrink.narrow(0, d - 1, 1).fill_(new Scalar(1e-6));
          Tensor w = torch.zeros_like(shrink);
          for (int i = 0; i < NEWTON_STEPS; i++) {
            Tensor p = torch.sigmoid(x.mv(w));
            Tensor gradient = x.t().mv(p.sub(y)).add(shrink.mul(w));
            Tensor curvature = p.mul(p.neg().add(new Scalar(1.0))).unsqueeze(1);
            Tensor hessian = x.t().mm(x.mul(curvature)).add(torch.diag(shrink));
            Tensor step = torch.linalg_solve(hessian, gradient);
            w = w.sub(step);
            if (step.abs().max().item_double() < 1e-10) {
              break;
            }
          }
          return w;
        });
  }
}
