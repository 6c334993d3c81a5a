package org.outrigger.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The answer to an inference request: output tensors in JSON or in binary. It is read from bytes
 * that nobody vouches for: every size is checked against what was asked and what there is.
 */
final class Answer {
  static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(32)
                          .maxStringLength(100_000)
                          .maxNameLength(1_000)
                          .maxNumberLength(400)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .build();

  private final Map<String, Output> outputs = new LinkedHashMap<>();
  private final int rows;

  /**
   * One tensor.
   *
   * @param data in JSON; null if it is binary
   * @param bytes in binary; null if it is JSON
   */
  private record Output(
      String datatype, long width, @Nullable JsonNode data, @Nullable ByteBuffer bytes) {}

  /**
   * @param body all of it
   * @param jsonLength the header that says how much of it is JSON; null if all is
   * @param rows that were asked about
   */
  Answer(byte[] body, @Nullable String jsonLength, int rows) {
    this.rows = rows;
    int head = body.length;
    if (jsonLength != null) {
      if (!jsonLength.matches("[0-9]{1,9}") || Integer.parseInt(jsonLength) > body.length) {
        throw GuardClientException.answer("The answer's header length is not within its body");
      }
      head = Integer.parseInt(jsonLength);
    }
    ByteBuffer tail = ByteBuffer.wrap(body, head, body.length - head).slice();
    JsonNode list = object(body, head).path("outputs");
    if (!list.isArray()) {
      throw GuardClientException.answer("The answer has no outputs");
    }
    for (JsonNode output : list) {
      String name = output.path("name").asString("");
      if (outputs.put(name, output(name, output, tail)) != null) {
        throw GuardClientException.answer("The answer has an output twice");
      }
    }
    if (tail.hasRemaining()) {
      throw GuardClientException.answer("The answer has bytes that belong to no output");
    }
  }

  /** Reads a JSON object. */
  static JsonNode object(byte[] bytes, int length) {
    try {
      JsonNode node = JSON.readTree(bytes, 0, length);
      if (node.isObject()) {
        return node;
      }
    } catch (JacksonException e) {
      throw new GuardClientException(
          200,
          "The answer is no JSON that can be read: is this an Outrigger server?\n"
              + e.getOriginalMessage(),
          e);
    }
    throw GuardClientException.answer("The answer is no JSON object");
  }

  private Output output(String name, JsonNode output, ByteBuffer tail) {
    JsonNode shape = output.path("shape");
    if (shape.size() < 1 || shape.size() > 2 || shape.path(0).asLong(-1) != rows) {
      throw wrong(name, "has another number of rows than were sent");
    }
    long width = shape.size() == 1 ? 1 : shape.path(1).asLong(-1);
    if (width < 1 || width > 1_000_000) {
      throw wrong(name, "has a shape that cannot be");
    }
    String datatype = output.path("datatype").asString("");
    JsonNode size = output.path("parameters").path("binary_data_size");
    if (size.isMissingNode()) {
      JsonNode data = output.path("data");
      if (!data.isArray() || data.size() != rows * width) {
        throw wrong(name, "has another number of values than its shape says");
      }
      return new Output(datatype, width, data, null);
    }
    int bytes = size.asInt(-1);
    if (bytes < 0 || bytes > tail.remaining()) {
      throw wrong(name, "says more bytes than there are");
    }
    ByteBuffer part = tail.slice(tail.position(), bytes).order(ByteOrder.LITTLE_ENDIAN);
    tail.position(tail.position() + bytes);
    return new Output(datatype, width, null, part);
  }

  private static GuardClientException wrong(String name, String what) {
    return GuardClientException.answer("The output " + Failures.shown(name) + " " + what);
  }

  private Output get(String name, String datatype, int size) {
    Output output = outputs.get(name);
    if (output == null) {
      throw GuardClientException.answer("The answer lacks the output " + name);
    }
    if (!output.datatype.equals(datatype)) {
      throw wrong(name, "is not of the type " + datatype);
    }
    if (output.bytes != null
        && size > 0
        && output.bytes.remaining() != rows * output.width * size) {
      throw wrong(name, "has another number of bytes than its shape says");
    }
    return output;
  }

  private Output column(String name, String datatype, int size) {
    Output output = get(name, datatype, size);
    if (output.width != 1) {
      throw wrong(name, "is not one value a row");
    }
    return output;
  }

  /** Finite numbers, one a row. */
  double[] numbers(String name) {
    Output output = column(name, "FP64", 8);
    double[] values = new double[rows];
    for (int i = 0; i < rows; i++) {
      values[i] =
          output.data == null
              ? bytes(output).getDouble()
              : output.data.path(i).asDouble(Double.NaN);
      if (Double.isNaN(values[i])) {
        throw wrong(name, "holds something that is no number");
      }
    }
    return values;
  }

  /** Class indices, one a row. */
  int[] labels(String name) {
    Output output = column(name, "INT64", 8);
    int[] values = new int[rows];
    for (int i = 0; i < rows; i++) {
      long value = output.data == null ? bytes(output).getLong() : output.data.path(i).asLong(-1);
      if (value < 0 || value > Integer.MAX_VALUE) {
        throw wrong(name, "holds something that is no class");
      }
      values[i] = (int) value;
    }
    return values;
  }

  /** Truth values, {@code [rows][width]}. */
  boolean[][] flags(String name) {
    Output output = get(name, "BOOL", 1);
    boolean[][] values = new boolean[rows][(int) output.width];
    int next = 0;
    for (boolean[] row : values) {
      for (int j = 0; j < row.length; j++, next++) {
        if (output.data == null) {
          row[j] = bytes(output).get() != 0;
        } else if (output.data.path(next).isBoolean()) {
          row[j] = output.data.path(next).asBoolean();
        } else {
          throw wrong(name, "holds something that is neither true nor false");
        }
      }
    }
    return values;
  }

  /** Texts, one a row. */
  List<String> texts(String name) {
    Output output = column(name, "BYTES", 0);
    List<String> values = new ArrayList<>(rows);
    for (int i = 0; i < rows; i++) {
      if (output.data != null) {
        values.add(output.data.path(i).asString(""));
        continue;
      }
      ByteBuffer bytes = bytes(output);
      int length = bytes.remaining() < 4 ? -1 : bytes.getInt();
      if (length < 0 || length > bytes.remaining()) {
        throw wrong(name, "ends within a text");
      }
      byte[] text = new byte[length];
      bytes.get(text);
      values.add(new String(text, StandardCharsets.UTF_8));
    }
    if (output.bytes != null && output.bytes.hasRemaining()) {
      throw wrong(name, "has more texts than rows");
    }
    return values;
  }

  private static ByteBuffer bytes(Output output) {
    if (output.bytes == null) {
      throw new IllegalStateException();
    }
    return output.bytes;
  }

  /** Whether there is an output of that name. */
  boolean has(String name) {
    return outputs.containsKey(name);
  }

  /** One verdict a row. */
  List<Verdict> verdicts(String requestId) {
    int[] label = labels("label");
    List<String> className = texts("class_name");
    double[] probability = numbers("probability");
    double[] score = numbers("score");
    boolean[][] unknown = flags("unknown");
    List<String> detector = texts("detector");
    boolean[][] sets = has("label_set") ? flags("label_set") : null;
    List<Verdict> verdicts = new ArrayList<>(rows);
    for (int i = 0; i < rows; i++) {
      if (probability[i] < 0 || probability[i] > 1 + 1e-9) {
        throw wrong("probability", "is not within 0 and 1");
      }
      verdicts.add(
          new Verdict(
              requestId,
              i,
              label[i],
              className.get(i),
              Math.min(probability[i], 1),
              score[i],
              unknown[i][0],
              detector.get(i),
              sets == null ? null : members(sets[i])));
    }
    return verdicts;
  }

  private static List<Integer> members(boolean[] set) {
    List<Integer> labels = new ArrayList<>();
    for (int c = 0; c < set.length; c++) {
      if (set[c]) {
        labels.add(c);
      }
    }
    return labels;
  }
}
