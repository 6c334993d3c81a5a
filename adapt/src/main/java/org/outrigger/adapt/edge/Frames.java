package org.outrigger.adapt.edge;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.Safetensors;

/**
 * Messages as bytes: a head of 16 bytes (the magic {@code OUTE}, version and kind as 16-bit
 * numbers, the lengths of both parts as 32-bit numbers, all big-endian), the values as JSON, and
 * the tensors as safetensors. Lengths are checked before anything is read, and memory is taken as
 * bytes come.
 */
final class Frames {
  /** The newest protocol. */
  static final int VERSION = 1;

  private static final int MAGIC = 0x4F555445;
  private static final int HEAD = 16;
  private static final int MOST_JSON = 1 << 16;

  private Frames() {}

  static byte[] encode(Message message) {
    byte[] json = Json.compact(message.values()).getBytes(StandardCharsets.UTF_8);
    if (json.length > MOST_JSON) {
      throw new OutriggerException(
          "The values of a message take "
              + json.length
              + " bytes, but at most "
              + MOST_JSON
              + " may be sent.");
    }
    byte[] tensors =
        message.tensors().isEmpty() ? new byte[0] : Safetensors.bytes(message.tensors(), Map.of());
    return ByteBuffer.allocate(Math.addExact(HEAD + json.length, tensors.length))
        .putInt(MAGIC)
        .putShort((short) VERSION)
        .putShort((short) message.kind().number)
        .putInt(json.length)
        .putInt(tensors.length)
        .put(json)
        .put(tensors)
        .array();
  }

  /**
   * Reads the bytes of one message.
   *
   * @param most how many bytes it may have
   * @return null if the stream ends before it
   * @throws OutriggerException if this is no message, or too long a one
   * @throws EOFException if the stream ends inside it
   */
  static byte @Nullable [] read(InputStream in, int most) throws IOException {
    byte[] head = in.readNBytes(HEAD);
    if (head.length == 0) {
      return null;
    }
    if (head.length < HEAD) {
      check(ByteBuffer.wrap(Arrays.copyOf(head, HEAD)), most, head.length);
      throw new EOFException("the connection ended inside a message");
    }
    int length = check(ByteBuffer.wrap(head), most, HEAD);
    byte[] rest = new DataInputStream(in).readNBytes(length);
    if (rest.length < length) {
      throw new EOFException("the connection ended inside a message");
    }
    byte[] frame = Arrays.copyOf(head, HEAD + length);
    System.arraycopy(rest, 0, frame, HEAD, length);
    return frame;
  }

  /** Checks a head, of which {@code known} bytes have come, and says how much follows it. */
  private static int check(ByteBuffer head, int most, int known) {
    if (known >= 4 && head.getInt(0) != MAGIC) {
      throw new OutriggerException(
          "What came is no message of Outrigger's: connect 'edge device' and 'edge cloud' only.");
    }
    if (known < HEAD) {
      return 0;
    }
    int version = Short.toUnsignedInt(head.getShort(4));
    if (version < 1 || version > VERSION) {
      throw new OutriggerException(
          "A message of protocol "
              + version
              + " came, but this Outrigger speaks 1 to "
              + VERSION
              + ": update the older side.");
    }
    long json = Integer.toUnsignedLong(head.getInt(8));
    long tensors = Integer.toUnsignedLong(head.getInt(12));
    if (json > MOST_JSON || HEAD + json + tensors > most) {
      throw new OutriggerException(
          "A message of "
              + (HEAD + json + tensors)
              + " bytes was announced, but at most "
              + most
              + " are taken: send smaller batches or raise the limit.");
    }
    return (int) (json + tensors);
  }

  /**
   * The message that {@link #read} gave or {@link #encode} made. Its tensors belong to the
   * innermost scope or to the caller.
   *
   * @throws OutriggerException if it is damaged
   */
  static Message decode(byte[] frame) {
    ByteBuffer head = ByteBuffer.wrap(frame);
    if (frame.length < HEAD || check(head, Integer.MAX_VALUE, HEAD) != frame.length - HEAD) {
      throw new OutriggerException("A message was cut short: send it again.");
    }
    Message.Kind kind = Message.Kind.of(Short.toUnsignedInt(head.getShort(6)));
    int json = head.getInt(8);
    Map<String, Object> values =
        Json.object(
            "The values of a message", new String(frame, HEAD, json, StandardCharsets.UTF_8));
    byte[] payload = Arrays.copyOfRange(frame, HEAD + json, frame.length);
    if (payload.length == 0) {
      return Message.of(kind, values);
    }
    try (Safetensors view = Safetensors.of("The payload of a message", payload)) {
      Map<String, Tensor> tensors = view.tensors();
      return new Message(kind, values, tensors);
    }
  }
}
