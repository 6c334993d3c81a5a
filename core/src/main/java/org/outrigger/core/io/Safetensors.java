package org.outrigger.core.io;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/**
 * A safetensors file: named tensors behind a JSON header, the format that Hugging Face defined.
 * {@link #open} maps the file and checks the whole header against the file's size before anything
 * is allocated for a tensor; {@link #tensor} copies one tensor out. Safe for concurrent readers.
 * {@link #bytes} and {@link #of} do the same in memory, for messages.
 */
public final class Safetensors implements AutoCloseable {
  /** One tensor's place in the file. */
  record Entry(Type type, long[] shape, long begin, long end) {}

  /** The element types of the format that libtorch has. */
  enum Type {
    F64(ScalarType.Double, 8),
    F32(ScalarType.Float, 4),
    F16(ScalarType.Half, 2),
    BF16(ScalarType.BFloat16, 2),
    I64(ScalarType.Long, 8),
    I32(ScalarType.Int, 4),
    I16(ScalarType.Short, 2),
    I8(ScalarType.Char, 1),
    U8(ScalarType.Byte, 1),
    BOOL(ScalarType.Bool, 1);

    final ScalarType scalar;
    final int bytes;

    Type(ScalarType scalar, int bytes) {
      this.scalar = scalar;
      this.bytes = bytes;
    }
  }

  /** How much is mapped or copied at once. */
  private static final long SLICE = 1L << 28;

  /** What an array can hold on every JVM. */
  private static final long MOST_IN_MEMORY = Integer.MAX_VALUE - 8;

  /** What the tensors are copied from. */
  private interface Source extends Closeable {
    /** Bytes of the file; at most {@link #SLICE} at once. */
    ByteBuffer slice(long from, long length) throws IOException;
  }

  private final String file;
  private final Source source;
  private final SafetensorsHeader header;

  private Safetensors(String file, Source source, SafetensorsHeader header) {
    this.file = file;
    this.source = source;
    this.header = header;
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws OutriggerException if it cannot be read or is not a whole safetensors file
   */
  public static Safetensors open(Path file) {
    if (Files.isDirectory(file)) {
      throw new OutriggerException(file + " is a folder, not a safetensors file.");
    }
    FileChannel channel;
    try {
      channel = FileChannel.open(file, StandardOpenOption.READ);
    } catch (NoSuchFileException e) {
      throw new OutriggerException(file + " does not exist.", e);
    } catch (IOException e) {
      throw unreadable(file.toString(), e);
    }
    try {
      return new Safetensors(
          file.toString(),
          mapped(channel),
          SafetensorsHeader.read(file.toString(), channel, channel.size()));
    } catch (IOException e) {
      close(channel, e);
      throw unreadable(file.toString(), e);
    } catch (RuntimeException e) {
      close(channel, e);
      throw e;
    }
  }

  private static Source mapped(FileChannel channel) {
    return new Source() {
      @Override
      public ByteBuffer slice(long from, long length) throws IOException {
        return channel.map(FileChannel.MapMode.READ_ONLY, from, length);
      }

      @Override
      public void close() throws IOException {
        channel.close();
      }
    };
  }

  /**
   * Reads what {@link #bytes} made; the array is borrowed.
   *
   * @param what what the bytes are, for messages
   * @throws OutriggerException if they are not a whole safetensors file
   */
  public static Safetensors of(String what, byte[] bytes) {
    try {
      SafetensorsHeader header =
          SafetensorsHeader.read(
              what, Channels.newChannel(new ByteArrayInputStream(bytes)), bytes.length);
      return new Safetensors(what, inMemory(bytes), header);
    } catch (IOException e) {
      throw unreadable(what, e);
    }
  }

  private static Source inMemory(byte[] bytes) {
    return new Source() {
      @Override
      public ByteBuffer slice(long from, long length) {
        return ByteBuffer.wrap(bytes, Math.toIntExact(from), Math.toIntExact(length));
      }

      @Override
      public void close() {}
    };
  }

  private static void close(FileChannel channel, Exception because) {
    try {
      channel.close();
    } catch (IOException e) {
      because.addSuppressed(e);
    }
  }

  private static OutriggerException unreadable(String file, IOException e) {
    return new OutriggerException(file + " cannot be read: " + e.getMessage(), e);
  }

  /** All tensors of a file; they belong to the innermost scope or to the caller. */
  public static Map<String, Tensor> read(Path file) {
    try (Safetensors view = open(file)) {
      return view.tensors();
    }
  }

  /** Copies of all tensors; they belong to the innermost scope or to the caller. */
  public Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (String name : names()) {
      tensors.put(name, tensor(name));
    }
    return tensors;
  }

  /** The tensors' names in the order of the file. */
  public Set<String> names() {
    return Collections.unmodifiableSet(header.entries().keySet());
  }

  /** The free text entries of the header; empty if there are none. */
  public Map<String, String> metadata() {
    return header.metadata();
  }

  /** The shape of a tensor, without reading it. */
  public long[] shape(String name) {
    return entry(name).shape().clone();
  }

  /** The element type of a tensor as the format names it, such as {@code F32}. */
  public String type(String name) {
    return entry(name).type().name();
  }

  private Entry entry(String name) {
    Entry entry = header.entries().get(name);
    if (entry == null) {
      throw new OutriggerException(file + " has no tensor '" + name + "'.");
    }
    return entry;
  }

  /** A copy of the tensor on the CPU, which belongs to the innermost scope or to the caller. */
  public Tensor tensor(String name) {
    Entry entry = entry(name);
    return Scopes.tensor(
        () -> {
          // A stored truth value other than 0 and 1 must not become a native bool.
          boolean bool = entry.type() == Type.BOOL;
          ScalarType type = bool ? ScalarType.Byte : entry.type().scalar;
          Tensor tensor =
              Torch.call(
                  "There is not enough memory for the tensor '" + name + "' of " + file + ".",
                  () -> torch.empty(entry.shape(), new TensorOptions(type), null));
          copyInto(tensor, entry);
          return bool ? tensor.ne(new org.bytedeco.pytorch.Scalar(0)) : tensor;
        });
  }

  private void copyInto(Tensor tensor, Entry entry) {
    long size = entry.end() - entry.begin();
    try {
      for (long done = 0; done < size; done += SLICE) {
        long length = Math.min(SLICE, size - done);
        slice(tensor, done, length)
            .put(source.slice(header.dataStart() + entry.begin() + done, length));
      }
    } catch (IOException e) {
      throw unreadable(file, e);
    } catch (InternalError e) {
      // How the JVM reports a page that vanished because the file was cut while it was mapped.
      throw new OutriggerException(file + " was changed while it was read: read it again.", e);
    }
  }

  private static ByteBuffer slice(Tensor tensor, long from, long length) {
    try (Pointer data = tensor.data_ptr();
        BytePointer bytes = new BytePointer(data)) {
      return bytes.position(from).limit(from + length).asByteBuffer();
    }
  }

  @Override
  public void close() {
    try {
      source.close();
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * Writes a file atomically. Equal content gives equal bytes: tensors are ordered by descending
   * element size, then by name, as the format's reference implementation does, so that every tensor
   * is aligned; metadata is ordered by key; the header is padded to 8 bytes.
   *
   * @param tensors of any layout and device; borrowed
   * @throws OutriggerException if a type is not in the format, or if the file cannot be written
   */
  public static void write(Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
    List<Item> items = items(tensors);
    byte[] head = header(items, metadata);
    AtomicFiles.write(file, out -> write(head, items, out));
  }

  /**
   * The same bytes as {@link #write} puts into a file.
   *
   * @param tensors of any layout and device; borrowed
   * @throws OutriggerException if a type is not in the format, or if it is more than 2 GiB
   */
  public static byte[] bytes(Map<String, Tensor> tensors, Map<String, String> metadata) {
    List<Item> items = items(tensors);
    byte[] head = header(items, metadata);
    long size = 8L + head.length;
    for (Item item : items) {
      size += item.tensor().numel() * item.type().bytes;
    }
    if (size > MOST_IN_MEMORY) {
      throw new OutriggerException(
          "The tensors take " + size + " bytes, too many for one array: write them to a file.");
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream((int) size);
    try {
      write(head, items, out);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  private static List<Item> items(Map<String, Tensor> tensors) {
    List<Item> items = new ArrayList<>();
    tensors.forEach((name, tensor) -> items.add(new Item(name, tensor, type(name, tensor))));
    items.sort(
        Comparator.comparingInt((Item item) -> -item.type().bytes).thenComparing(Item::name));
    return items;
  }

  private static void write(byte[] head, List<Item> items, OutputStream out) throws IOException {
    out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(head.length).array());
    out.write(head);
    for (Item item : items) {
      copyOut(item.tensor(), out);
    }
  }

  private record Item(String name, Tensor tensor, Type type) {}

  private static Type type(String name, Tensor tensor) {
    ScalarType scalar = tensor.scalar_type().intern();
    for (Type type : Type.values()) {
      if (type.scalar == scalar && !name.equals(SafetensorsHeader.METADATA)) {
        return type;
      }
    }
    throw new OutriggerException(
        "The tensor '" + name + "' of type " + scalar + " cannot be saved as safetensors.");
  }

  private static byte[] header(List<Item> items, Map<String, String> metadata) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json =
        Json.factory(8, Integer.MAX_VALUE).createGenerator(ObjectWriteContext.empty(), bytes)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeObjectPropertyStart(SafetensorsHeader.METADATA);
        new TreeMap<>(metadata).forEach(json::writeStringProperty);
        json.writeEndObject();
      }
      long offset = 0;
      for (Item item : items) {
        json.writeObjectPropertyStart(item.name());
        json.writeStringProperty("dtype", item.type().name());
        json.writeName("shape");
        long[] shape = item.tensor().shape();
        json.writeArray(shape, 0, shape.length);
        long end = Math.addExact(offset, item.tensor().numel() * item.type().bytes);
        json.writeName("data_offsets");
        json.writeArray(new long[] {offset, end}, 0, 2);
        json.writeEndObject();
        offset = end;
      }
      json.writeEndObject();
    }
    while (bytes.size() % 8 != 0) {
      bytes.write(' ');
    }
    if (bytes.size() > SafetensorsHeader.LIMIT) {
      throw new OutriggerException(
          "The names and metadata take "
              + bytes.size()
              + " bytes, more than the "
              + SafetensorsHeader.LIMIT
              + " that a safetensors header may have.");
    }
    return bytes.toByteArray();
  }

  private static void copyOut(Tensor tensor, OutputStream out) throws IOException {
    try (PointerScope scope = new PointerScope()) {
      Tensor dense = tensor.detach().cpu().contiguous();
      long size = dense.nbytes();
      byte[] block = new byte[(int) Math.min(size, 1 << 20)];
      for (long done = 0; done < size; done += SLICE) {
        ByteBuffer source = slice(dense, done, Math.min(SLICE, size - done));
        while (source.hasRemaining()) {
          int length = Math.min(block.length, source.remaining());
          source.get(block, 0, length);
          out.write(block, 0, length);
        }
      }
    }
  }
}
