package org.outrigger.core.io;

/** Something whose fitted state can be saved and restored; a restored one continues exactly. */
public interface Stateful {
  /**
   * The state now. Its tensors are borrowed from this object: write or copy them before it changes
   * or closes.
   */
  State state();

  /**
   * Takes over a state that an object of the same class gave, replacing all fitted state and
   * settings-dependent values. The tensors are copied or retained.
   *
   * @throws org.outrigger.core.OutriggerException if it does not fit; nothing has changed then
   */
  void restore(State state);
}
