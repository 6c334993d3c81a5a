package org.outrigger.adapt.edge;

import org.outrigger.core.io.Stateful;

/** The side of a method that learns, for one device. For one thread at a time. */
public interface CloudSession extends Stateful, AutoCloseable {
  /**
   * Learns from an upload.
   *
   * @param upload with rows or without
   * @return an update or a prompt for the device, or that nothing has changed; its tensors belong
   *     to the enclosing scope
   * @throws org.outrigger.core.OutriggerException if the upload does not fit; nothing has changed
   *     then
   */
  Message answer(Message upload);

  /** What a device needs that has the update of that version; 0 if it has none. */
  Message latest(long version);

  /** The digest that the device's model must have. */
  String digest();

  /** Steps of the optimisers so far. */
  long updates();

  /** Rows that gradients were computed for. */
  long backward();

  @Override
  void close();
}
