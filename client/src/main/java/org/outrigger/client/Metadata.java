package org.outrigger.client;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** Reads what servers say about their guards. */
final class Metadata {
  private static final int MOST_CLASSES = 1_000_000;

  private Metadata() {}

  static ModelMetadata read(byte[] body) {
    JsonNode json = Answer.object(body, body.length);
    JsonNode input = json.path("inputs").path(0);
    JsonNode more = json.path("parameters");
    JsonNode shape = input.path("shape");
    if (shape.size() < 2 || shape.size() > 8 || !input.path("name").isString()) {
      throw GuardClientException.answer("The server does not say what the guard takes");
    }
    List<Long> inner = new ArrayList<>();
    long length = 1;
    for (int i = 1; i < shape.size(); i++) {
      long size = shape.path(i).asLong(0);
      if (size == 0
          || size < -1
          || size > Integer.MAX_VALUE
          || length > Integer.MAX_VALUE / Math.abs(size)) {
        throw GuardClientException.answer("The guard's input has a shape that cannot be");
      }
      length *= Math.abs(size);
      inner.add(size);
    }
    JsonNode names = more.path("classNames");
    List<String> classes = new ArrayList<>();
    for (int i = 0; i < Math.min(names.size(), MOST_CLASSES); i++) {
      classes.add(names.path(i).asString(""));
    }
    String promise = more.path("labelSets").asString("");
    return new ModelMetadata(
        name(json),
        json.path("versions").path(0).asString(""),
        input.path("name").asString(""),
        inner,
        classes,
        more.path("threshold").asDouble(Double.NaN),
        promise.isEmpty() ? null : promise,
        Math.max(1, more.path("maxRows").asInt(1024)),
        Math.max(8192, more.path("maxRequestBytes").asInt(32 << 20)));
  }

  static List<ServedModel> models(byte[] body) {
    List<ServedModel> models = new ArrayList<>();
    try {
      for (JsonNode entry : Answer.JSON.readTree(body)) {
        models.add(
            new ServedModel(
                name(entry),
                entry.path("version").asString(""),
                entry.path("state").asString("").equals("READY")));
      }
    } catch (JacksonException e) {
      throw GuardClientException.answer("The server's list of guards cannot be read");
    }
    return models;
  }

  /** A name that may go into paths. */
  private static String name(JsonNode json) {
    String name = text(json, "name");
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")) {
      throw GuardClientException.answer("The server has a guard of a name that cannot be");
    }
    return name;
  }

  static String text(JsonNode json, String key) {
    String text = json.path(key).asString("");
    if (text.isEmpty()) {
      throw GuardClientException.answer("The answer lacks " + key);
    }
    return text;
  }
}
