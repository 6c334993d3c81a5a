package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;

/**
 * NOTE's prediction-balanced reservoir: a sample of the stream in which all predicted classes have
 * their share, and each class is sampled evenly over time. When it is full, a row of a class that
 * is not among the largest takes the place of a random row of a random largest class; another row
 * takes the place of a random one of its own class with probability m / n, m being how many rows of
 * the class are stored and n how many were seen. Gong et al., NeurIPS 2022.
 */
final class Pbrs extends RowMemory {
  private final long[] seen;

  Pbrs(int capacity, int classes) {
    super("pbrs", capacity, classes);
    seen = new long[classes];
  }

  /**
   * Offers a row.
   *
   * @param label its predicted class
   * @param uniform draws from [0, 1)
   * @return whether it was stored
   */
  boolean offer(Tensor row, int label, DoubleSupplier uniform) {
    seen[label]++;
    if (size() >= capacity() && !makeRoom(label, uniform)) {
      return false;
    }
    add(label, 0, row);
    return true;
  }

  private boolean makeRoom(int label, DoubleSupplier uniform) {
    int[] largest = largest();
    if (Arrays.stream(largest).noneMatch(c -> c == label)) {
      int from = largest[draw(largest.length, uniform)];
      remove(from, draw(rows(from).size(), uniform));
      return true;
    }
    int stored = rows(label).size();
    if (uniform.getAsDouble() > (double) stored / seen[label]) {
      return false;
    }
    remove(label, draw(stored, uniform));
    return true;
  }

  private static int draw(int below, DoubleSupplier uniform) {
    return Math.min(below - 1, (int) (uniform.getAsDouble() * below));
  }

  @Override
  Map<String, Object> extra() {
    return Map.of("seen", Arrays.stream(seen).boxed().toList());
  }

  @Override
  void extra(State state) {
    List<Long> counts = new ArrayList<>();
    if (state.values().get("seen") instanceof List<?> list) {
      list.forEach(item -> counts.add(item instanceof Number number ? number.longValue() : -1L));
    }
    if (counts.size() != seen.length || counts.stream().anyMatch(count -> count < 0)) {
      throw new OutriggerException(
          "The saved memory lacks how many rows of each class it has seen: the file is damaged.");
    }
    Arrays.setAll(seen, c -> counts.get(c));
  }
}
