package org.outrigger.datasets;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Street View House Numbers (Netzer et al., 2011), cropped digits: MATLAB 5 files with X, uint8
 * [32, 32, 3, N] in column-major order, and y, [N, 1], where 10 stands for the digit 0.
 */
final class Svhn {
  private static final int MATRIX = 14;
  private static final int COMPRESSED = 15;
  private static final int UINT8 = 2;

  private Svhn() {}

  static TensorDataset open(Path folder, String part) {
    String name = part + "_32x32.mat";
    Path file = PublicFiles.find("SVHN", folder, "svhn", name, name + " (it is not an archive)");
    Map<String, Matrix> matrices = read(file);
    Matrix x = matrices.get("X");
    Matrix y = matrices.get("y");
    if (x == null
        || y == null
        || x.shape.length != 4
        || x.shape[2] != 3
        || x.type != UINT8
        || y.data.remaining() != (long) y.shape[0] * width(file, y.type)
        || y.shape[0] != x.shape[3]) {
      throw damaged(file, null);
    }
    int n = x.shape[3];
    ScalarType labelType =
        switch (y.type) {
          case UINT8 -> ScalarType.Byte;
          case 9 -> ScalarType.Double;
          default -> throw damaged(file, null);
        };
    return Scopes.scoped(
        () -> {
          // Column-major [H, W, C, N] is row-major [N, C, W, H].
          Tensor images =
              Tensors.of(x.data, ScalarType.Byte, n, x.shape[2], x.shape[1], x.shape[0])
                  .transpose(2, 3)
                  .contiguous();
          Tensor labels = Tensors.of(y.data, labelType, n).to(ScalarType.Long);
          return TensorDataset.builder(images)
              .labels(labels.remainder(new Scalar(10)))
              .classNames(List.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"))
              .scaleBytes(true)
              .name("SVHN " + part)
              .build();
        });
  }

  private record Matrix(int[] shape, int type, ByteBuffer data) {}

  /** The numeric matrices of a MATLAB 5 file by name. */
  private static Map<String, Matrix> read(Path file) {
    ByteBuffer bytes = PublicFiles.map(file).order(ByteOrder.LITTLE_ENDIAN);
    Map<String, Matrix> found = new HashMap<>();
    try {
      if (bytes.remaining() < 128 || bytes.getShort(126) != 0x4d49) {
        throw damaged(file, null);
      }
      bytes.position(128);
      while (bytes.remaining() >= 8) {
        Element element = element(bytes, false);
        if (element.type == COMPRESSED) {
          element = element(inflate(element.data), false);
        }
        if (element.type == MATRIX) {
          element(element.data, true); // flags
          ByteBuffer sizes = element(element.data, true).data;
          int[] shape = new int[sizes.remaining() / 4];
          for (int i = 0; i < shape.length; i++) {
            shape[i] = sizes.getInt();
          }
          ByteBuffer name = element(element.data, true).data;
          Element values = element(element.data, true);
          found.put(
              StandardCharsets.US_ASCII.decode(name).toString(),
              new Matrix(shape, values.type, values.data));
        }
      }
      return found;
    } catch (DataFormatException
        | IndexOutOfBoundsException
        | IllegalArgumentException
        | java.nio.BufferUnderflowException e) {
      throw damaged(file, e);
    }
  }

  private record Element(int type, ByteBuffer data) {}

  /**
   * Takes the next element.
   *
   * @param padded whether elements end at multiples of 8 bytes, as they do within a matrix
   */
  private static Element element(ByteBuffer bytes, boolean padded) {
    int tag = bytes.getInt();
    int size = tag >>> 16;
    if (size != 0) {
      // A small element: size, type and up to four bytes of data in eight.
      ByteBuffer data = bytes.slice(bytes.position(), size).order(ByteOrder.LITTLE_ENDIAN);
      bytes.position(bytes.position() + 4);
      return new Element(tag & 0xffff, data);
    }
    int length = bytes.getInt();
    ByteBuffer data = bytes.slice(bytes.position(), length).order(ByteOrder.LITTLE_ENDIAN);
    int taken = padded ? (length + 7) / 8 * 8 : length;
    bytes.position(Math.min(bytes.limit(), bytes.position() + taken));
    return new Element(tag, data);
  }

  private static ByteBuffer inflate(ByteBuffer packed) throws DataFormatException {
    Inflater inflater = new Inflater();
    try {
      inflater.setInput(packed);
      byte[] head = new byte[8];
      if (inflater.inflate(head) < 8) {
        throw new DataFormatException("too short");
      }
      int size = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN).getInt(4);
      // zlib packs to no less than about a thousandth: a larger claim is a lie.
      if (size < 0 || size > 1100L * packed.limit() + 1024) {
        throw new DataFormatException("impossible size");
      }
      byte[] whole = new byte[size + 8];
      System.arraycopy(head, 0, whole, 0, 8);
      int at = 8;
      while (at < whole.length) {
        int read = inflater.inflate(whole, at, whole.length - at);
        if (read == 0) {
          throw new DataFormatException("too short");
        }
        at += read;
      }
      return ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN);
    } finally {
      inflater.end();
    }
  }

  private static int width(Path file, int type) {
    return switch (type) {
      case UINT8 -> 1;
      case 9 -> 8;
      default -> throw damaged(file, null);
    };
  }

  private static OutriggerException damaged(
      Path file, @org.jspecify.annotations.Nullable Exception cause) {
    String message = file + " is not the MATLAB 5 file of SVHN or is damaged. Fetch it again.";
    return cause == null ? new OutriggerException(message) : new OutriggerException(message, cause);
  }
}
