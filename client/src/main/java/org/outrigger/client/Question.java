package org.outrigger.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The body of an inference request.
 *
 * @param bytes all of it
 * @param jsonLength how many of them are JSON; -1 if all are
 */
@SuppressWarnings("ArrayRecordComponent")
record Question(byte[] bytes, int jsonLength) {
  private static final List<String> OUTPUTS =
      List.of("label", "class_name", "probability", "score", "unknown", "detector");

  /**
   * Writes a request for verdicts.
   *
   * @param model that is asked
   * @param id of the request
   * @param values of all rows; finite
   * @param from the first value of this request
   * @param rows of this request
   * @param inner the shape of one row
   */
  static Question of(
      ModelMetadata model,
      boolean binary,
      String id,
      @Nullable String stream,
      float[] values,
      int from,
      int rows,
      long[] inner) {
    int length = 1;
    for (long size : inner) {
      length *= (int) size;
    }
    int count = rows * length;
    Map<String, Object> input = new LinkedHashMap<>();
    input.put("name", model.input());
    input.put("datatype", "FP32");
    input.put("shape", shape(rows, inner));
    if (binary) {
      input.put("parameters", Map.of("binary_data_size", 4 * count));
    } else {
      input.put("data", Arrays.copyOfRange(values, from, from + count));
    }
    Map<String, Object> parameters = new LinkedHashMap<>();
    parameters.put("binary_data_output", binary);
    if (stream != null) {
      parameters.put("stream", stream);
    }
    List<Map<String, String>> outputs =
        new java.util.ArrayList<>(OUTPUTS.stream().map(name -> Map.of("name", name)).toList());
    if (model.promise() != null) {
      outputs.add(Map.of("name", "label_set"));
    }
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("id", id);
    request.put("parameters", parameters);
    request.put("inputs", List.of(input));
    request.put("outputs", outputs);
    byte[] head = Answer.JSON.writeValueAsBytes(request);
    if (!binary) {
      return new Question(head, -1);
    }
    ByteBuffer all =
        ByteBuffer.allocate(Math.addExact(head.length, Math.multiplyExact(4, count)))
            .order(ByteOrder.LITTLE_ENDIAN);
    all.put(head);
    all.asFloatBuffer().put(values, from, count);
    return new Question(all.array(), head.length);
  }

  private static long[] shape(int rows, long[] inner) {
    long[] shape = new long[inner.length + 1];
    shape[0] = rows;
    System.arraycopy(inner, 0, shape, 1, inner.length);
    return shape;
  }
}
