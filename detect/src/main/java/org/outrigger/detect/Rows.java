package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Shapes;

/**
 * A checked batch of a model's outputs: what is asked for has the right shape, at least one row and
 * no NaN or infinite value.
 */
public final class Rows {
  private final String who;
  private final Output output;
  private final @Nullable Tensor labels;

  private Rows(String who, Output output, @Nullable Tensor labels) {
    this.who = who;
    this.output = output;
    this.labels = labels;
  }

  /** A batch to score; {@code who} is the detector's name for messages. */
  static Rows of(String who, Output output) {
    return new Rows(who, output, null);
  }

  /**
   * Visits the batches of {@code known} without the rows whose label is below 0. Tensors that the
   * visitor keeps must be owned by it.
   *
   * @param who the detector's name for messages
   * @return how many rows were visited
   * @throws OutriggerException if there is none, or a label is out of range
   */
  public static long forEach(String who, Outputs known, Consumer<Rows> visitor) {
    long[] count = {0};
    known.forEach(
        batch -> {
          Rows rows = known(who, batch, known.classes());
          if (rows != null) {
            visitor.accept(rows);
            count[0] += rows.size();
          }
        });
    if (count[0] == 0) {
      throw new OutriggerException(
          who
              + " has no known row to fit on: the data is empty or every label is below 0 (which"
              + " marks unknown inputs).");
    }
    return count[0];
  }

  private static @Nullable Rows known(String who, Outputs.Labelled batch, long classes) {
    Tensor labels = batch.labels();
    Output output = batch.output();
    if (labels == null) {
      return output.size() == 0 ? null : new Rows(who, output, null);
    }
    Shapes.check()
        .tensor("The logits", output.logits(), "N", "C")
        .tensor("The labels", labels, "N");
    Shapes.labels("The labels", labels, classes, true);
    Tensor known = labels.ge(new org.bytedeco.pytorch.Scalar(0)).nonzero().flatten();
    if (known.numel() == 0) {
      return null;
    }
    if (known.numel() == labels.numel()) {
      return new Rows(who, output, labels);
    }
    Map<String, Tensor> maps = new LinkedHashMap<>();
    output.maps().forEach((name, map) -> maps.put(name, map.index_select(0, known)));
    return new Rows(
        who,
        new Output(
            output.logits().index_select(0, known),
            output.hasFeatures() ? output.features().index_select(0, known) : null,
            maps),
        labels.index_select(0, known));
  }

  /** The number of rows. */
  public long size() {
    return output.size();
  }

  /** The logits [N, C], float32 or float64. */
  public Tensor logits() {
    return checked("The logits", output.logits(), "C");
  }

  /** The features [N, D], float32 or float64. */
  public Tensor features() {
    return checked("The features", output.features(), "D");
  }

  /** As {@link #features()}, of that many columns D. */
  Tensor features(long dimension) {
    Shapes.check()
        .size("D", dimension, "the head's weight")
        .tensor("The features for " + who, output.features(), "N", "D");
    return features();
  }

  /** The labels, int64 [N], each 0 or more. */
  public Tensor labels() {
    if (labels == null) {
      throw new OutriggerException(
          who + " needs class labels, but this data has none: give a labelled data set.");
    }
    return labels;
  }

  /** The outputs of inner layers by name. */
  public Map<String, Tensor> maps() {
    return output.maps();
  }

  private Tensor checked(String what, Tensor tensor, String columns) {
    String name = what + " for " + who;
    Shapes.check().tensor(name, tensor, "N", columns);
    Shapes.notEmpty(name, tensor);
    ScalarType type = tensor.scalar_type().intern();
    Tensor exact =
        type == ScalarType.Float || type == ScalarType.Double
            ? tensor
            : tensor.to(ScalarType.Float);
    // The sum is one cheap read of the data; only when it is not finite is the slow check needed.
    if (!Double.isFinite(exact.sum().item_double())) {
      Shapes.finite(name, exact);
    }
    return exact;
  }
}
