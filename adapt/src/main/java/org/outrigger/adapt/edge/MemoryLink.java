package org.outrigger.adapt.edge;

import java.util.ArrayDeque;
import java.util.Deque;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Torch;

/**
 * A cloud in the same process. Messages are encoded and decoded as over a network, so that the
 * bytes that are counted are those that TCP would carry. {@link #send} returns when the cloud has
 * answered.
 */
public final class MemoryLink implements CloudLink {
  private final CloudSession cloud;
  private final Deque<byte[]> answers = new ArrayDeque<>();
  private Traffic traffic = Traffic.NONE;

  /**
   * @param cloud borrowed
   */
  public MemoryLink(CloudSession cloud) {
    this.cloud = cloud;
  }

  @Override
  public void send(Message upload) {
    Torch.start();
    byte[] there = Frames.encode(upload);
    try (PointerScope scope = new PointerScope()) {
      byte[] back = Frames.encode(cloud.answer(Frames.decode(there)));
      answers.add(back);
      traffic = traffic.plus(there.length, back.length, 1, 0);
    }
  }

  @Override
  public @Nullable Message receive() {
    byte[] answer = answers.poll();
    return answer == null ? null : Frames.decode(answer);
  }

  @Override
  public Traffic traffic() {
    return traffic;
  }

  /** Counts on from there, and forgets answers that nobody took. */
  void traffic(Traffic from) {
    answers.clear();
    traffic = from;
  }

  @Override
  public void close() {
    answers.clear();
  }
}
