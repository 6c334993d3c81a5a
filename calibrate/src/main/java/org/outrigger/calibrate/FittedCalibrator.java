package org.outrigger.calibrate;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shell of a calibrator: it checks what comes in, keeps what was learned, saves and restores
 * it. A method adds {@link #learn}, {@link #shapes} and {@link #calibrated}, all in float64.
 *
 * <p>Any number of threads may ask for probabilities at once; fitting, restoring and closing need
 * exclusive access.
 *
 * @param <S> the record of hyper-parameters
 */
abstract class FittedCalibrator<S extends Record> implements Calibrator {
  private static final Logger LOG = LoggerFactory.getLogger(FittedCalibrator.class);
  private static final int LAYOUT = 1;

  private volatile S settings;
  private volatile @Nullable Fitted fitted;

  FittedCalibrator(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * Learns from checked rows, in a scope and without recording gradients.
   *
   * @param logits float64 [N, C], finite
   * @param labels int64 [N]
   */
  abstract Fitted learn(Tensor logits, Tensor labels);

  /** Checks the tensors of a restored state; {@code C} is bound to the classes. */
  abstract void shapes(Shapes shapes, Fitted fitted);

  /**
   * Calibrated probabilities of checked rows, in a scope and without recording gradients.
   *
   * @param logits float64 [N, C], finite
   * @return float64 [N, C]; rows sum to one
   */
  abstract Tensor calibrated(Fitted fitted, Tensor logits);

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final void fit(Tensor logits, Tensor labels) {
    Shapes.check().tensor("logits", logits, "N", "C").tensor("labels", labels, "N");
    Shapes.notEmpty("logits", logits);
    Shapes.finite("logits", logits);
    Shapes.labels("labels", labels, logits.size(1), false);
    if (logits.size(1) < 2) {
      throw new OutriggerException(
          "The logits have one class: " + card().name() + " needs two or more.");
    }
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  replace(learn(logits.detach().to(ScalarType.Double), labels), settings);
                  return true;
                }));
    long parameters = parameterCount();
    if (parametric() && logits.size(0) < parameters) {
      LOG.warn(
          "{} has {} parameters, but was fitted on {} rows: give more held-out data, or use a"
              + " method with fewer parameters, such as temperature.",
          card().name(),
          parameters,
          logits.size(0));
    }
  }

  /** Whether the number of its parameters does not depend on the number of rows. */
  boolean parametric() {
    return true;
  }

  @Override
  public boolean keepsRanking() {
    return false;
  }

  /** How many parameters a fit would choose, where that is known before and may be many; or 0. */
  long parametersFor(long classes) {
    return 0;
  }

  @Override
  public final boolean fitted() {
    return fitted != null;
  }

  @Override
  public final long parameterCount() {
    return required().tensors().values().stream().mapToLong(Tensor::numel).sum();
  }

  @Override
  public final Tensor probabilities(Tensor logits) {
    Fitted now = required();
    Shapes.check()
        .size("C", now.classes(), "the data that " + card().name() + " was fitted on")
        .tensor("The logits", logits, "N", "C");
    Shapes.notEmpty("The logits", logits);
    Shapes.finite("The logits", logits);
    return Scopes.noGrad(() -> calibrated(now, logits.to(ScalarType.Double)));
  }

  /** What was learned, or an error that says how to. */
  final Fitted required() {
    Fitted now = fitted;
    if (now == null) {
      throw new OutriggerException(
          card().name()
              + " is not fitted yet: call fit with held-out logits and labels first, or restore a"
              + " saved one.");
    }
    return now;
  }

  @Override
  public final State state() {
    Fitted now = required();
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", plain);
    values.put("classes", now.classes());
    values.put("numbers", new LinkedHashMap<>(now.numbers()));
    return new State(type(), LAYOUT, values, now.tensors());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    S restored =
        (S) Methods.create(Calibrator.class, card().slug(), state.map("settings")).settings();
    Map<String, Double> numbers = new LinkedHashMap<>();
    state
        .map("numbers")
        .forEach(
            (name, value) -> {
              if (value instanceof Number number) {
                numbers.put(name, number.doubleValue());
              }
            });
    long classes = (long) state.number("classes");
    if (classes < 2) {
      throw new OutriggerException(
          "The saved " + type() + " has " + classes + " classes: the file is damaged.");
    }
    Fitted next = new Fitted(classes, state.tensors(), numbers);
    Scopes.run(
        () -> {
          shapes(Shapes.check().size("C", classes, "the saved " + type()), next);
          next.tensors().forEach((name, tensor) -> check(name, tensor));
          replace(next, restored);
        });
  }

  private void check(String name, Tensor tensor) {
    String where = "The tensor '" + name + "' of the saved " + type();
    if (tensor.scalar_type().intern() != ScalarType.Double) {
      throw new OutriggerException(where + " is not float64: the file is damaged.");
    }
    Shapes.finite(where, tensor);
  }

  @Override
  public final void close() {
    Fitted old = fitted;
    fitted = null;
    if (old != null) {
      old.release();
    }
  }

  private void replace(Fitted next, S restored) {
    Fitted owned = next.owned();
    Fitted old = fitted;
    settings = restored;
    fitted = owned;
    if (old != null) {
      old.release();
    }
  }

  private String type() {
    return "calibrator/" + card().slug();
  }
}
