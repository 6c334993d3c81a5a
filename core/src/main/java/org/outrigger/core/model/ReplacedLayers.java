package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Rebuildable;

/**
 * The layers of a network that have taken the place of its architecture's own, as a model file
 * names them.
 */
record ReplacedLayers(List<Entry> entries) {
  /** A layer's path, the name of its kind, and the kind's settings. */
  record Entry(String path, String kind, Map<String, Object> settings) {}

  /** Those of a network; what is inside a replaced layer belongs to it. */
  static ReplacedLayers of(Layer root) {
    List<Entry> entries = new ArrayList<>();
    root.layers()
        .forEach(
            (path, layer) -> {
              boolean inner = entries.stream().anyMatch(entry -> path.startsWith(entry.path + "."));
              if (!inner && layer instanceof Rebuildable rebuildable) {
                entries.add(new Entry(path, rebuildable.kind(), rebuildable.settings()));
              }
            });
    return new ReplacedLayers(entries);
  }

  /**
   * Reads what {@link #toList} gave.
   *
   * @param values null for none
   */
  static ReplacedLayers read(@Nullable Object values) {
    List<Entry> entries = new ArrayList<>();
    if (values instanceof List<?> list) {
      for (Object item : list) {
        if (!(item instanceof Map<?, ?> map
            && map.get("path") instanceof String path
            && map.get("kind") instanceof String kind
            && map.get("settings") instanceof Map<?, ?> raw)) {
          throw new OutriggerException(
              "The list of the network's replaced layers is damaged: each needs path, kind and"
                  + " settings.");
        }
        Map<String, Object> settings = new LinkedHashMap<>();
        raw.forEach((name, value) -> settings.put(String.valueOf(name), value));
        entries.add(new Entry(path, kind, settings));
      }
    }
    return new ReplacedLayers(entries);
  }

  /** As JSON-able values. */
  List<Map<String, Object>> toList() {
    return entries.stream()
        .map(
            entry ->
                Map.<String, Object>of(
                    "path", entry.path, "kind", entry.kind, "settings", entry.settings))
        .toList();
  }

  /**
   * Replaces the layers of a network that is as its architecture has it.
   *
   * @throws OutriggerException if a kind is not on the class path, or a layer cannot be replaced
   */
  void into(Layer root) {
    Map<String, Rebuildable.Kind> kinds = new TreeMap<>();
    if (!entries.isEmpty()) {
      ServiceLoader.load(Rebuildable.Kind.class, ReplacedLayers.class.getClassLoader())
          .forEach(kind -> kinds.put(kind.name(), kind));
    }
    for (Entry entry : entries) {
      Rebuildable.Kind kind = kinds.get(entry.kind);
      if (kind == null) {
        throw new OutriggerException(
            "The network's layer '"
                + entry.path
                + "' is of the kind '"
                + entry.kind
                + "', which is not known here ("
                + String.join(", ", kinds.keySet())
                + "): put the module that has it on the class path, or update Outrigger.");
      }
      root.replace(entry.path, kind.build(root.get(entry.path), entry.settings));
    }
  }
}
