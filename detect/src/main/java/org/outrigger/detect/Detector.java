package org.outrigger.detect;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;

/**
 * Gives each input one number; larger means more out-of-distribution. Fit it on known data, then
 * score outputs of the model, live or cached. Scoring is safe for concurrent use once fitted; a
 * row's score does not depend on the rest of its batch.
 */
public interface Detector extends Method, Stateful, AutoCloseable {
  /**
   * Fits the statistics on known data. Rows with a label below 0 are ignored. A failed fit leaves
   * the earlier state.
   *
   * @throws org.outrigger.core.OutriggerException if the data lacks what this detector needs
   */
  void fit(Outputs known);

  /**
   * Fits with the model and the data at hand, for detectors that need more than recorded outputs;
   * others use the outputs alone.
   *
   * @param known the data that {@code outputs} came from
   * @param outputs what {@code model} gave for {@code known}
   */
  default void fit(Model model, Dataset known, Outputs outputs) {
    fit(outputs);
  }

  /** Whether it can score: it is fitted or needs no fitting. */
  boolean fitted();

  /**
   * Scores from outputs.
   *
   * @return [N], float32 or float64, owned by the enclosing scope or the caller
   */
  Tensor score(Output output);

  /**
   * Scores with the model and the inputs at hand, for detectors that perturb inputs; others use the
   * output alone.
   *
   * @param inputs [N, ...]
   * @param output what {@code model} gave for {@code inputs}
   */
  default Tensor score(Model model, Tensor inputs, Output output) {
    return score(output);
  }

  /** The inner layers of {@code model} whose outputs it wants in {@link Output#maps()}. */
  default List<String> maps(Model model) {
    return List.of();
  }

  @Override
  default void close() {}
}
