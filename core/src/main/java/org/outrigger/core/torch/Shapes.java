package org.outrigger.core.torch;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;

/**
 * Shape checks with named dimensions. {@code Shapes.of("logits", t, "N", "C")} demands two
 * dimensions and binds their sizes; the same name must have the same size in every check of one
 * {@code Shapes}. A number such as {@code "3"} demands that size; {@code "*"} takes anything.
 */
public final class Shapes {
  private final Map<String, Long> sizes = new HashMap<>();
  private final Map<String, String> where = new HashMap<>();

  /** Starts a set of checks that share names. */
  public static Shapes check() {
    return new Shapes();
  }

  /**
   * Checks one tensor.
   *
   * @param name what the tensor is called in the message
   * @throws OutriggerException that names the tensor, its shape and what was expected
   */
  public Shapes tensor(String name, Tensor tensor, String... dimensions) {
    long[] shape = tensor.shape();
    if (shape.length != dimensions.length) {
      throw mismatch(name, shape, dimensions, "");
    }
    for (int i = 0; i < shape.length; i++) {
      String dimension = dimensions[i];
      if (dimension.equals("*")) {
        continue;
      }
      if (Character.isDigit(dimension.charAt(0))) {
        if (shape[i] != Long.parseLong(dimension)) {
          throw mismatch(name, shape, dimensions, "");
        }
        continue;
      }
      Long bound = sizes.putIfAbsent(dimension, shape[i]);
      if (bound == null) {
        where.put(dimension, name);
      } else if (bound != shape[i]) {
        throw mismatch(
            name,
            shape,
            dimensions,
            ", where " + dimension + " = " + bound + " from " + where.get(dimension));
      }
    }
    return this;
  }

  /** Binds a name to a size that is known beforehand, such as the number of classes. */
  public Shapes size(String dimension, long size, String from) {
    sizes.put(dimension, size);
    where.put(dimension, from);
    return this;
  }

  /** The size bound to a name. */
  public long size(String dimension) {
    Long size = sizes.get(dimension);
    if (size == null) {
      throw new IllegalArgumentException("No dimension named " + dimension);
    }
    return size;
  }

  private static OutriggerException mismatch(
      String name, long[] shape, String[] dimensions, String because) {
    return new OutriggerException(
        name
            + " has shape "
            + Arrays.toString(shape)
            + ", but ["
            + String.join(", ", dimensions)
            + "] is needed"
            + because
            + ".");
  }

  /** Demands at least one row. */
  public static void notEmpty(String name, Tensor tensor) {
    if (tensor.numel() == 0) {
      throw new OutriggerException(
          name
              + " is empty (shape "
              + Arrays.toString(tensor.shape())
              + "): at least one row is needed.");
    }
  }

  /** Demands that no value is NaN or infinite. */
  public static void finite(String name, Tensor tensor) {
    boolean ok = Scopes.scoped(() -> tensor.isfinite().all().item_bool());
    if (!ok) {
      long rows =
          Scopes.scoped(
              () -> {
                Tensor bad = tensor.isfinite().logical_not();
                return bad.dim() < 2
                    ? bad.sum().item_long()
                    : bad.flatten(1, -1).any(1).sum().item_long();
              });
      throw new OutriggerException(
          name + " holds NaN or infinite values in " + rows + " of " + tensor.size(0) + " rows.");
    }
  }

  /**
   * Demands class indices: int64 [N], each in 0 .. classes-1, or below 0 where {@code
   * allowUnknown}.
   */
  public static void labels(String name, Tensor labels, long classes, boolean allowUnknown) {
    check().tensor(name, labels, "N");
    if (labels.scalar_type().intern() != ScalarType.Long) {
      throw new OutriggerException(
          name
              + " has type "
              + labels.scalar_type().intern()
              + ", but int64 class indices are needed.");
    }
    if (labels.numel() == 0) {
      return;
    }
    long[] range =
        Scopes.scoped(() -> new long[] {labels.min().item_long(), labels.max().item_long()});
    if (range[1] >= classes || (range[0] < 0 && !allowUnknown)) {
      throw new OutriggerException(
          name
              + " run from "
              + range[0]
              + " to "
              + range[1]
              + ", but the classes are 0 to "
              + (classes - 1)
              + ".");
    }
  }
}
