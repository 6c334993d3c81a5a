package org.outrigger.serve.store;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.protocol.Refusal;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/**
 * What a client says a row really is.
 *
 * @param request the id of the request
 * @param row of the request, from 0
 * @param label the class index
 */
record PostedLabel(String request, int row, int label) {
  static final int MOST = 10_000;
  private static final int MOST_ROW = 1_000_000;
  private static final Pattern NAMED = Pattern.compile("[\\x21-\\x7E][\\x20-\\x7E]{0,127}");
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(8)
                  .maxStringLength(1_000)
                  .maxNumberLength(20)
                  .maxNameLength(200)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  /**
   * Reads {@code {"labels": [{"id": "r1", "row": 0, "label": 3}, ...]}}. A label is a class index
   * or a class name; a row is 0 unless it is given. A row that occurs twice has the last label.
   *
   * @param body that nobody vouches for
   * @param classNames by index
   * @throws Refusal if anything is wrong with any of them
   */
  static List<PostedLabel> read(byte[] body, List<String> classNames) {
    Map<String, Integer> byName = new LinkedHashMap<>();
    for (int i = 0; i < classNames.size(); i++) {
      byName.putIfAbsent(classNames.get(i), i);
    }
    Map<LabelResult.Name, PostedLabel> labels = new LinkedHashMap<>();
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), body, 0, body.length)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw Refusal.bad("The body must be a JSON object with labels.");
      }
      boolean found = false;
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        boolean list = json.currentName().equals("labels");
        JsonToken value = json.nextToken();
        if (!list) {
          json.skipChildren();
          continue;
        }
        if (value != JsonToken.START_ARRAY) {
          throw Refusal.bad("labels must be a list.");
        }
        found = true;
        for (int i = 0; json.nextToken() != JsonToken.END_ARRAY; i++) {
          if (i == MOST) {
            throw Refusal.bad("There are more than " + MOST + " labels: send them in parts.");
          }
          PostedLabel label = one(json, i, byName, classNames.size());
          LabelResult.Name name = new LabelResult.Name(label.request, label.row);
          labels.remove(name);
          labels.put(name, label);
        }
      }
      if (!found || labels.isEmpty()) {
        throw Refusal.bad(
            "There are no labels: send {\"labels\": [{\"id\": ..., \"label\": ...}]}.");
      }
      if (json.nextToken() != null) {
        throw Refusal.bad("There is more after the end of the JSON object.");
      }
    } catch (JacksonException e) {
      throw Refusal.bad("The body is no JSON that can be read: check it for what is cut off.");
    }
    return new ArrayList<>(labels.values());
  }

  private static PostedLabel one(JsonParser json, int i, Map<String, Integer> byName, int classes) {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      throw Refusal.bad("Label " + i + " is no JSON object.");
    }
    String id = null;
    int row = 0;
    Integer label = null;
    while (json.nextToken() == JsonToken.PROPERTY_NAME) {
      String key = json.currentName();
      JsonToken value = json.nextToken();
      switch (key) {
        case "id" -> id = value == JsonToken.VALUE_STRING ? json.getString() : "";
        case "row" -> row = index(json, value, MOST_ROW, "Row of label " + i);
        case "label" -> label = label(json, value, i, byName, classes);
        default -> json.skipChildren();
      }
    }
    if (id == null || !NAMED.matcher(id).matches()) {
      throw Refusal.bad(
          "Label " + i + " lacks its id: the id of the request, 1 to 128 printable characters.");
    }
    if (label == null) {
      throw Refusal.bad("Label " + i + " lacks its label: a class index or a class name.");
    }
    return new PostedLabel(id, row, label);
  }

  private static int label(
      JsonParser json, JsonToken value, int i, Map<String, Integer> byName, int classes) {
    if (value == JsonToken.VALUE_STRING) {
      @Nullable Integer named = byName.get(json.getString());
      if (named == null) {
        throw Refusal.bad("Label " + i + " is no class name of this guard.");
      }
      return named;
    }
    return index(json, value, classes, "Label " + i);
  }

  private static int index(JsonParser json, JsonToken value, int most, String what) {
    if (value == JsonToken.VALUE_NUMBER_INT) {
      try {
        int number = json.getIntValue();
        if (number >= 0 && number < most) {
          return number;
        }
      } catch (JacksonException tooLarge) {
        // Falls through: it is out of range.
      }
    }
    throw Refusal.bad(what + " is out of range: use 0 to " + (most - 1) + ".");
  }
}
