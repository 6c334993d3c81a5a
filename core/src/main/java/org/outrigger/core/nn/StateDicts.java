package org.outrigger.core.nn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Torch;

/** Copies a state dict into slots, all of it or nothing. */
final class StateDicts {
  private static final int LISTED = 6;

  private StateDicts() {}

  static void load(Map<String, Slot> slots, Map<String, Tensor> state, boolean strict) {
    List<String> missing = new ArrayList<>();
    List<String> unexpected = new ArrayList<>();
    List<String> shapes = new ArrayList<>();
    slots.forEach(
        (name, slot) -> {
          Tensor value = state.get(name);
          if (value == null) {
            if (!name.endsWith("num_batches_tracked")) {
              missing.add(name);
            }
          } else if (!Arrays.equals(value.shape(), slot.tensor().shape())) {
            shapes.add(
                name
                    + " has "
                    + Arrays.toString(value.shape())
                    + " but needs "
                    + Arrays.toString(slot.tensor().shape()));
          }
        });
    state.keySet().stream().filter(name -> !slots.containsKey(name)).forEach(unexpected::add);
    List<String> problems = new ArrayList<>();
    if (strict) {
      problem(problems, "missing", missing);
      problem(problems, "unexpected", unexpected);
    }
    problem(problems, "of another shape", shapes);
    if (!problems.isEmpty()) {
      throw new OutriggerException(
          "These weights do not fit this network: " + String.join("; ", problems) + ".");
    }
    Torch.start();
    try (AutoGradMode off = new AutoGradMode(false)) {
      slots.forEach(
          (name, slot) -> {
            Tensor value = state.get(name);
            if (value != null) {
              slot.tensor().copy_(value);
            }
          });
    }
  }

  private static void problem(List<String> problems, String what, List<String> names) {
    if (!names.isEmpty()) {
      String listed = String.join(", ", names.subList(0, Math.min(LISTED, names.size())));
      int more = names.size() - LISTED;
      problems.add(what + ": " + listed + (more > 0 ? " and " + more + " more" : ""));
    }
  }
}
