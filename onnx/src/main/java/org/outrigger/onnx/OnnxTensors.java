package org.outrigger.onnx;

import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/** Tensors of ONNX files and of ONNX Runtime as libtorch's, by block copies or none at all. */
final class OnnxTensors {
  private OnnxTensors() {}

  /**
   * A view of a dense CPU tensor for ONNX Runtime, which reads and writes the tensor's own memory;
   * the tensor must outlive it.
   */
  static OnnxTensor view(OrtEnvironment environment, Tensor tensor) throws OrtException {
    return OnnxTensor.createTensor(
        environment,
        Tensors.bytes(tensor),
        tensor.shape(),
        javaType(tensor.scalar_type().intern()));
  }

  /** A copy of what ONNX Runtime computed. */
  static Tensor copy(OnnxTensor value) {
    ScalarType type = torchType(value.getInfo().type);
    Tensor tensor = torch.empty(value.getInfo().getShape(), new TensorOptions(type), null);
    if (tensor.numel() > 0) {
      Tensors.bytes(tensor).put(value.getByteBuffer());
    }
    return tensor;
  }

  private static OnnxJavaType javaType(ScalarType type) {
    return switch (type) {
      case Float -> OnnxJavaType.FLOAT;
      case Double -> OnnxJavaType.DOUBLE;
      case Half -> OnnxJavaType.FLOAT16;
      case Long -> OnnxJavaType.INT64;
      case Int -> OnnxJavaType.INT32;
      case Byte -> OnnxJavaType.UINT8;
      default -> throw unsupported(type.toString());
    };
  }

  static ScalarType torchType(OnnxJavaType type) {
    return switch (type) {
      case FLOAT -> ScalarType.Float;
      case DOUBLE -> ScalarType.Double;
      case FLOAT16 -> ScalarType.Half;
      case INT64 -> ScalarType.Long;
      case INT32 -> ScalarType.Int;
      case UINT8 -> ScalarType.Byte;
      default -> throw unsupported(type.toString());
    };
  }

  static ScalarType torchType(TensorProto.DataType type) {
    return switch (type) {
      case FLOAT -> ScalarType.Float;
      case DOUBLE -> ScalarType.Double;
      case FLOAT16 -> ScalarType.Half;
      case INT64 -> ScalarType.Long;
      case INT32 -> ScalarType.Int;
      case UINT8 -> ScalarType.Byte;
      default -> throw unsupported(type.toString());
    };
  }

  private static OutriggerException unsupported(String type) {
    return new OutriggerException(
        "Values of type " + type + " are not supported: export the model with float32 values.");
  }

  /**
   * A stored tensor.
   *
   * @param folder where files beside the model lie
   */
  static Tensor read(TensorProto stored, Path folder) {
    TensorProto.DataType type = TensorProto.DataType.forNumber(stored.getDataType());
    if (type == null) {
      throw damaged(stored);
    }
    ScalarType kind = torchType(type);
    long[] shape = stored.getDimsList().stream().mapToLong(Long::longValue).toArray();
    if (stored.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
      return filled(stored, kind, shape, external(stored, folder));
    }
    if (stored.hasRawData()) {
      ByteString raw = stored.getRawData();
      return filled(stored, kind, shape, raw.asReadOnlyByteBuffer());
    }
    if (type == TensorProto.DataType.FLOAT && stored.getFloatDataCount() > 0) {
      float[] values = new float[stored.getFloatDataCount()];
      for (int i = 0; i < values.length; i++) {
        values[i] = stored.getFloatData(i);
      }
      return Tensors.of(values, shape);
    }
    throw damaged(stored);
  }

  private static Tensor filled(TensorProto stored, ScalarType type, long[] shape, ByteBuffer data) {
    try {
      Tensor tensor = torch.empty(shape, new TensorOptions(type), null);
      if (tensor.nbytes() != data.remaining()) {
        throw damaged(stored);
      }
      Tensors.bytes(tensor).put(data.order(ByteOrder.LITTLE_ENDIAN));
      return tensor;
    } catch (OutriggerException e) {
      throw e;
    } catch (RuntimeException e) {
      OutriggerException ours = damaged(stored);
      ours.initCause(e);
      throw ours;
    }
  }

  private static ByteBuffer external(TensorProto stored, Path folder) {
    Map<String, String> entries =
        stored.getExternalDataList().stream()
            .collect(
                Collectors.toMap(
                    StringStringEntryProto::getKey,
                    StringStringEntryProto::getValue,
                    (first, second) -> second));
    Path file = beside(folder, entries.getOrDefault("location", ""));
    try (RandomAccessFile in = new RandomAccessFile(file.toFile(), "r")) {
      long offset = Long.parseLong(entries.getOrDefault("offset", "0"));
      long length =
          Long.parseLong(entries.getOrDefault("length", String.valueOf(in.length() - offset)));
      if (offset < 0 || length < 0 || offset > in.length() - length) {
        throw damaged(stored);
      }
      byte[] bytes = new byte[Math.toIntExact(length)];
      in.seek(offset);
      in.readFully(bytes);
      return ByteBuffer.wrap(bytes);
    } catch (IOException | ArithmeticException | NumberFormatException e) {
      OutriggerException ours = damaged(stored);
      ours.initCause(e);
      throw ours;
    }
  }

  /** A file that a model names, which must lie in the model's folder or below it. */
  static Path beside(Path folder, String location) {
    Path root = folder.toAbsolutePath().normalize();
    Path file;
    try {
      file = root.resolve(location).normalize();
    } catch (java.nio.file.InvalidPathException e) {
      throw new OutriggerException("The model names a data file with an impossible path.", e);
    }
    if (location.isEmpty() || !file.startsWith(root) || file.equals(root)) {
      throw new OutriggerException(
          "The model names a data file outside its folder: " + location + ". It is not opened.");
    }
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException(
          "The model keeps its weights in "
              + location
              + ", which is not beside it: copy it there.");
    }
    return file;
  }

  private static OutriggerException damaged(TensorProto stored) {
    return new OutriggerException(
        "The stored tensor '" + stored.getName() + "' is damaged: copy or export the model again.");
  }
}
