package org.outrigger.serve.protocol;

import java.nio.ByteBuffer;
import java.util.Locale;

/** The element types of the protocol, as far as a guard takes or gives them. */
public enum Datatype {
  BOOL(1),
  UINT8(1),
  INT8(1),
  INT16(2),
  INT32(4),
  INT64(8),
  FP32(4),
  FP64(8),
  /** Text or bytes; in binary each element has a four-byte length before it. */
  BYTES(-1);

  private final int size;

  Datatype(int size) {
    this.size = size;
  }

  /** Bytes an element; -1 if they vary. */
  public int size() {
    return size;
  }

  /** Whether elements are numbers that a model can take. */
  public boolean numeric() {
    return this != BYTES;
  }

  /** Reads one element of a little-endian buffer as a number. */
  float number(ByteBuffer bytes) {
    return switch (this) {
      case BOOL -> bytes.get() != 0 ? 1 : 0;
      case UINT8 -> bytes.get() & 0xff;
      case INT8 -> bytes.get();
      case INT16 -> bytes.getShort();
      case INT32 -> bytes.getInt();
      case INT64 -> bytes.getLong();
      case FP32 -> bytes.getFloat();
      case FP64 -> (float) bytes.getDouble();
      case BYTES -> throw Refusal.bad("A tensor of BYTES holds no numbers.");
    };
  }

  /** The type of this name. */
  static Datatype of(String name) {
    for (Datatype type : values()) {
      if (type.name().equals(name)) {
        return type;
      }
    }
    throw Refusal.bad(
        String.format(
            Locale.ROOT,
            "The datatype '%s' is not taken: use FP32, FP64, INT8 to INT64, UINT8 or BOOL.",
            InferRequest.shown(name)));
  }
}
