package org.outrigger.core.zoo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/**
 * What it takes to build a network again: everything but its weights.
 *
 * @param name its name in the {@link Zoo}
 * @param settings all settings by name, defaults included
 * @param inputShape of one row: [C, H, W] or [D]
 * @param classes the number of outputs
 */
public record Architecture(
    String name, Map<String, Object> settings, List<Long> inputShape, int classes) {
  public Architecture {
    settings = Collections.unmodifiableMap(new LinkedHashMap<>(settings));
    inputShape = List.copyOf(inputShape);
  }

  /** The shape of one input row as an array. */
  public long[] shape() {
    return inputShape.stream().mapToLong(Long::longValue).toArray();
  }

  /** As JSON-able values, for {@link #of}. */
  public Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("zoo", name);
    map.put("settings", settings);
    map.put("inputShape", inputShape);
    map.put("classes", classes);
    return map;
  }

  /**
   * Reads what {@link #toMap} gave.
   *
   * @throws OutriggerException if a part is missing or of another type
   */
  public static Architecture of(Map<String, ?> map) {
    if (map.get("zoo") instanceof String name
        && map.get("settings") instanceof Map<?, ?> raw
        && map.get("inputShape") instanceof List<?> sizes
        && map.get("classes") instanceof Number classes) {
      Map<String, Object> settings = new LinkedHashMap<>();
      raw.forEach((key, value) -> settings.put(String.valueOf(key), value));
      List<Long> shape = new ArrayList<>();
      for (Object size : sizes) {
        if (!(size instanceof Number number)) {
          throw damaged();
        }
        shape.add(number.longValue());
      }
      return new Architecture(name, settings, shape, classes.intValue());
    }
    throw damaged();
  }

  private static OutriggerException damaged() {
    return new OutriggerException(
        "The description of the network's architecture is damaged: it needs zoo, settings,"
            + " inputShape and classes.");
  }

  static List<Long> shape(long[] shape) {
    return Arrays.stream(shape).boxed().toList();
  }
}
