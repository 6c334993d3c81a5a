package org.outrigger.core.io;

import java.util.Map;
import org.outrigger.core.OutriggerException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * JSON as the project's files use it. Output is deterministic: maps are written in key order,
 * records in the order of their components. NaN and infinities are written as the strings {@code
 * "NaN"}, {@code "Infinity"} and {@code "-Infinity"}, since JSON has no numbers for them; {@link
 * State#number} reads them back. Input is limited in depth and size, and a key that occurs twice is
 * an error.
 */
public final class Json {
  private static final TypeReference<Map<String, Object>> OBJECT = new TypeReference<>() {};

  private static final JsonMapper MAPPER =
      JsonMapper.builder(factory(64, 100_000_000))
          .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
          .build();

  private Json() {}

  /** The mapper, for what the short methods here do not cover. */
  public static JsonMapper mapper() {
    return MAPPER;
  }

  /** One line. */
  public static String compact(Object value) {
    return MAPPER.writeValueAsString(value);
  }

  /** Indented, with a line break at the end. */
  public static String pretty(Object value) {
    return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(value) + "\n";
  }

  /**
   * Reads an object.
   *
   * @param what what the text is, for the message, such as {@code "guard/manifest.json"}
   */
  public static Map<String, Object> object(String what, String text) {
    return read(what, text, OBJECT);
  }

  /** Reads a value of that type. */
  static <T> T read(String what, String text, TypeReference<T> type) {
    try {
      T value = MAPPER.readValue(text, type);
      if (value == null) {
        throw new OutriggerException(what + " is empty: the file is damaged.");
      }
      return value;
    } catch (JacksonException e) {
      throw new OutriggerException(
          what + " is not valid JSON: the file is damaged.\n" + e.getOriginalMessage(), e);
    }
  }

  /** A factory whose parsers refuse deep, huge and ambiguous documents. */
  static JsonFactory factory(int depth, int characters) {
    return JsonFactory.builder()
        .streamReadConstraints(
            StreamReadConstraints.builder()
                .maxNestingDepth(depth)
                .maxDocumentLength(characters)
                .maxStringLength(characters)
                .maxNumberLength(400)
                .build())
        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .enable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
        .build();
  }
}
