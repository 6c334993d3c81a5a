package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.HeterogeneousData.SourceCodes;
import org.outrigger.core.OutriggerException;

/**
 * Why does a source help? Fits {@link Ktf} with several sources on one target and shows how
 * accurate it is, how transferable each source is (MMD) and how discriminable (cross-entropy).
 *
 * @param rows one a source
 */
public record SourceStudy(List<Row> rows) {
  /**
   * One source.
   *
   * @param name of the source
   * @param accuracy on the unlabelled target rows; NaN if their labels are not known
   * @param fit the losses at the end
   */
  public record Row(String name, double accuracy, Ktf.Fit fit) {}

  public SourceStudy {
    rows = List.copyOf(rows);
  }

  /**
   * Fits one after the other with the same settings and seed.
   *
   * @param target its own source is not used
   * @param truth labels of the unlabelled rows, int64 [U], for the measurement alone
   */
  public static SourceStudy of(
      List<SourceCodes> sources, HeterogeneousData target, Tensor truth, Ktf.Settings settings) {
    List<Row> rows = new ArrayList<>();
    for (SourceCodes source : sources) {
      try (PointerScope scope = new PointerScope();
          Ktf ktf = new Ktf(settings)) {
        Ktf.Fit fit = ktf.fit(target.with(source));
        rows.add(new Row(source.name(), ktf.accuracy(target.unlabelled(), truth), fit));
      }
    }
    return new SourceStudy(rows);
  }

  /** The rank correlation of accuracy and discriminability: -1 where a smaller loss is better. */
  public double accuracyAndSourceLoss() {
    return spearman(values(Row::accuracy), values(row -> row.fit.lossSource()));
  }

  /** The rank correlation of accuracy and transferability: -1 where a smaller MMD is better. */
  public double accuracyAndMmd() {
    return spearman(values(Row::accuracy), values(row -> row.fit.mmd()));
  }

  private double[] values(ToDoubleFunction<Row> value) {
    return rows.stream().mapToDouble(value).toArray();
  }

  /**
   * Spearman's rank correlation; ties share their mean rank.
   *
   * @throws OutriggerException if there are fewer than two values, or one side is constant
   */
  public static double spearman(double[] a, double[] b) {
    if (a.length != b.length || a.length < 2) {
      throw new OutriggerException(
          "A rank correlation needs two or more pairs, not " + a.length + " and " + b.length + ".");
    }
    double[] x = centred(ranks(a));
    double[] y = centred(ranks(b));
    double norm = Math.sqrt(dot(x, x) * dot(y, y));
    if (norm == 0) {
      throw new OutriggerException("A constant has no rank correlation.");
    }
    return dot(x, y) / norm;
  }

  private static double[] ranks(double[] values) {
    return Arrays.stream(values)
        .map(
            value ->
                Arrays.stream(values).filter(other -> other < value).count()
                    + (Arrays.stream(values).filter(other -> other == value).count() - 1) / 2.0)
        .toArray();
  }

  private static double[] centred(double[] ranks) {
    double mean = Arrays.stream(ranks).average().orElse(0);
    return Arrays.stream(ranks).map(rank -> rank - mean).toArray();
  }

  private static double dot(double[] x, double[] y) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i] * y[i]).sum();
  }
}
