package org.outrigger.adapt.edge;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** The last rows that came, at most so many; memory grows with what is there. */
final class SampleRing implements Stateful, AutoCloseable {
  private static final String TYPE = "edge/samples";

  private final int capacity;
  private @Nullable Tensor store;
  private long head;
  private long size;

  SampleRing(int capacity) {
    this.capacity = capacity;
  }

  long size() {
    return size;
  }

  /** Adds rows [N, ...]; where there is no room, the oldest go. */
  void add(Tensor rows) {
    long n = rows.size(0);
    if (n == 0) {
      return;
    }
    Scopes.run(
        () -> {
          Tensor last = n > capacity ? rows.narrow(0, n - capacity, capacity) : rows;
          long more = last.size(0);
          Tensor room = room(last, Math.min(capacity, size + more));
          room.index_copy_(0, places(size, more), last.detach().to(room.scalar_type()));
          long over = Math.max(0, size + more - room.size(0));
          head = (head + over) % room.size(0);
          size += more - over;
        });
  }

  /** The store, with room for that many rows. */
  private Tensor room(Tensor like, long rows) {
    Tensor old = store;
    if (old != null && old.size(0) >= rows) {
      return old;
    }
    long wanted = Math.min(capacity, Math.max(rows, old == null ? 0 : 2 * old.size(0)));
    long[] shape = like.shape();
    shape[0] = wanted;
    Tensor fresh = Scopes.own(torch.zeros(shape, new TensorOptions(like.scalar_type())));
    if (old != null && size > 0) {
      fresh.narrow(0, 0, size).copy_(rows());
    }
    Scopes.release(old);
    store = fresh;
    head = 0;
    return fresh;
  }

  /** Where the rows {@code from} to {@code from + n - 1} lie, counted from the oldest. */
  private Tensor places(long from, long n) {
    Tensor all =
        torch.arange(new Scalar(from), new Scalar(from + n), new TensorOptions(ScalarType.Long));
    return all.add_(new Scalar(head)).remainder(new Scalar(held().size(0)));
  }

  private Tensor held() {
    Tensor held = store;
    if (held == null) {
      throw new IllegalStateException("no rows");
    }
    return held;
  }

  /** A copy of all rows, oldest first; there is at least one. */
  private Tensor rows() {
    return Scopes.tensor(() -> held().index_select(0, places(0, size)));
  }

  /** Takes the n oldest rows out. */
  Tensor pop(long n) {
    Tensor rows = Scopes.tensor(() -> held().index_select(0, places(0, n)));
    head = (head + n) % held().size(0);
    size -= n;
    return rows;
  }

  /** A copy of n rows drawn without replacement, of all if there are fewer. */
  Tensor sample(long n, Rng rng) {
    return Scopes.tensor(
        () -> {
          Tensor chosen = rng.permutation(size).narrow(0, 0, Math.min(n, size));
          Tensor places = chosen.add(new Scalar(head)).remainder(new Scalar(held().size(0)));
          return held().index_select(0, places);
        });
  }

  void clear() {
    Scopes.release(store);
    store = null;
    head = 0;
    size = 0;
  }

  @Override
  public State state() {
    return new State(
        TYPE,
        1,
        Map.of("head", head, "size", size),
        store == null ? Map.of() : Map.of("store", store));
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Tensor saved = state.tensors().get("store");
    long newHead = NestedState.count(state, "head");
    long newSize = NestedState.count(state, "size");
    long room = saved == null ? 0 : saved.dim() == 0 ? -1 : saved.size(0);
    if (newSize > room || newHead > Math.max(0, room - 1) || room > capacity) {
      throw new OutriggerException(
          "The saved samples do not fit: "
              + newSize
              + " rows in room for "
              + room
              + ", but at most "
              + capacity
              + " are kept. Restore with the settings that it was saved with.");
    }
    Tensor copy = saved == null ? null : Scopes.scoped(() -> Scopes.own(saved.detach().clone()));
    Scopes.release(store);
    store = copy;
    head = newHead;
    size = newSize;
  }

  @Override
  public void close() {
    clear();
  }
}
