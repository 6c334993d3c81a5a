package org.outrigger.adapt;

import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Method;
import org.outrigger.core.model.NeuralModel;

/**
 * Adapts a model to a target set at once, without the data it was trained on: a set in, another
 * model out. It holds settings and nothing else, so that it may adapt any number of models.
 *
 * <pre>{@code
 * OfflineAdapter adapter = new FewShotSfda();
 * try (OfflineAdapter.Result result = adapter.adapt(source, target, Listener.NONE)) {
 *   result.model().save(Path.of("adapted.safetensors"));
 * }
 * }</pre>
 */
public interface OfflineAdapter extends Method {
  /** Follows a run. What it throws stops the run. */
  @FunctionalInterface
  interface Listener {
    /** Looks away. */
    Listener NONE = (step, steps, loss) -> {};

    /**
     * After a step.
     *
     * @param step from 1 to {@code steps}, over all stages
     * @param loss of this step's batch
     */
    void stepped(long step, long steps, double loss);
  }

  /** An adapted model with what is known of how it came about. */
  interface Result extends AutoCloseable {
    /** The adapted model; this result owns it. */
    NeuralModel model();

    /** Settings, seed and what was measured on the way, as JSON-able values. */
    Map<String, Object> report();

    @Override
    void close();
  }

  /**
   * Adapts a copy of a model.
   *
   * @param source is copied, never changed
   * @param target data from where the model is to work; with labels if {@link #needs()} asks for
   *     them
   * @return the adapted model, which the caller closes
   * @throws OutriggerException if the data do not fit the model or the settings, or the loss stops
   *     being a finite number
   */
  Result adapt(NeuralModel source, IndexedDataset target, Listener listener);

  /** As {@link #adapt(NeuralModel, IndexedDataset, Listener)}, unobserved. */
  default Result adapt(NeuralModel source, IndexedDataset target) {
    return adapt(source, target, Listener.NONE);
  }
}
