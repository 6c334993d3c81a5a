package org.outrigger.core.data;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * MNIST's IDX files of unsigned bytes, also packed by gzip ({@code .gz}): images {@code [N, H, W]}
 * and labels {@code [N]}.
 */
public final class Idx {
  private static final int BYTES = 0x08;

  /** Deflate shortens by no more than this. */
  private static final long MAX_RATIO = 1032;

  private Idx() {}

  /**
   * Reads a file.
   *
   * @return bytes of the file's shape; the caller owns them
   * @throws OutriggerException if it is damaged or holds another type than unsigned bytes
   */
  public static Tensor read(Path file) {
    Torch.start();
    boolean packed = file.toString().endsWith(".gz");
    try (InputStream raw = new BufferedInputStream(Files.newInputStream(file));
        DataInputStream in = new DataInputStream(packed ? new GZIPInputStream(raw) : raw)) {
      int magic = in.readInt();
      int dimensions = magic & 255;
      if (magic >>> 16 != 0 || dimensions < 1 || dimensions > 4) {
        throw damaged(file, "it does not begin as IDX files do");
      }
      if ((magic >> 8 & 255) != BYTES) {
        throw new OutriggerException(file + " is IDX of another type than unsigned bytes.");
      }
      long[] shape = new long[dimensions];
      long count = 1;
      // No product can overflow while each is held below what the file can contain.
      long most = Files.size(file) * (packed ? MAX_RATIO : 1);
      for (int i = 0; i < dimensions; i++) {
        shape[i] = in.readInt() & 0xffffffffL;
        count *= shape[i];
        if (count > most || count > Integer.MAX_VALUE - 8) {
          throw damaged(
              file,
              "its header declares the shape "
                  + Arrays.toString(Arrays.copyOf(shape, i + 1))
                  + ", which does not fit into the file");
        }
      }
      byte[] bytes = in.readNBytes((int) count);
      if (bytes.length < count) {
        throw new EOFException();
      }
      return Tensors.of(ByteBuffer.wrap(bytes), ScalarType.Byte, shape);
    } catch (EOFException e) {
      throw damaged(file, "it ends early", e);
    } catch (IOException e) {
      throw damaged(file, String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * Writes bytes, packed if the name ends in {@code .gz}.
   *
   * @param bytes unsigned bytes [N] or [N, H, W]
   */
  public static void write(Path file, Tensor bytes) {
    if (bytes.scalar_type().intern() != ScalarType.Byte || bytes.dim() < 1) {
      throw new OutriggerException("IDX files hold unsigned bytes, not " + bytes.toString() + ".");
    }
    Tensor dense = bytes.contiguous();
    byte[] data = new byte[Math.toIntExact(dense.numel())];
    if (data.length > 0) {
      Tensors.bytes(dense).get(data);
    }
    ByteBuffer header = ByteBuffer.allocate(4 + 4 * (int) bytes.dim());
    header.putInt(BYTES << 8 | (int) bytes.dim());
    for (long size : bytes.shape()) {
      header.putInt(Math.toIntExact(size));
    }
    AtomicFiles.write(
        file,
        out -> {
          if (file.toString().endsWith(".gz")) {
            GZIPOutputStream zip = new GZIPOutputStream(out);
            write(zip, header.array(), data);
            zip.finish();
          } else {
            write(out, header.array(), data);
          }
        });
  }

  private static void write(OutputStream out, byte[] header, byte[] data) throws IOException {
    out.write(header);
    out.write(data);
  }

  /** Whether the file's name says that it is IDX. */
  public static boolean recognises(Path file) {
    return file.getFileName().toString().matches("(?i).*[-.]idx([1-4]-ubyte)?(\\.gz)?");
  }

  /**
   * Opens images with the labels that MNIST's naming puts beside them: {@code
   * train-images-idx3-ubyte} and {@code train-labels-idx1-ubyte}. Without such a file the images
   * are unlabelled.
   */
  public static TensorDataset open(Path images, DataOptions options) {
    String name = images.getFileName().toString();
    Path labels = images.resolveSibling(name.replace("images", "labels").replace("idx3", "idx1"));
    boolean labelled = !labels.equals(images) && Files.exists(labels);
    return Scopes.scoped(
        () -> ArrayData.of(name, read(images), labelled ? read(labels) : null, options));
  }

  private static OutriggerException damaged(Path file, String why) {
    return damaged(file, why, null);
  }

  private static OutriggerException damaged(Path file, String why, @Nullable Throwable cause) {
    return new OutriggerException(
        file + " is damaged or no IDX file: " + why + ". Fetch or save it again.", cause);
  }
}
