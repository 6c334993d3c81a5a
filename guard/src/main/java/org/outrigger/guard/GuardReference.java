package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Tensors;

/**
 * What known traffic looks like to a guard: a uniform sample of the rows that were held out when it
 * was fitted, which none of its methods has learned from, with what the guard said about them. It
 * is fitted and saved with the guard; a {@link GuardMonitor} compares later traffic with it.
 *
 * <p>Of each row it keeps the values that are watched, one column a name in {@link #features}:
 * inputs of up to 64 values as they are; of larger ones, such as images, mean, standard deviation,
 * minimum and maximum of the input and up to 64 of the model's features (those that vary most), or
 * its logits if it shows no features.
 *
 * <p>Where a guard adapts, predictions and probabilities are those of the model before it adapts.
 * Immutable; holds no native memory.
 */
public final class GuardReference {
  private static final String TYPE = "guard-reference";

  private final Watched watched;
  private final List<String> names;
  private final float[] values;
  private final double[] scores;
  private final int[] predicted;
  private final double[] confidence;
  private final int @Nullable [] labels;

  GuardReference(
      Watched watched,
      List<String> names,
      float[] values,
      double[] scores,
      int[] predicted,
      double[] confidence,
      int @Nullable [] labels) {
    this.watched = watched;
    this.names = List.copyOf(names);
    this.values = values;
    this.scores = scores;
    this.predicted = predicted;
    this.confidence = confidence;
    this.labels = labels;
  }

  /** How many rows it holds. */
  public int size() {
    return scores.length;
  }

  /** The names of the watched values, in order. */
  public List<String> features() {
    return names;
  }

  /** Whether the watched values are the inputs as they are, so that no forward pass is needed. */
  public boolean watchesInputs() {
    return watched.raw();
  }

  /** The watched values, [size * features] in row-major order. */
  public float[] values() {
    return values.clone();
  }

  /** The score of each row, on the scale of the threshold. */
  public double[] scores() {
    return scores.clone();
  }

  /** The predicted class of each row. */
  public int[] predicted() {
    return predicted.clone();
  }

  /** The calibrated probability of each row's predicted class. */
  public double[] confidence() {
    return confidence.clone();
  }

  /** The true class of each row; null if the validation data had no labels. */
  public int @Nullable [] labels() {
    return labels == null ? null : labels.clone();
  }

  /** How many of the rows were predicted wrongly; -1 without labels. */
  public int wrong() {
    if (labels == null) {
      return -1;
    }
    int wrong = 0;
    for (int i = 0; i < labels.length; i++) {
      wrong += predicted[i] == labels[i] ? 0 : 1;
    }
    return wrong;
  }

  /** The share of rows that were predicted wrongly; NaN without labels. */
  public double errorRate() {
    return labels == null ? Double.NaN : wrong() / (double) size();
  }

  /** What is watched. */
  Watched watched() {
    return watched;
  }

  /** The watched values as float64 [size, features], the caller's or the enclosing scope's. */
  Tensor tensor() {
    try (Tensor floats = Tensors.of(values, size(), names.size())) {
      return floats.to(ScalarType.Double);
    }
  }

  /** Its saved form; the tensors belong to the enclosing scope. */
  State state() {
    Map<String, Object> plain = new LinkedHashMap<>();
    plain.put("raw", watched.raw());
    plain.put("logits", watched.logits());
    plain.put("names", names);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("kept", Tensors.of(watched.kept(), watched.kept().length));
    tensors.put("values", Tensors.of(values, size(), names.size()));
    tensors.put("scores", Tensors.of(scores, size()));
    tensors.put("predicted", Tensors.labels(predicted));
    tensors.put("confidence", Tensors.of(confidence, size()));
    if (labels != null) {
      tensors.put("labels", Tensors.labels(labels));
    }
    return new State(TYPE, 1, plain, tensors);
  }

  /**
   * Reads a saved one.
   *
   * @throws OutriggerException if it is damaged
   */
  static GuardReference of(State state) {
    state.expect(TYPE, 1);
    List<String> names = new ArrayList<>();
    if (state.values().get("names") instanceof List<?> list) {
      list.forEach(name -> names.add(String.valueOf(name)));
    }
    Tensor values = state.tensor("values");
    long rows = values.dim() == 2 ? values.size(0) : 0;
    boolean fits = rows >= 2 && !names.isEmpty() && values.size(1) == names.size();
    for (String name : List.of("scores", "predicted", "confidence")) {
      fits &= state.tensor(name).dim() == 1 && state.tensor(name).size(0) == rows;
    }
    Tensor labels = state.tensors().get("labels");
    fits &= labels == null || (labels.dim() == 1 && labels.size(0) == rows);
    if (!fits
        || !(state.values().get("raw") instanceof Boolean raw)
        || !(state.values().get("logits") instanceof Boolean logits)) {
      throw new OutriggerException(
          "The saved reference of the guard is damaged: its parts do not fit each other. Fit the"
              + " guard again.");
    }
    return new GuardReference(
        new Watched(raw, logits, Tensors.longs(state.tensor("kept"))),
        names,
        Tensors.floats(values),
        Tensors.doubles(state.tensor("scores")),
        Tensors.ints(state.tensor("predicted")),
        Tensors.doubles(state.tensor("confidence")),
        labels == null ? null : Tensors.ints(labels));
  }
}
