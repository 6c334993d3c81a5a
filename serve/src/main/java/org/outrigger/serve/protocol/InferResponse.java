package org.outrigger.serve.protocol;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.outrigger.core.io.Json;

/** An answer: output tensors, each in JSON or in binary after it. */
public final class InferResponse {
  private final Map<String, Object> head = new LinkedHashMap<>();
  private final List<Map<String, Object>> outputs = new ArrayList<>();
  private final ByteArrayOutputStream binary = new ByteArrayOutputStream();
  private final InferRequest request;

  /**
   * @param model its name
   * @param version of it
   * @param request that is answered
   */
  public InferResponse(String model, String version, InferRequest request) {
    this.request = request;
    head.put("model_name", model);
    head.put("model_version", version);
    head.put("id", request.id());
  }

  /** Whether the client wants this output. */
  public boolean wants(String name) {
    return request.outputs().isEmpty() || request.outputs().containsKey(name);
  }

  /** Adds numbers of type FP64. */
  public InferResponse add(String name, double[] values, long... shape) {
    return put(
        name,
        Datatype.FP64,
        values,
        () ->
            bytes(
                8 * values.length,
                b -> {
                  for (double value : values) {
                    b.putDouble(value);
                  }
                }),
        shape);
  }

  /** Adds numbers of type FP32. */
  public InferResponse add(String name, float[] values, long... shape) {
    return put(
        name,
        Datatype.FP32,
        values,
        () ->
            bytes(
                4 * values.length,
                b -> {
                  for (float value : values) {
                    b.putFloat(value);
                  }
                }),
        shape);
  }

  /** Adds numbers of type INT64. */
  public InferResponse add(String name, long[] values, long... shape) {
    return put(
        name,
        Datatype.INT64,
        values,
        () ->
            bytes(
                8 * values.length,
                b -> {
                  for (long value : values) {
                    b.putLong(value);
                  }
                }),
        shape);
  }

  /** Adds truth values. */
  public InferResponse add(String name, boolean[] values, long... shape) {
    return put(
        name,
        Datatype.BOOL,
        values,
        () ->
            bytes(
                values.length,
                b -> {
                  for (boolean value : values) {
                    b.put((byte) (value ? 1 : 0));
                  }
                }),
        shape);
  }

  /** Adds texts. */
  public InferResponse add(String name, List<String> values, long... shape) {
    return put(name, Datatype.BYTES, values, () -> bytes(values), shape);
  }

  /** Each text's length in bytes, and its bytes. */
  private static byte[] bytes(List<String> values) {
    byte[][] texts =
        values.stream().map(v -> v.getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
    int length = 0;
    for (byte[] text : texts) {
      length += 4 + text.length;
    }
    return bytes(
        length,
        b -> {
          for (byte[] text : texts) {
            b.putInt(text.length).put(text);
          }
        });
  }

  private static byte[] bytes(int length, Consumer<ByteBuffer> fill) {
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    fill.accept(buffer);
    return buffer.array();
  }

  private InferResponse put(
      String name, Datatype type, Object values, Supplier<byte[]> binaryForm, long... shape) {
    if (!wants(name)) {
      return this;
    }
    Map<String, Object> output = new LinkedHashMap<>();
    output.put("name", name);
    output.put("datatype", type.name());
    output.put("shape", shape);
    Boolean asked = request.outputs().get(name);
    if (asked == null ? request.binary() : asked) {
      byte[] bytes = binaryForm.get();
      output.put("parameters", Map.of("binary_data_size", bytes.length));
      binary.writeBytes(bytes);
    } else {
      output.put("data", values);
    }
    outputs.add(output);
    return this;
  }

  /**
   * The bytes of the answer.
   *
   * @param body all of it
   * @param jsonLength how many of them are JSON; -1 if all are
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Body(byte[] body, int jsonLength) {}

  /** Writes it. */
  public Body write() {
    head.put("outputs", outputs);
    byte[] json = Json.compact(head).getBytes(StandardCharsets.UTF_8);
    if (binary.size() == 0) {
      return new Body(json, -1);
    }
    ByteBuffer all = ByteBuffer.allocate(json.length + binary.size());
    all.put(json).put(binary.toByteArray());
    return new Body(all.array(), json.length);
  }
}
