package org.outrigger.adapt;

import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;

/** A place for one snapshot of an adapter, which may be empty; saved with its owner. */
final class GoodState implements Stateful {
  private static final State NONE = new State("snapshot/none", 1, Map.of(), Map.of());

  private @Nullable Snapshot snapshot;

  boolean present() {
    return snapshot != null;
  }

  /** Keeps how that adapter is now in place of what was kept. */
  void take(Adapter adapter) {
    Snapshot next = adapter.snapshot();
    drop();
    snapshot = next;
  }

  /** Sets that adapter back to what is kept. */
  void giveBack(Adapter adapter) {
    adapter.restore(Objects.requireNonNull(snapshot).state());
  }

  void swap(GoodState other) {
    Snapshot own = snapshot;
    snapshot = other.snapshot;
    other.snapshot = own;
  }

  void drop() {
    Snapshot old = snapshot;
    snapshot = null;
    if (old != null) {
      old.close();
    }
  }

  @Override
  public State state() {
    return snapshot == null ? NONE : snapshot.state();
  }

  @Override
  public void restore(State state) {
    Snapshot next = state.type().equals(NONE.type()) ? null : Snapshot.of(state);
    drop();
    snapshot = next;
  }
}
