package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The shell of a detector that is fitted: it checks what comes in, keeps what was learned, saves
 * and restores it. A method adds {@link #learn}, {@link #shapes} and {@link #score(Fitted, Rows)}.
 *
 * <p>Any number of threads may score at once; fitting, restoring and closing need exclusive access.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class FittedDetector<S extends Record> implements Detector {
  private static final int LAYOUT = 1;

  private volatile S settings;
  private volatile @Nullable Fitted fitted;

  protected FittedDetector(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /** Learns from known data, in a scope and without recording gradients. */
  protected abstract Fitted learn(Outputs known);

  /**
   * Checks the tensors of a restored state; {@code C} and {@code D} are bound to the sizes it was
   * fitted for.
   */
  protected abstract void shapes(Shapes shapes, Fitted fitted);

  /**
   * Scores checked rows, in a scope and without recording gradients.
   *
   * @return [N]
   */
  protected abstract Tensor score(Fitted fitted, Rows rows);

  /** Its name, for messages. */
  protected final String who() {
    return card().name();
  }

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final void fit(Outputs known) {
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  replace(learn(known), settings);
                  return true;
                }));
  }

  @Override
  public final boolean fitted() {
    return fitted != null;
  }

  @Override
  public final Tensor score(Output output) {
    Fitted now = required();
    return Scopes.noGrad(
        () -> {
          if (now.dimension() > 0) {
            Shapes.check()
                .size("D", now.dimension(), "the data that " + who() + " was fitted on")
                .tensor("The features", output.features(), "N", "D");
          }
          Tensor scores = score(now, Rows.of(who(), output));
          if (!Double.isFinite(scores.sum().item_double())) {
            Shapes.finite("The scores of " + who(), scores);
          }
          return scores;
        });
  }

  /** What was learned; null before fitting. */
  protected final @Nullable Fitted learned() {
    return fitted;
  }

  /** Takes over what was learned elsewhere than from data; {@code learned} runs in a scope. */
  protected final void take(Supplier<Fitted> learned) {
    Scopes.run(() -> replace(learned.get(), settings));
  }

  /** What was learned, or an error that says how to. */
  protected final Fitted required() {
    Fitted now = fitted;
    if (now == null) {
      throw new OutriggerException(
          who() + " has not been fitted: call fit with known data first, or restore a saved one.");
    }
    return now;
  }

  @Override
  public final State state() {
    Fitted now = required();
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    values.put("settings", plain);
    values.put("classes", now.classes());
    values.put("dimension", now.dimension());
    values.put("numbers", new LinkedHashMap<>(now.numbers()));
    return new State(type(), LAYOUT, values, now.tensors());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    S restored =
        (S) Methods.create(Detector.class, card().slug(), state.map("settings")).settings();
    Fitted next = new Fitted((long) state.number("classes"), (long) state.number("dimension"));
    state.tensors().forEach(next::with);
    state
        .map("numbers")
        .forEach(
            (name, value) -> {
              if (value instanceof Number number) {
                next.with(name, number.doubleValue());
              }
            });
    Scopes.run(
        () -> {
          shapes(
              Shapes.check()
                  .size("C", next.classes(), "the saved " + who())
                  .size("D", next.dimension(), "the saved " + who()),
              next);
          replace(next, restored);
        });
  }

  @Override
  public void close() {
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
    return "detector/" + card().slug();
  }
}
