package org.outrigger.stream.memory;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.State;

/**
 * A bounded store of recent events: keys, labels, base predictions. Arguments are checked by {@link
 * ReLoop2}; not safe for concurrent use by itself.
 */
public interface ErrorMemory extends AutoCloseable {
  /** Takes events in, the oldest of those beyond the capacity out. Float64 [N, D], [N], [N]. */
  void write(Tensor keys, Tensor labels, Tensor base);

  /** What is near, in the enclosing scope. Float64 [N, D]. */
  Neighbours read(Tensor keys);

  /** How many events it holds. */
  long size();

  /** Bytes of its arrays, which do not depend on how many events came. */
  long bytes();

  /** Forgets all events. */
  void clear();

  /** Its arrays by name; borrowed. */
  Map<String, Tensor> tensors();

  /** Its counters; saved beside the arrays. */
  Map<String, Object> values();

  /** Demands that a saved memory fits this one; nothing changes. */
  void check(State state);

  /** Takes over a state that was checked. */
  void restore(State state);

  @Override
  void close();
}
