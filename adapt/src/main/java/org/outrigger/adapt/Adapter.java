package org.outrigger.adapt;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;

/**
 * A test-time adapter: it predicts the batches of an unlabelled stream and learns from them as it
 * goes. It works on a copy, so that the model it was started on stays as it is.
 *
 * <pre>{@code
 * try (Adapter adapter = new Tent()) {
 *   adapter.start(model, null);
 *   for (Tensor batch : stream) {
 *     try (Output output = adapter.adapt(batch)) { ... }
 *   }
 * }
 * }</pre>
 *
 * <p>Its {@link #state()} holds everything that a stream changed: weights, statistics, the
 * optimiser, memories, estimates, random generators and counters. A restored adapter continues
 * exactly. It must have been started on the same model. An adapter belongs to one stream and one
 * thread.
 */
public interface Adapter extends Method, Stateful, AutoCloseable {
  /**
   * Takes up a model. Whatever an earlier stream left is dropped.
   *
   * @param model is copied if this adapter changes weights or statistics; otherwise it is borrowed
   *     and must stay open
   * @param source data that the model knows, in memory or not, with labels if {@link #needs()} asks
   *     for them; null if this adapter needs none
   * @throws OutriggerException if the model or the data lack what is needed
   */
  void start(Model model, @Nullable IndexedDataset source);

  /**
   * Takes up a model where a saved adapter of the same settings left off. Source data are not
   * needed again: what was learned from them is in the state.
   *
   * @throws OutriggerException if the state does not fit; this adapter is not started then
   */
  void resume(Model model, State state);

  /**
   * Predicts a batch of the stream and learns from it.
   *
   * @param inputs [N, ...], finite; N at least {@link #minimumBatch()}
   * @return logits [N, C], or what takes their place (log-probabilities, votes), and features if
   *     the method has them; the caller owns it
   * @throws OutriggerException if it was not started or the inputs do not fit; nothing has changed
   *     then
   */
  Output adapt(Tensor inputs);

  /** Back to how it was right after {@link #start}, in every part. */
  void reset();

  /** A copy of the state now, for {@link #restore}; the caller closes it. */
  default Snapshot snapshot() {
    return Snapshot.of(state());
  }

  /** What it did since the start or the last reset. */
  Usage usage();

  /** The names of the parameters that it moves, as the model calls them; empty if none. */
  List<String> trained();

  /** How many rows a batch must have, 1 or 2. */
  int minimumBatch();

  /** The model as it is now: the changed copy, or the one it was started on; borrowed. */
  Model model();

  /**
   * Puts this adapter over another one, which it then owns: a filter over an entropy method, a
   * correction over any adapter, a method that trains over a normalisation.
   *
   * @return this
   * @throws OutriggerException if the two do not go together
   */
  default Adapter over(Adapter inner) {
    throw new OutriggerException(
        card().name() + " cannot be put over " + inner.card().name() + ": it stands alone.");
  }

  /** This adapter's name and those it is over, such as {@code open-set-tta/eata/unmix-tns}. */
  default String stack() {
    return card().slug();
  }

  @Override
  void close();
}
