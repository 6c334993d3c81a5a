package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.outrigger.core.OutriggerException;

/** Other code's names for the same tensors. */
final class StateNames {
  /** What to replace, as a regular expression, and with what; tried in order until a name fits. */
  private static final List<Map.Entry<String, String>> ALIASES =
      List.of(
          Map.entry("^(linear|classifier|head)\\.", "fc."),
          Map.entry("^(linear|classifier|fc)\\.", "head."),
          Map.entry("\\.shortcut\\.", ".downsample."));

  private StateNames() {}

  static <T> Map<String, T> canonical(Set<String> wanted, Map<String, T> state) {
    Map<String, T> renamed = new LinkedHashMap<>();
    state.forEach(
        (name, value) -> {
          String ours = ours(wanted, name);
          if (renamed.put(ours, value) != null) {
            throw new OutriggerException(
                "The weights hold '" + ours + "' twice, once under the name '" + name + "'.");
          }
        });
    return renamed;
  }

  private static String ours(Set<String> wanted, String name) {
    String plain = name;
    while (!wanted.contains(plain) && plain.matches("(module|model|_orig_mod)\\..*")) {
      plain = plain.substring(plain.indexOf('.') + 1);
    }
    if (wanted.contains(plain)) {
      return plain;
    }
    for (Map.Entry<String, String> alias : ALIASES) {
      String other = plain.replaceFirst(alias.getKey(), alias.getValue());
      if (wanted.contains(other)) {
        return other;
      }
    }
    return plain;
  }
}
