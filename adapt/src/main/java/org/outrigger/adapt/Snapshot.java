package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;

/** A state with tensors of its own, which stay as they are while the object it is of goes on. */
public final class Snapshot implements AutoCloseable {
  private final State state;

  private Snapshot(State state) {
    this.state = state;
  }

  /** Copies a state. */
  public static Snapshot of(State state) {
    Map<String, Tensor> copies = new LinkedHashMap<>();
    Scopes.run(
        () ->
            state.tensors().forEach((name, t) -> copies.put(name, Scopes.own(t.detach().clone()))));
    return new Snapshot(new State(state.type(), state.version(), state.values(), copies));
  }

  /** The state as it was; borrowed. */
  public State state() {
    return state;
  }

  @Override
  public void close() {
    state.tensors().values().forEach(Scopes::release);
  }
}
