package org.outrigger.adapt.edge;

import org.jspecify.annotations.Nullable;

/** How a device reaches its cloud. Sending never waits for an answer. */
public interface CloudLink extends AutoCloseable {
  /**
   * Sends an upload, or queues it while there is no connection; of a full queue the oldest goes.
   *
   * @param upload is encoded at once, so its tensors may go afterwards
   */
  void send(Message upload);

  /**
   * The next answer that has come, or null; its tensors belong to the innermost scope or to the
   * caller.
   *
   * @throws org.outrigger.core.OutriggerException if the cloud refused the device for good
   */
  @Nullable Message receive();

  /** What went each way so far. */
  Traffic traffic();

  @Override
  void close();

  /**
   * Bytes and messages so far.
   *
   * @param sent bytes from the device to the cloud
   * @param received bytes from the cloud to the device
   * @param uploads messages that reached the cloud
   * @param lost uploads that were dropped
   */
  record Traffic(long sent, long received, long uploads, long lost) {
    /** Nothing yet. */
    public static final Traffic NONE = new Traffic(0, 0, 0, 0);

    Traffic plus(long moreSent, long moreReceived, long moreUploads, long moreLost) {
      return new Traffic(
          sent + moreSent, received + moreReceived, uploads + moreUploads, lost + moreLost);
    }
  }
}
