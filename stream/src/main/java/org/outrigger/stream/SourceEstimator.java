package org.outrigger.stream;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The shell of label-shift estimators, which learn one matrix [C, C] or [1, C] of numbers.
 *
 * @param <S> the record of hyper-parameters
 */
abstract class SourceEstimator<S extends Record> implements LabelShiftEstimator {
  private static final int LAYOUT = 1;

  private volatile S settings;
  private volatile double @Nullable [][] learned;

  SourceEstimator(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * Learns from checked rows, in a scope.
   *
   * @param probabilities float64 [N, C]
   * @param labels int64 [N]
   */
  abstract double[][] learn(Tensor probabilities, Tensor labels);

  /** Estimates for checked rows, in a scope. */
  abstract LabelShift estimate(double[][] learned, Tensor probabilities);

  /** How many rows the learned matrix has for so many classes. */
  abstract int rows(int classes);

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final boolean fitted() {
    return learned != null;
  }

  @Override
  public final void fit(Tensor probabilities, Tensor labels) {
    Shapes.check()
        .tensor("The probabilities", probabilities, "N", "C")
        .tensor("labels", labels, "N");
    ReferenceTest.usable("The probabilities", probabilities);
    Bbsd.probabilities("The source", probabilities);
    Shapes.labels("The labels", labels, probabilities.size(1), false);
    learned =
        Scopes.scoped(() -> learn(probabilities.detach().cpu().to(ScalarType.Double), labels));
  }

  @Override
  public final LabelShift estimate(Tensor probabilities) {
    double[][] now = required();
    Shapes.check()
        .size("C", now[0].length, "the data that " + card().name() + " was fitted on")
        .tensor("The probabilities", probabilities, "M", "C");
    Shapes.notEmpty("The probabilities", probabilities);
    Shapes.finite("The probabilities", probabilities);
    Bbsd.probabilities("The target", probabilities);
    return Scopes.scoped(() -> estimate(now, probabilities.detach().cpu().to(ScalarType.Double)));
  }

  /** The share of every class, [C]. */
  static Tensor shares(Tensor labels, long classes) {
    return Scopes.tensor(
        () ->
            torch
                .one_hot(labels, classes)
                .to(ScalarType.Double)
                .sum(0)
                .div(new Scalar((double) labels.size(0))));
  }

  private double[][] required() {
    double[][] now = learned;
    if (now == null) {
      throw new OutriggerException(
          card().name() + " has not been fitted: call fit with held-out source data first.");
    }
    return now;
  }

  @Override
  public final State state() {
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    List<List<Double>> matrix =
        Arrays.stream(required()).map(row -> Arrays.stream(row).boxed().toList()).toList();
    return new State(type(), LAYOUT, Map.of("settings", plain, "learned", matrix), Map.of());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    S restored =
        (S)
            Methods.create(LabelShiftEstimator.class, card().slug(), state.map("settings"))
                .settings();
    double[][] matrix = matrix(state.values().get("learned"));
    settings = restored;
    learned = matrix;
  }

  private double[][] matrix(@Nullable Object saved) {
    if (saved instanceof List<?> list && !list.isEmpty()) {
      double[][] rows = new double[list.size()][];
      boolean ok = true;
      for (int i = 0; i < rows.length; i++) {
        ok &= list.get(i) instanceof List<?> row && row.stream().allMatch(SourceEstimator::share);
        rows[i] =
            ok
                ? ((List<?>) list.get(i))
                    .stream().mapToDouble(v -> ((Number) v).doubleValue()).toArray()
                : new double[0];
      }
      int classes = rows[0].length;
      if (ok
          && classes > 0
          && rows.length == rows(classes)
          && Arrays.stream(rows).allMatch(row -> row.length == classes)) {
        return rows;
      }
    }
    throw new OutriggerException(
        "The saved " + type() + " holds no matrix of shares: the file is damaged.");
  }

  private static boolean share(@Nullable Object value) {
    return value instanceof Number n && n.doubleValue() >= 0 && n.doubleValue() <= 1;
  }

  /** A matrix as a tensor. */
  static Tensor tensor(double[][] rows) {
    return Tensors.of(rows);
  }

  private String type() {
    return "label-shift/" + card().slug();
  }
}
