package org.outrigger.serve.protocol;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;

/**
 * An inference request. It is read from bytes that nobody vouches for: nothing is allocated beyond
 * what the body's own size allows, nesting is bounded, and whatever does not fit is a {@link
 * Refusal} with a message.
 *
 * @param id of the request, given back in the answer; one is made up if the client gives none
 * @param stream whose rows these are: the parameter {@code stream}; {@code ""} if there is none
 * @param inputs by name, in order
 * @param outputs the outputs that are wanted, with whether each is wanted in binary; empty for all
 * @param binary whether outputs are wanted in binary unless they say otherwise
 */
public record InferRequest(
    String id,
    String stream,
    Map<String, InputTensor> inputs,
    Map<String, @Nullable Boolean> outputs,
    boolean binary) {
  private static final int MOST_DIMENSIONS = 8;
  private static final int MOST_TENSORS = 64;
  private static final Pattern NAMED = Pattern.compile("[\\x21-\\x7E][\\x20-\\x7E]{0,127}");
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(32)
                  .maxStringLength(100_000)
                  .maxNumberLength(64)
                  .maxNameLength(1_000)
                  .build())
          .build();

  /**
   * Reads a request.
   *
   * @param body all of it
   * @param jsonLength how many bytes of it are JSON, from the header {@code
   *     Inference-Header-Content-Length}; -1 if all are
   * @throws Refusal if it is no inference request
   */
  public static InferRequest read(byte[] body, int jsonLength) {
    if (jsonLength > body.length || jsonLength < -1) {
      throw Refusal.bad(
          "The header Inference-Header-Content-Length says "
              + jsonLength
              + ", but the body has "
              + body.length
              + " bytes.");
    }
    int length = jsonLength < 0 ? body.length : jsonLength;
    ByteBuffer tail =
        ByteBuffer.wrap(body, length, body.length - length).slice().order(ByteOrder.LITTLE_ENDIAN);
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), body, 0, length)) {
      InferRequest request = new Reader(json, tail).request();
      if (json.nextToken() != null) {
        throw Refusal.bad("There is more after the end of the JSON object.");
      }
      if (tail.hasRemaining()) {
        throw Refusal.bad(
            tail.remaining() + " bytes of the body belong to no input: check binary_data_size.");
      }
      return request;
    } catch (JacksonException e) {
      throw Refusal.bad("The body is no JSON that can be read: " + shown(e.getOriginalMessage()));
    }
  }

  /** Text of a client, cut short for a message. */
  static String shown(@Nullable String text) {
    String line = String.valueOf(text).lines().findFirst().orElse("");
    return line.length() > 200 ? line.substring(0, 200) + "..." : line;
  }

  /** Walks the JSON once. */
  private static final class Reader {
    private final JsonParser json;
    private final ByteBuffer tail;

    Reader(JsonParser json, ByteBuffer tail) {
      this.json = json;
      this.tail = tail;
    }

    InferRequest request() {
      expect(json.nextToken(), JsonToken.START_OBJECT, "The request");
      String id = null;
      String stream = "";
      boolean binary = false;
      Map<String, InputTensor> inputs = new LinkedHashMap<>();
      Map<String, @Nullable Boolean> outputs = new LinkedHashMap<>();
      Set<String> seen = new HashSet<>();
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = once(seen, json.currentName());
        JsonToken value = json.nextToken();
        switch (key) {
          case "id" -> id = named(text(value, "id"), "id");
          case "inputs" -> inputs(value, inputs);
          case "outputs" -> outputs(value, outputs);
          case "parameters" -> {
            Map<String, Object> parameters = parameters(value);
            binary = flag(parameters, "binary_data_output", false);
            if (parameters.containsKey("stream")) {
              stream = named(parameters.get("stream"), "The parameter stream");
            }
          }
          default -> json.skipChildren();
        }
      }
      if (inputs.isEmpty()) {
        throw Refusal.bad("The request has no inputs.");
      }
      // A random id, so that labels can name the request later.
      return new InferRequest(
          id == null ? UUID.randomUUID().toString() : id, stream, inputs, outputs, binary);
    }

    /** A name that may go into logs, files and headers as it is. */
    private static String named(@Nullable Object value, String what) {
      if (!(value instanceof String name) || !NAMED.matcher(name).matches()) {
        throw Refusal.bad(what + " is 1 to 128 printable ASCII characters, no space first.");
      }
      return name;
    }

    private static String once(Set<String> seen, String key) {
      if (!seen.add(key)) {
        throw Refusal.bad("The key '" + shown(key) + "' occurs twice.");
      }
      return key;
    }

    private void inputs(JsonToken token, Map<String, InputTensor> inputs) {
      expect(token, JsonToken.START_ARRAY, "inputs");
      while (json.nextToken() != JsonToken.END_ARRAY) {
        InputTensor tensor = input();
        if (inputs.size() == MOST_TENSORS || inputs.put(tensor.name(), tensor) != null) {
          throw Refusal.bad(
              "There are too many inputs, or two of the name '" + shown(tensor.name()) + "'.");
        }
      }
    }

    private InputTensor input() {
      expect(json.currentToken(), JsonToken.START_OBJECT, "Each of the inputs");
      String name = null;
      long[] shape = null;
      Datatype type = null;
      Floats data = null;
      Map<String, Object> parameters = Map.of();
      Set<String> seen = new HashSet<>();
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = once(seen, json.currentName());
        JsonToken value = json.nextToken();
        switch (key) {
          case "name" -> name = text(value, "The name of an input");
          case "shape" -> shape = shape(value);
          case "datatype" -> type = Datatype.of(text(value, "datatype"));
          case "parameters" -> parameters = parameters(value);
          case "data" -> data = data(value);
          default -> json.skipChildren();
        }
      }
      if (name == null || shape == null || type == null) {
        throw Refusal.bad("An input lacks its name, shape or datatype.");
      }
      String who = "The input '" + shown(name) + "'";
      if (!type.numeric()) {
        throw Refusal.bad(who + " is BYTES, but a guard takes numbers: send FP32.");
      }
      long count = InputTensor.count(shape);
      Object size = parameters.get("binary_data_size");
      if (size != null) {
        if (data != null) {
          throw Refusal.bad(who + " has both data and binary_data_size.");
        }
        return binary(who, name, shape, type, count, size);
      }
      if (data == null) {
        throw Refusal.bad(who + " has neither data nor binary_data_size.");
      }
      if (count != data.size) {
        throw Refusal.bad(
            who
                + " has "
                + data.size
                + " values, but its shape "
                + Arrays.toString(shape)
                + " needs "
                + count
                + ".");
      }
      return new InputTensor(name, type, shape, data.toArray());
    }

    private InputTensor binary(
        String who, String name, long[] shape, Datatype type, long count, Object size) {
      if (!(size instanceof Long bytes) || bytes < 0 || bytes > tail.remaining()) {
        throw Refusal.bad(who + " has a binary_data_size that the rest of the body does not hold.");
      }
      if (bytes % type.size() != 0 || bytes / type.size() != count) {
        throw Refusal.bad(
            who
                + " has "
                + bytes
                + " bytes of "
                + type
                + ", but its shape "
                + Arrays.toString(shape)
                + " needs "
                + count
                + " values.");
      }
      float[] values = new float[Math.toIntExact(count)];
      if (type == Datatype.FP32) {
        tail.asFloatBuffer().get(values);
        tail.position(tail.position() + 4 * values.length);
      } else {
        for (int i = 0; i < values.length; i++) {
          values[i] = type.number(tail);
        }
      }
      return new InputTensor(name, type, shape, values);
    }

    private long[] shape(JsonToken token) {
      expect(token, JsonToken.START_ARRAY, "shape");
      List<Long> sizes = new ArrayList<>();
      while (json.nextToken() != JsonToken.END_ARRAY) {
        if (json.currentToken() != JsonToken.VALUE_NUMBER_INT
            || sizes.size() == MOST_DIMENSIONS
            || json.getLongValue() < 0) {
          throw Refusal.bad(
              "A shape is a list of at most "
                  + MOST_DIMENSIONS
                  + " whole numbers that are not negative.");
        }
        sizes.add(json.getLongValue());
      }
      return sizes.stream().mapToLong(Long::longValue).toArray();
    }

    /** Numbers in row-major order, flat or nested. */
    private Floats data(JsonToken token) {
      expect(token, JsonToken.START_ARRAY, "data");
      Floats values = new Floats();
      int depth = 1;
      while (depth > 0) {
        switch (json.nextToken()) {
          case START_ARRAY -> depth++;
          case END_ARRAY -> depth--;
          case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> values.add(json.getFloatValue());
          case VALUE_TRUE -> values.add(1);
          case VALUE_FALSE -> values.add(0);
          default -> throw Refusal.bad("data holds something that is no number.");
        }
      }
      return values;
    }

    private void outputs(JsonToken token, Map<String, @Nullable Boolean> outputs) {
      expect(token, JsonToken.START_ARRAY, "outputs");
      while (json.nextToken() != JsonToken.END_ARRAY) {
        expect(json.currentToken(), JsonToken.START_OBJECT, "Each of the outputs");
        String name = null;
        Map<String, Object> parameters = Map.of();
        Set<String> seen = new HashSet<>();
        while (json.nextToken() == JsonToken.PROPERTY_NAME) {
          String key = once(seen, json.currentName());
          JsonToken value = json.nextToken();
          switch (key) {
            case "name" -> name = text(value, "The name of an output");
            case "parameters" -> parameters = parameters(value);
            default -> json.skipChildren();
          }
        }
        if (name == null || outputs.size() == MOST_TENSORS) {
          throw Refusal.bad("An output lacks its name, or there are too many.");
        }
        outputs.put(
            name,
            parameters.containsKey("binary_data") ? flag(parameters, "binary_data", false) : null);
      }
    }

    private Map<String, Object> parameters(JsonToken token) {
      expect(token, JsonToken.START_OBJECT, "parameters");
      Map<String, Object> values = new LinkedHashMap<>();
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = json.currentName();
        switch (json.nextToken()) {
          case VALUE_NUMBER_INT -> values.put(key, json.getLongValue());
          case VALUE_TRUE -> values.put(key, true);
          case VALUE_FALSE -> values.put(key, false);
          case VALUE_STRING -> values.put(key, json.getString());
          default -> json.skipChildren();
        }
      }
      return values;
    }

    private static boolean flag(Map<String, Object> parameters, String key, boolean otherwise) {
      Object value = parameters.getOrDefault(key, otherwise);
      if (!(value instanceof Boolean flag)) {
        throw Refusal.bad("The parameter " + key + " is true or false.");
      }
      return flag;
    }

    private String text(JsonToken token, String what) {
      expect(token, JsonToken.VALUE_STRING, what);
      return json.getString();
    }

    private static void expect(@Nullable JsonToken token, JsonToken wanted, String what) {
      if (token != wanted) {
        throw Refusal.bad(
            what
                + " must be "
                + switch (wanted) {
                  case START_OBJECT -> "a JSON object";
                  case START_ARRAY -> "a list";
                  default -> "text";
                }
                + ".");
      }
    }
  }

  /** Numbers that grow as they are read: never more than twice what the body holds. */
  private static final class Floats {
    private float[] values = new float[256];
    private int size;

    void add(float value) {
      if (size == values.length) {
        values = Arrays.copyOf(values, 2 * size);
      }
      values[size++] = value;
    }

    float[] toArray() {
      return Arrays.copyOf(values, size);
    }
  }
}
