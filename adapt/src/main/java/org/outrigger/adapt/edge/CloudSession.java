package org.outrigger.adapt.edge;

import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Model;

/** The side of a method that learns, for one device. For one thread at a time. */
public interface CloudSession extends Stateful, AutoCloseable {
  /**
   * Learns from an upload.
   *
   * @param upload with rows or without
   * @return an update or a prompt for the device, or that nothing has changed; its tensors belong
   *     to the enclosing scope
   * @throws OutriggerException if the upload does not fit; nothing has changed then
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

  /** Demands that a teacher and the device's model speak of the same classes. */
  static void requireSameClasses(Model device, Model teacher) {
    if (device.classes() != teacher.classes()) {
      throw new OutriggerException(
          "The teacher "
              + teacher.name()
              + " has "
              + teacher.classes()
              + " classes, but the device's model has "
              + device.classes()
              + ": give models of the same classes.");
    }
  }

  @Override
  void close();
}
