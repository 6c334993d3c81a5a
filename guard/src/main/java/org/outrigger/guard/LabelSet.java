package org.outrigger.guard;

import java.util.ArrayList;
import java.util.List;

/**
 * The labels that are possible for one row.
 *
 * @param labels class indices, ascending; may be empty, which says that no class fits
 * @param classNames of these labels
 * @param coverage the promised probability that a set holds the true label, in (0, 1); {@link
 *     Guard#promise} says for which inputs
 */
public record LabelSet(List<Integer> labels, List<String> classNames, double coverage) {
  public LabelSet {
    labels = List.copyOf(labels);
    classNames = List.copyOf(classNames);
  }

  static LabelSet of(boolean[] member, List<String> names, double coverage) {
    List<Integer> labels = new ArrayList<>();
    List<String> chosen = new ArrayList<>();
    for (int c = 0; c < member.length; c++) {
      if (member[c]) {
        labels.add(c);
        chosen.add(names.get(c));
      }
    }
    return new LabelSet(labels, chosen, coverage);
  }

  /** Whether the label is in the set. */
  public boolean holds(int label) {
    return labels.contains(label);
  }
}
