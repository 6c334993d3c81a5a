package org.outrigger.core.zoo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** Settings of an architecture: defaults with changes, read as the types that the defaults have. */
final class Settings {
  private final Map<String, Object> values;

  private Settings(Map<String, Object> values) {
    this.values = values;
  }

  static Settings of(String name, Map<String, Object> defaults, Map<String, ?> changes) {
    Map<String, Object> values = new LinkedHashMap<>(defaults);
    changes.forEach(
        (key, value) -> {
          Object usual = defaults.get(key);
          if (usual == null) {
            throw new OutriggerException(
                "Architecture "
                    + name
                    + " has no setting '"
                    + key
                    + "'."
                    + (defaults.isEmpty()
                        ? " It has none."
                        : " It has: " + String.join(", ", defaults.keySet()) + "."));
          }
          values.put(key, convert(name, key, usual, value));
        });
    return new Settings(values);
  }

  private static Object convert(String name, String key, Object usual, Object value) {
    try {
      if (usual instanceof Integer) {
        return value instanceof Number n
            ? Math.toIntExact(n.longValue())
            : Integer.parseInt(text(value));
      }
      if (usual instanceof Double) {
        return value instanceof Number n ? n.doubleValue() : Double.parseDouble(text(value));
      }
      if (usual instanceof Boolean && (value instanceof Boolean || isBoolean(value))) {
        return Boolean.parseBoolean(text(value));
      }
      if (usual instanceof String) {
        return text(value);
      }
      if (usual instanceof List<?>) {
        List<?> items =
            value instanceof List<?> list ? list : Arrays.asList(text(value).split("[x /]+"));
        List<Object> numbers = new ArrayList<>();
        for (Object item : items) {
          numbers.add(
              item instanceof Number n
                  ? Math.toIntExact(n.longValue())
                  : Integer.parseInt(text(item)));
        }
        return List.copyOf(numbers);
      }
    } catch (NumberFormatException | ArithmeticException e) {
      throw unreadable(name, key, usual, value, e);
    }
    throw unreadable(name, key, usual, value, null);
  }

  private static String text(Object value) {
    return String.valueOf(value).strip();
  }

  private static boolean isBoolean(Object value) {
    return text(value).matches("(?i)true|false");
  }

  private static OutriggerException unreadable(
      String name, String key, Object usual, Object value, @Nullable Exception cause) {
    String message =
        "Setting "
            + key
            + " of "
            + name
            + " cannot be '"
            + value
            + "': it must be like its default, "
            + usual
            + ".";
    return cause == null ? new OutriggerException(message) : new OutriggerException(message, cause);
  }

  Map<String, Object> values() {
    return values;
  }

  int integer(String key) {
    return (Integer) value(key);
  }

  double number(String key) {
    return (Double) value(key);
  }

  boolean yes(String key) {
    return (Boolean) value(key);
  }

  String text(String key) {
    return (String) value(key);
  }

  @SuppressWarnings("unchecked")
  List<Integer> integers(String key) {
    return (List<Integer>) value(key);
  }

  private Object value(String key) {
    Object value = values.get(key);
    if (value == null) {
      throw new IllegalArgumentException("No setting " + key);
    }
    return value;
  }
}
