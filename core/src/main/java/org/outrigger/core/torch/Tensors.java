package org.outrigger.core.torch;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;

/**
 * Tensors from and to Java arrays and direct buffers, by block copies. New tensors belong to the
 * innermost scope, or to the caller when there is none.
 */
public final class Tensors {
  private Tensors() {}

  /** A float32 tensor with a copy of {@code data} in row-major order. */
  public static Tensor of(float[] data, long... shape) {
    Tensor tensor = empty(ScalarType.Float, data.length, shape);
    // An empty tensor has no memory.
    if (data.length > 0) {
      try (FloatPointer target = tensor.data_ptr_float()) {
        target.put(data, 0, data.length);
      }
    }
    return tensor;
  }

  /** A float64 tensor with a copy of {@code data} in row-major order. */
  public static Tensor of(double[] data, long... shape) {
    Tensor tensor = empty(ScalarType.Double, data.length, shape);
    // An empty tensor has no memory.
    if (data.length > 0) {
      try (DoublePointer target = tensor.data_ptr_double()) {
        target.put(data, 0, data.length);
      }
    }
    return tensor;
  }

  /** An int64 tensor with a copy of {@code data} in row-major order. */
  public static Tensor of(long[] data, long... shape) {
    Tensor tensor = empty(ScalarType.Long, data.length, shape);
    // An empty tensor has no memory.
    if (data.length > 0) {
      try (LongPointer target = tensor.data_ptr_long()) {
        target.put(data, 0, data.length);
      }
    }
    return tensor;
  }

  /** An int64 tensor [n] of class indices. */
  public static Tensor labels(int... labels) {
    return of(Arrays.stream(labels).asLongStream().toArray(), labels.length);
  }

  /** A float64 matrix from rows of equal length. */
  public static Tensor of(double[][] rows) {
    int columns = rows.length == 0 ? 0 : rows[0].length;
    double[] flat = new double[rows.length * columns];
    for (int i = 0; i < rows.length; i++) {
      if (rows[i].length != columns) {
        throw new OutriggerException(
            "Row " + i + " has " + rows[i].length + " values, but row 0 has " + columns + ".");
      }
      System.arraycopy(rows[i], 0, flat, i * columns, columns);
    }
    return of(flat, rows.length, columns);
  }

  /**
   * A tensor of that type with a copy of the remaining bytes of {@code bytes}, which are in
   * row-major order and little-endian. Direct buffers are copied without an intermediate array.
   */
  public static Tensor of(ByteBuffer bytes, ScalarType type, long... shape) {
    Tensor tensor = torch.empty(shape, new TensorOptions(type), null);
    if (tensor.nbytes() != bytes.remaining()) {
      throw new OutriggerException(
          bytes.remaining()
              + " bytes do not fill a "
              + type
              + " tensor of shape "
              + Arrays.toString(shape)
              + ", which takes "
              + tensor.nbytes()
              + ".");
    }
    if (tensor.nbytes() > 0) {
      bytes(tensor).put(bytes.duplicate());
    }
    return tensor;
  }

  private static Tensor empty(ScalarType type, int length, long... shape) {
    Torch.start();
    long count = 1;
    for (long size : shape) {
      count = Math.multiplyExact(count, size);
    }
    if (count != length) {
      throw new OutriggerException(
          length + " values do not fill the shape " + Arrays.toString(shape) + ".");
    }
    return torch.empty(shape, new TensorOptions(type), null);
  }

  /** The values as float32 in row-major order. */
  public static float[] floats(Tensor tensor) {
    float[] out = new float[size(tensor)];
    Scopes.run(
        () -> {
          if (out.length > 0) {
            dense(tensor, ScalarType.Float).data_ptr_float().get(out, 0, out.length);
          }
        });
    return out;
  }

  /** The values as float64 in row-major order. */
  public static double[] doubles(Tensor tensor) {
    double[] out = new double[size(tensor)];
    Scopes.run(
        () -> {
          if (out.length > 0) {
            dense(tensor, ScalarType.Double).data_ptr_double().get(out, 0, out.length);
          }
        });
    return out;
  }

  /** The values as int64 in row-major order. */
  public static long[] longs(Tensor tensor) {
    long[] out = new long[size(tensor)];
    Scopes.run(
        () -> {
          if (out.length > 0) {
            dense(tensor, ScalarType.Long).data_ptr_long().get(out, 0, out.length);
          }
        });
    return out;
  }

  /** The values as int32 in row-major order; for class indices. */
  public static int[] ints(Tensor tensor) {
    return Arrays.stream(longs(tensor)).mapToInt(Math::toIntExact).toArray();
  }

  /** The rows of a matrix as float64. */
  public static double[][] rows(Tensor matrix) {
    Shapes.check().tensor("The matrix", matrix, "N", "D");
    double[] flat = doubles(matrix);
    int columns = Math.toIntExact(matrix.size(1));
    double[][] rows = new double[Math.toIntExact(matrix.size(0))][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(flat, i * columns, (i + 1) * columns);
    }
    return rows;
  }

  /**
   * A direct view of a dense CPU tensor's memory, little-endian. It is valid only while {@code
   * tensor} lives.
   */
  public static ByteBuffer bytes(Tensor tensor) {
    if (!tensor.is_contiguous() || tensor.is_cuda()) {
      throw new OutriggerException("Only a contiguous tensor on the CPU has a byte view.");
    }
    long size = tensor.nbytes();
    if (size > Integer.MAX_VALUE) {
      throw new OutriggerException(
          "A tensor of " + size + " bytes is too large for one buffer; take it in slices.");
    }
    try (Pointer data = tensor.data_ptr();
        BytePointer bytes = new BytePointer(data)) {
      Buffer view = bytes.capacity(size).asBuffer();
      return ((ByteBuffer) view).order(ByteOrder.LITTLE_ENDIAN);
    }
  }

  /** A scalar tensor of type float64. */
  public static Tensor scalar(double value) {
    return of(new double[] {value});
  }

  /** {@code value} as libtorch's scalar type. */
  public static Scalar number(double value) {
    return new Scalar(value);
  }

  private static int size(Tensor tensor) {
    return Math.toIntExact(tensor.numel());
  }

  private static Tensor dense(Tensor tensor, ScalarType type) {
    return tensor.detach().cpu().to(type).contiguous();
  }
}
