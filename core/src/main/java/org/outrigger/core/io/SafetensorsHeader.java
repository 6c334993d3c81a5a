package org.outrigger.core.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;

/**
 * The header of a safetensors file, checked: it fits into the file, and its tensors fill the rest
 * of the file without gap or overlap. The only allocation before the checks is the header itself,
 * whose size is at most that of the file.
 */
record SafetensorsHeader(
    Map<String, Safetensors.Entry> entries, Map<String, String> metadata, long dataStart) {
  static final String METADATA = "__metadata__";
  static final int LIMIT = 100_000_000;
  private static final int MAX_DIMENSIONS = 64;

  /** Reads the header of a file of {@code fileSize} bytes, whose first the channel gives next. */
  static SafetensorsHeader read(String file, ReadableByteChannel channel, long fileSize)
      throws IOException {
    return new Reader(file).read(channel, fileSize);
  }

  private record Reader(String file) {
    SafetensorsHeader read(ReadableByteChannel channel, long fileSize) throws IOException {
      if (fileSize < 10) {
        throw damaged("it has only " + fileSize + " bytes");
      }
      long length = fill(channel, 8).order(ByteOrder.LITTLE_ENDIAN).getLong();
      if (length < 2 || length > LIMIT) {
        throw damaged(
            "its header claims "
                + Long.toUnsignedString(length)
                + " bytes, but 2 to "
                + LIMIT
                + " are allowed");
      }
      if (length > fileSize - 8) {
        throw damaged("its header claims " + length + " bytes, but the file has only " + fileSize);
      }
      String text;
      try {
        text = StandardCharsets.UTF_8.newDecoder().decode(fill(channel, (int) length)).toString();
      } catch (CharacterCodingException e) {
        throw damaged("its header is not UTF-8 text");
      }
      if (text.charAt(0) != '{') {
        throw damaged("its header is not a JSON object");
      }
      Map<String, Safetensors.Entry> entries = new LinkedHashMap<>();
      Map<String, String> metadata = new LinkedHashMap<>();
      try (JsonParser json = Json.factory(4, LIMIT).createParser(ObjectReadContext.empty(), text)) {
        demand(json.nextToken(), JsonToken.START_OBJECT);
        while (json.nextToken() == JsonToken.PROPERTY_NAME) {
          String name = json.currentName();
          demand(json.nextToken(), JsonToken.START_OBJECT);
          if (name.equals(METADATA)) {
            metadata(json, metadata);
          } else {
            entries.put(name, entry(json, name));
          }
        }
        demand(json.currentToken(), JsonToken.END_OBJECT);
        if (json.nextToken() != null) {
          throw damaged("text follows its header");
        }
      } catch (JacksonException e) {
        throw damaged("its header is not valid JSON (" + firstLine(e) + ")");
      }
      return new SafetensorsHeader(
          inFileOrder(entries, fileSize - 8 - length),
          Collections.unmodifiableMap(metadata),
          8 + length);
    }

    private ByteBuffer fill(ReadableByteChannel channel, int bytes) throws IOException {
      ByteBuffer buffer = ByteBuffer.allocate(bytes);
      while (buffer.hasRemaining()) {
        if (channel.read(buffer) < 0) {
          throw damaged("it ends inside its header");
        }
      }
      return buffer.flip();
    }

    private void metadata(JsonParser json, Map<String, String> into) {
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = json.currentName();
        demand(json.nextToken(), JsonToken.VALUE_STRING);
        into.put(name, json.getString());
      }
      demand(json.currentToken(), JsonToken.END_OBJECT);
    }

    private Safetensors.Entry entry(JsonParser json, String name) {
      Safetensors.@Nullable Type type = null;
      long @Nullable [] shape = null;
      long @Nullable [] offsets = null;
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = json.currentName();
        switch (key) {
          case "dtype" -> type = type(json, name);
          case "shape" -> shape = numbers(json, name, MAX_DIMENSIONS);
          case "data_offsets" -> offsets = numbers(json, name, 2);
          default -> throw damaged("tensor '" + name + "' has the unknown entry '" + key + "'");
        }
      }
      demand(json.currentToken(), JsonToken.END_OBJECT);
      if (type == null || shape == null || offsets == null || offsets.length != 2) {
        throw damaged("tensor '" + name + "' lacks its type, shape or place");
      }
      long bytes = type.bytes;
      for (long size : shape) {
        boolean overflow = Math.multiplyHigh(bytes, size) != 0;
        bytes *= size;
        if (overflow || bytes < 0) {
          throw damaged("tensor '" + name + "' claims an impossible shape");
        }
      }
      if (offsets[1] < offsets[0] || offsets[1] - offsets[0] != bytes) {
        throw damaged("the shape of tensor '" + name + "' does not fit its place in the file");
      }
      return new Safetensors.Entry(type, shape, offsets[0], offsets[1]);
    }

    private Safetensors.Type type(JsonParser json, String name) {
      demand(json.nextToken(), JsonToken.VALUE_STRING);
      String text = json.getString();
      for (Safetensors.Type type : Safetensors.Type.values()) {
        if (type.name().equals(text)) {
          return type;
        }
      }
      throw new OutriggerException(
          file
              + ": tensor '"
              + name
              + "' has the type '"
              + text.substring(0, Math.min(20, text.length()))
              + "', which is not supported. Convert it to F32.");
    }

    private long[] numbers(JsonParser json, String name, int most) {
      demand(json.nextToken(), JsonToken.START_ARRAY);
      List<Long> numbers = new ArrayList<>();
      while (json.nextToken() == JsonToken.VALUE_NUMBER_INT) {
        long number = json.getLongValue();
        if (number < 0 || numbers.size() == most) {
          throw damaged("tensor '" + name + "' claims an impossible shape or place");
        }
        numbers.add(number);
      }
      demand(json.currentToken(), JsonToken.END_ARRAY);
      return numbers.stream().mapToLong(Long::longValue).toArray();
    }

    private Map<String, Safetensors.Entry> inFileOrder(
        Map<String, Safetensors.Entry> entries, long dataSize) {
      List<Map.Entry<String, Safetensors.Entry>> sorted = new ArrayList<>(entries.entrySet());
      sorted.sort(
          Comparator.comparingLong((Map.Entry<String, Safetensors.Entry> e) -> e.getValue().begin())
              .thenComparingLong(e -> e.getValue().end()));
      Map<String, Safetensors.Entry> ordered = new LinkedHashMap<>();
      long position = 0;
      for (Map.Entry<String, Safetensors.Entry> entry : sorted) {
        if (entry.getValue().begin() != position) {
          throw damaged("tensor '" + entry.getKey() + "' overlaps another one or leaves a gap");
        }
        position = entry.getValue().end();
        ordered.put(entry.getKey(), entry.getValue());
      }
      if (position != dataSize) {
        throw damaged(
            "its tensors take " + position + " bytes, but " + dataSize + " follow the header");
      }
      return Collections.unmodifiableMap(ordered);
    }

    private void demand(@Nullable JsonToken actual, JsonToken wanted) {
      if (actual != wanted) {
        throw damaged("its header has " + actual + " where " + wanted + " belongs");
      }
    }

    private OutriggerException damaged(String why) {
      return new OutriggerException(
          file + " is not a valid safetensors file: " + why + ". Fetch or save it again.");
    }

    private static String firstLine(JacksonException e) {
      return String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("");
    }
  }
}
