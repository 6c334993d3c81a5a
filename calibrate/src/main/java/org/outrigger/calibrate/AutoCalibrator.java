package org.outrigger.calibrate;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Chooses a calibrator by stratified cross-validation of the negative log-likelihood on the
 * held-out data, then fits it on all of that. Among those within one standard error of the best it
 * takes the one with the fewest parameters; see {@link CalibratorChoice}. Breiman et al.,
 * Classification and Regression Trees, 1984, for the rule of one standard error.
 */
@Card(
    slug = "auto",
    name = "Chosen calibrator",
    summary = "Chooses among calibrators by cross-validation; the simplest of those that do best.",
    paper = "Breiman, Friedman, Olshen, Stone, Classification and Regression Trees, Wadsworth 1984",
    year = 1984,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "that of the chosen one")
public final class AutoCalibrator implements Calibrator {
  private static final String TYPE = "calibrator/auto";

  /**
   * @param candidates calibrators to choose from, by slug; at least one
   * @param folds parts of the cross-validation, at least 2
   * @param seed of the split into them
   */
  public record Settings(List<String> candidates, int folds, long seed) {
    public Settings {
      candidates = List.copyOf(candidates);
      HyperParameter.require(
          !candidates.isEmpty(), "candidates", candidates, "one calibrator or more");
      HyperParameter.require(
          candidates.stream().noneMatch(name -> Methods.slug(name).equals("auto")),
          "candidates",
          candidates,
          "a list without itself");
      HyperParameter.atLeast("folds", folds, 2);
    }

    public static Settings defaults() {
      return new Settings(
          List.of(
              "temperature",
              "ensemble-temperature",
              "vector-scaling",
              "beta-calibration",
              "dirichlet",
              "isotonic"),
          5,
          0);
    }
  }

  private volatile Settings settings;
  private volatile @Nullable Calibrator chosen;
  private volatile @Nullable CalibratorChoice choice;

  public AutoCalibrator() {
    this(Settings.defaults());
  }

  public AutoCalibrator(Settings settings) {
    this.settings = settings;
  }

  @Override
  public void fit(Tensor logits, Tensor labels) {
    List<Calibrator> candidates = new ArrayList<>();
    try {
      settings.candidates.forEach(name -> candidates.add(Methods.parseOne(Calibrator.class, name)));
      CalibratorChoice made =
          CalibratorChoice.of(candidates, logits, labels, settings.folds, settings.seed);
      Calibrator best = made.chosen();
      best.fit(logits, labels);
      candidates.remove(best);
      replace(best, settings);
      choice = made;
    } finally {
      candidates.forEach(Calibrator::close);
    }
  }

  /** How the choice was made, with a table of all candidates; null if it was restored. */
  public @Nullable CalibratorChoice choice() {
    return choice;
  }

  /** The slug of the chosen calibrator. */
  public String chosenSlug() {
    return required().card().slug();
  }

  @Override
  public boolean fitted() {
    return chosen != null;
  }

  @Override
  public Tensor probabilities(Tensor logits) {
    return required().probabilities(logits);
  }

  @Override
  public double[] confidences(float[] logits, int classes, int[] predicted) {
    return required().confidences(logits, classes, predicted);
  }

  @Override
  public boolean keepsRanking() {
    Calibrator now = chosen;
    return now != null && now.keepsRanking();
  }

  @Override
  public long parameterCount() {
    return required().parameterCount();
  }

  private Calibrator required() {
    Calibrator now = chosen;
    if (now == null) {
      throw new OutriggerException(
          "No calibrator has been chosen yet: call fit with held-out logits and labels first, or"
              + " restore a saved one.");
    }
    return now;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    State inner = required().state();
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("chosen", chosenSlug());
    values.put("chosenType", inner.type());
    values.put("chosenVersion", inner.version());
    values.put("chosenValues", inner.values());
    return new State(TYPE, 1, values, inner.tensors());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings restored =
        (Settings)
            Methods.create(Calibrator.class, card().slug(), state.map("settings")).settings();
    Calibrator inner = Methods.create(Calibrator.class, state.text("chosen"), Map.of());
    try {
      inner.restore(
          new State(
              state.text("chosenType"),
              (int) state.number("chosenVersion"),
              state.map("chosenValues"),
              state.tensors()));
    } catch (OutriggerException e) {
      inner.close();
      throw e;
    }
    replace(inner, restored);
    choice = null;
  }

  @Override
  public void close() {
    Calibrator old = chosen;
    chosen = null;
    if (old != null) {
      old.close();
    }
  }

  private void replace(Calibrator next, Settings restored) {
    Calibrator old = chosen;
    settings = Objects.requireNonNull(restored);
    chosen = next;
    if (old != null) {
      old.close();
    }
  }
}
