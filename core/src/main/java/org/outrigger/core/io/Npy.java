package org.outrigger.core.io;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * NumPy's {@code .npy} files, versions 1 to 3: numbers of one type in C or Fortran order. The
 * header is checked against the file's size before memory is taken. Python objects (pickle) are
 * refused.
 */
public final class Npy {
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
  private static final int MAX_HEADER = 1 << 20;
  private static final int CHUNK = 1 << 20;
  private static final Pattern DESCR = Pattern.compile("'descr'\\s*:\\s*'([^']*)'");
  private static final Pattern ORDER = Pattern.compile("'fortran_order'\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("'shape'\\s*:\\s*\\(([0-9L,\\s]*)\\)");

  private static final Map<String, ScalarType> TYPES =
      Map.of(
          "f2", ScalarType.Half,
          "f4", ScalarType.Float,
          "f8", ScalarType.Double,
          "i1", ScalarType.Char,
          "i2", ScalarType.Short,
          "i4", ScalarType.Int,
          "i8", ScalarType.Long,
          "u1", ScalarType.Byte,
          "b1", ScalarType.Bool);

  private Npy() {}

  /** What a header declares. */
  private record Header(String type, boolean bigEndian, boolean fortran, long[] shape) {
    int itemSize() {
      return type.charAt(1) - '0';
    }

    long bytes(String source) {
      try {
        long count = itemSize();
        for (long size : shape) {
          count = Math.multiplyExact(count, size);
        }
        return count;
      } catch (ArithmeticException e) {
        throw damaged(source, "its header declares the impossible shape " + Arrays.toString(shape));
      }
    }
  }

  /**
   * Reads a file.
   *
   * @return a tensor of the file's type and shape, which the caller owns
   * @throws OutriggerException if it is damaged, or of a type without a tensor type of its own
   */
  public static Tensor read(Path file) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), CHUNK)) {
      return read(in, Files.size(file), file.toString());
    } catch (IOException e) {
      throw new OutriggerException("The file " + file + " cannot be read: " + e + ".", e);
    }
  }

  /**
   * Reads from a stream.
   *
   * @param available how many bytes the stream has at most; a header that declares more is refused
   * @param source its name in messages
   */
  static Tensor read(InputStream in, long available, String source) throws IOException {
    Torch.start();
    try {
      byte[] start = in.readNBytes(8);
      if (start.length < 8 || !Arrays.equals(start, 0, 6, MAGIC, 0, 6)) {
        throw damaged(source, "it does not begin as .npy files do");
      }
      int version = start[6];
      if (version < 1 || version > 3) {
        throw damaged(source, "its format version " + version + " is not known (1 to 3 are)");
      }
      int lengthBytes = version == 1 ? 2 : 4;
      byte[] lengthField = in.readNBytes(lengthBytes);
      if (lengthField.length < lengthBytes) {
        throw new EOFException();
      }
      long length = 0;
      for (int i = lengthBytes - 1; i >= 0; i--) {
        length = length << 8 | lengthField[i] & 255;
      }
      long before = 8L + lengthBytes + length;
      if (length > MAX_HEADER || before > available) {
        throw damaged(source, "its header of " + length + " bytes does not fit");
      }
      byte[] text = in.readNBytes((int) length);
      if (text.length < length) {
        throw new EOFException();
      }
      Header header = header(new String(text, StandardCharsets.UTF_8), source);
      long bytes = header.bytes(source);
      if (bytes > available - before) {
        throw damaged(
            source,
            "its header declares "
                + bytes
                + " bytes of data, but only "
                + (available - before)
                + " follow");
      }
      return data(in, header);
    } catch (EOFException e) {
      throw new OutriggerException(source + " is damaged: the file ends early.", e);
    }
  }

  private static Header header(String text, String source) {
    Matcher order = ORDER.matcher(text);
    Matcher shape = SHAPE.matcher(text);
    if (!order.find() || !shape.find()) {
      throw damaged(source, "its header is not understood: " + text.strip());
    }
    Matcher descr = DESCR.matcher(text);
    String type = descr.find() ? descr.group(1) : "";
    boolean prefixed = !type.isEmpty() && "<>|=".indexOf(type.charAt(0)) >= 0;
    String plain = prefixed ? type.substring(1) : type;
    if (!TYPES.containsKey(plain)) {
      throw new OutriggerException(
          source
              + " holds "
              + (plain.startsWith("O")
                  ? "Python objects, which are not read: save numbers"
                  : "the type " + (type.isEmpty() ? text.strip() : type))
              + ". Readable types: "
              + TYPES.keySet().stream().sorted().collect(Collectors.joining(", "))
              + ".");
    }
    long[] sizes =
        Arrays.stream(shape.group(1).split(","))
            .map(s -> s.replace("L", "").strip())
            .filter(s -> !s.isEmpty())
            .mapToLong(s -> size(s, source))
            .toArray();
    return new Header(plain, type.startsWith(">"), order.group(1).equals("True"), sizes);
  }

  private static long size(String text, String source) {
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw damaged(source, "its header declares the impossible size " + text);
    }
  }

  private static Tensor data(InputStream in, Header header) throws IOException {
    long[] stored = header.shape.clone();
    if (header.fortran) {
      for (int i = 0; i < stored.length; i++) {
        stored[i] = header.shape[stored.length - 1 - i];
      }
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor tensor = torch.empty(stored, new TensorOptions(TYPES.get(header.type)), null);
      fill(in, tensor, header.bigEndian ? header.itemSize() : 1);
      if (header.type.equals("b1")) {
        // Any byte but 0 and 1 in a boolean tensor would be undefined behaviour.
        tensor = tensor.view(ScalarType.Byte).ne(new Scalar(0));
      }
      if (header.fortran && stored.length > 1) {
        long[] reversed = new long[stored.length];
        for (int i = 0; i < reversed.length; i++) {
          reversed[i] = reversed.length - 1 - i;
        }
        tensor = tensor.permute(reversed).contiguous();
      }
      return Scopes.keep(new Tensor(tensor));
    }
  }

  private static void fill(InputStream in, Tensor tensor, int swap) throws IOException {
    long size = tensor.nbytes();
    if (size == 0) {
      return;
    }
    byte[] chunk = new byte[(int) Math.min(CHUNK, size)];
    BytePointer target = new BytePointer(tensor.data_ptr());
    for (long at = 0; at < size; ) {
      int count = in.readNBytes(chunk, 0, (int) Math.min(chunk.length, size - at));
      if (count < Math.min(chunk.length, size - at)) {
        throw new EOFException();
      }
      if (swap > 1) {
        swap(chunk, count, swap);
      }
      target.position(at).put(chunk, 0, count);
      at += count;
    }
  }

  private static void swap(byte[] bytes, int count, int size) {
    for (int from = 0; from + size <= count; from += size) {
      for (int i = 0; i < size / 2; i++) {
        byte first = bytes[from + i];
        bytes[from + i] = bytes[from + size - 1 - i];
        bytes[from + size - 1 - i] = first;
      }
    }
  }

  /** Writes a tensor in one step: the file is the old one or the new, never half of it. */
  public static void write(Path file, Tensor tensor) {
    AtomicFiles.write(file, out -> write(out, tensor));
  }

  static void write(OutputStream out, Tensor tensor) throws IOException {
    Torch.start();
    ScalarType scalar = tensor.scalar_type().intern();
    String type =
        TYPES.entrySet().stream()
            .filter(e -> e.getValue() == scalar)
            .map(Map.Entry::getKey)
            .findFirst()
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "A tensor of type " + scalar + " has no .npy form: convert it first."));
    long[] shape = tensor.shape();
    String sizes = Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(", "));
    String dictionary =
        "{'descr': '"
            + (type.charAt(1) == '1' ? '|' : '<')
            + type
            + "', 'fortran_order': False, 'shape': ("
            + sizes
            + (shape.length == 1 ? ",), }" : "), }");
    int length = (10 + dictionary.length() + 1 + 63) / 64 * 64 - 10;
    String header = dictionary + " ".repeat(length - dictionary.length() - 1) + "\n";
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) length, (byte) (length >> 8)});
    out.write(header.getBytes(StandardCharsets.US_ASCII));
    try (PointerScope scope = new PointerScope()) {
      Tensor dense = tensor.detach().cpu().contiguous();
      long size = dense.nbytes();
      if (size > 0) {
        byte[] chunk = new byte[(int) Math.min(CHUNK, size)];
        BytePointer from = new BytePointer(dense.data_ptr());
        for (long at = 0; at < size; at += chunk.length) {
          int count = (int) Math.min(chunk.length, size - at);
          from.position(at).get(chunk, 0, count);
          out.write(chunk, 0, count);
        }
      }
    }
  }

  private static OutriggerException damaged(String source, String why) {
    return new OutriggerException(source + " is damaged or no .npy file: " + why + ".");
  }
}
