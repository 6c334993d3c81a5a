package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;

/**
 * The shell of a detector that reads the logits alone and needs no fitting.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class LogitDetector<S extends Record> implements Detector {
  private static final int LAYOUT = 1;

  private volatile S settings;

  protected LogitDetector(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * Scores checked logits, in a scope and without recording gradients.
   *
   * @param logits [N, C], finite
   * @return [N]
   */
  protected abstract Tensor scoreLogits(Tensor logits);

  @Override
  public final S settings() {
    return settings;
  }

  /** Does nothing: this score has no statistics. */
  @Override
  public final void fit(Outputs known) {}

  @Override
  public final boolean fitted() {
    return true;
  }

  @Override
  public final Tensor score(Output output) {
    return Scopes.noGrad(() -> scoreLogits(Rows.of(card().name(), output).logits()));
  }

  @Override
  public final State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    return new State("detector/" + card().slug(), LAYOUT, values, Map.of());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect("detector/" + card().slug(), LAYOUT);
    settings = (S) Methods.create(Detector.class, card().slug(), state.map("settings")).settings();
  }
}
