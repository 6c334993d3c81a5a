package org.outrigger.core.model;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The tensor data that a TorchScript pickle lays claim to. libtorch takes the claimed lengths for
 * true and would read beyond a shorter entry, so they are checked before. This knows the operations
 * that libtorch reads, and takes a storage only in the form in which libtorch writes it.
 */
final class PickledStorages {
  private static final Map<String, Integer> SIZES =
      Map.ofEntries(
          Map.entry("DoubleStorage", 8),
          Map.entry("FloatStorage", 4),
          Map.entry("HalfStorage", 2),
          Map.entry("BFloat16Storage", 2),
          Map.entry("LongStorage", 8),
          Map.entry("IntStorage", 4),
          Map.entry("ShortStorage", 2),
          Map.entry("CharStorage", 1),
          Map.entry("ByteStorage", 1),
          Map.entry("BoolStorage", 1),
          Map.entry("ComplexHalfStorage", 4),
          Map.entry("ComplexFloatStorage", 8),
          Map.entry("ComplexDoubleStorage", 16),
          Map.entry("QInt8Storage", 1),
          Map.entry("QUInt8Storage", 1),
          Map.entry("QInt32Storage", 4),
          Map.entry("QUInt4x2Storage", 1),
          Map.entry("QUInt2x4Storage", 1));

  /** Operations without an argument that a storage's description does not use. */
  private static final Set<Integer> PLAIN =
      Set.of(
          (int) '.', (int) 'N', (int) 'R', (int) 'a', (int) 'b', (int) 'd', (int) '}', (int) 'e',
          (int) 'l', (int) ']', (int) 's', (int) ')', (int) 'u', (int) '0', (int) '1', (int) '2',
          0x81, 0x85, 0x86, 0x87, 0x88, 0x89);

  private static final Object OTHER = new Object();

  private final ByteBuffer in;
  private final Map<Integer, Object> memo = new HashMap<>();
  private final Map<String, Long> storages = new HashMap<>();

  /** What was pushed since the last mark, while that were texts and numbers alone. */
  private final List<Object> pushed = new ArrayList<>();

  private boolean tuple;

  private PickledStorages(byte[] pickle) {
    in = ByteBuffer.wrap(pickle).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Reads a pickle.
   *
   * @return the claimed bytes by entry name
   * @throws IllegalArgumentException if it is not one that libtorch writes
   */
  static Map<String, Long> of(byte[] pickle) {
    try {
      PickledStorages reader = new PickledStorages(pickle);
      while (reader.in.hasRemaining()) {
        reader.step(reader.in.get() & 0xff);
      }
      return reader.storages;
    } catch (BufferUnderflowException | ArithmeticException e) {
      throw new IllegalArgumentException("the pickled structure ends early", e);
    }
  }

  private void step(int operation) {
    boolean afterTuple = tuple;
    tuple = false;
    switch (operation) {
      case '(' -> pushed.clear();
      case 't' -> tuple = true;
      case 'Q' -> {
        if (!afterTuple) {
          throw new IllegalArgumentException("a stored tensor is described in an unknown way");
        }
        claim();
        other();
      }
      case 0x80 -> in.get();
      case 'K' -> pushed.add((long) (in.get() & 0xff));
      case 'M' -> pushed.add((long) (in.getShort() & 0xffff));
      case 'J' -> pushed.add((long) in.getInt());
      case 0x8a -> pushed.add(number(bytes(in.get() & 0xff)));
      case 'G' -> {
        in.getLong();
        other();
      }
      case 'X' -> pushed.add(text(in.getInt()));
      case 0x8c -> pushed.add(text(in.get() & 0xff));
      case 0x8d -> pushed.add(text(Math.toIntExact(in.getLong())));
      case 'c' -> {
        line();
        pushed.add(line());
      }
      case 'q' -> remember(in.get() & 0xff, afterTuple);
      case 'r' -> remember(in.getInt(), afterTuple);
      case 'h' -> pushed.add(memo.getOrDefault(in.get() & 0xff, OTHER));
      case 'j' -> pushed.add(memo.getOrDefault(in.getInt(), OTHER));
      default -> {
        if (!PLAIN.contains(operation)) {
          throw new IllegalArgumentException(
              "the pickled structure has an unknown operation " + operation);
        }
        other();
      }
    }
  }

  private void other() {
    pushed.clear();
    pushed.add(OTHER);
  }

  private void remember(int slot, boolean afterTuple) {
    memo.put(slot, afterTuple || pushed.isEmpty() ? OTHER : pushed.get(pushed.size() - 1));
    tuple = afterTuple;
  }

  private void claim() {
    if (pushed.size() != 5
        || !"storage".equals(pushed.get(0))
        || !(pushed.get(1) instanceof String type)
        || !(pushed.get(2) instanceof String key)
        || !(pushed.get(4) instanceof Long count)
        || count < 0) {
      throw new IllegalArgumentException("a stored tensor is described in an unknown way");
    }
    Integer size = type.startsWith("Float8") ? Integer.valueOf(1) : SIZES.get(type);
    if (size == null) {
      throw new IllegalArgumentException("a stored tensor is of the unknown type " + type);
    }
    storages.merge(key, Math.multiplyExact(count, size), Math::max);
  }

  private byte[] bytes(int length) {
    if (length < 0 || length > in.remaining()) {
      throw new BufferUnderflowException();
    }
    byte[] bytes = new byte[length];
    in.get(bytes);
    return bytes;
  }

  private String text(int length) {
    return new String(bytes(length), StandardCharsets.UTF_8);
  }

  private static Object number(byte[] littleEndian) {
    if (littleEndian.length > 8) {
      return OTHER;
    }
    long value = 0;
    for (int i = littleEndian.length - 1; i >= 0; i--) {
      value =
          (value << 8) | (i == littleEndian.length - 1 ? littleEndian[i] : littleEndian[i] & 0xff);
    }
    return value;
  }

  private String line() {
    int start = in.position();
    byte next;
    do {
      next = in.get();
    } while (next != '\n');
    return new String(in.array(), start, in.position() - start - 1, StandardCharsets.UTF_8);
  }
}
