package org.outrigger.core.nn;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;

/** Chooses dotted names by a path, a glob or a regular expression. */
record NamePattern(String text, Pattern pattern) {
  private static final String REGEX = "regex:";

  static NamePattern of(String text) {
    if (text.startsWith(REGEX)) {
      try {
        return new NamePattern(text, Pattern.compile(text.substring(REGEX.length())));
      } catch (PatternSyntaxException e) {
        throw new OutriggerException(
            "'" + text + "' is not a regular expression: " + e.getDescription() + ".", e);
      }
    }
    StringBuilder regex = new StringBuilder();
    for (char c : text.toCharArray()) {
      regex.append(c == '*' ? ".*" : c == '?' ? "." : Pattern.quote(String.valueOf(c)));
    }
    return new NamePattern(text, Pattern.compile(regex + "(\\..*)?"));
  }

  Map<String, Tensor> select(Map<String, Tensor> all) {
    Map<String, Tensor> chosen = new LinkedHashMap<>(all);
    chosen.keySet().removeIf(name -> !pattern.matcher(name).matches());
    if (chosen.isEmpty()) {
      throw new OutriggerException(
          "No parameter matches '"
              + text
              + "'. Names are: "
              + String.join(", ", all.keySet().stream().limit(8).toList())
              + (all.size() > 8 ? ", ... (" + all.size() + " in all)." : "."));
    }
    return chosen;
  }
}
