package org.outrigger.stream;

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

/**
 * The shell of tests that keep their reference rows: it checks what comes in, saves and restores. A
 * method adds {@link #compare}.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class ReferenceTest<S extends Record> implements DriftTest {
  private static final int LAYOUT = 1;

  private volatile S settings;
  private volatile @Nullable Tensor reference;

  protected ReferenceTest(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * Compares checked rows, in a scope and without recording gradients.
   *
   * @param reference float64 [n, d]
   * @param batch float64 [m, d]
   */
  protected abstract DriftTestResult compare(Tensor reference, Tensor batch);

  /** Demands more of a reference than two finite rows; nothing unless overridden. */
  protected void check(Tensor reference) {}

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final boolean fitted() {
    return reference != null;
  }

  @Override
  public final void fit(Tensor rows) {
    usable("The reference", rows);
    Scopes.run(
        () -> {
          // A copy: the caller's tensor may change or be a view of a large one.
          Tensor copy = rows.detach().cpu().to(ScalarType.Double).clone().contiguous();
          check(copy);
          replace(copy, settings);
        });
  }

  @Override
  public final DriftTestResult test(Tensor batch) {
    Tensor known = required();
    usable("The batch", batch);
    if (batch.size(1) != known.size(1)) {
      throw new OutriggerException(
          "The batch has "
              + batch.size(1)
              + " features, but the reference of "
              + card().name()
              + " has "
              + known.size(1)
              + ": give both the same columns.");
    }
    return Scopes.scoped(
        () -> Scopes.grad(false, () -> compare(known, batch.detach().cpu().to(ScalarType.Double))));
  }

  /** Demands two or more rows of finite values. */
  static void usable(String name, Tensor rows) {
    Shapes.check().tensor(name, rows, "N", "D");
    if (rows.size(0) < 2 || rows.size(1) < 1) {
      throw new OutriggerException(
          name
              + " has "
              + rows.size(0)
              + " rows of "
              + rows.size(1)
              + " features: two rows and one feature are the least that can be compared.");
    }
    Shapes.finite(name, rows);
  }

  private Tensor required() {
    Tensor now = reference;
    if (now == null) {
      throw new OutriggerException(
          card().name()
              + " has no reference: call fit with reference rows first, or restore a saved one.");
    }
    return now;
  }

  /**
   * The result of features tested one by one by p-values.
   *
   * @param statistics of the features
   * @param pValues of the features
   */
  protected final DriftTestResult byFeature(
      double[] statistics, double[] pValues, double alpha, Correction correction) {
    double threshold = correction.threshold(pValues, alpha);
    DriftTestResult.Feature[] features = new DriftTestResult.Feature[pValues.length];
    double largest = Double.NEGATIVE_INFINITY;
    double smallest = 1;
    boolean drift = false;
    for (int f = 0; f < features.length; f++) {
      boolean beyond = pValues[f] < threshold;
      features[f] = new DriftTestResult.Feature(statistics[f], pValues[f], beyond);
      largest = Math.max(largest, statistics[f]);
      smallest = Math.min(smallest, pValues[f]);
      drift |= beyond;
    }
    return new DriftTestResult(card().slug(), drift, largest, smallest, threshold, features);
  }

  @Override
  public final State state() {
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    return new State(type(), LAYOUT, Map.of("settings", plain), Map.of("reference", required()));
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    Tensor rows = state.tensor("reference");
    usable("The saved reference", rows);
    try (DriftTest trial = Methods.create(DriftTest.class, card().slug(), state.map("settings"))) {
      trial.fit(rows);
      S restored = (S) trial.settings();
      Scopes.run(() -> replace(rows.to(ScalarType.Double).clone().contiguous(), restored));
    }
  }

  @Override
  public final void close() {
    Tensor old = reference;
    reference = null;
    Scopes.release(old);
  }

  private void replace(Tensor next, S restored) {
    Tensor owned = Scopes.own(next);
    Tensor old = reference;
    settings = restored;
    reference = owned;
    Scopes.release(old);
  }

  private String type() {
    return "drift-test/" + card().slug();
  }
}
