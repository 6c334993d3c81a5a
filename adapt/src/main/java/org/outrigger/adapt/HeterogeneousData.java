package org.outrigger.adapt;

import java.util.Arrays;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * A labelled source and a sparsely labelled target with other features but the same classes. The
 * tensors are borrowed.
 *
 * @param source [S, D]
 * @param sourceLabels int64 [S], every class 0 .. C-1 at least once
 * @param labelled target rows [L, T]
 * @param labels int64 [L], every class at least once
 * @param unlabelled target rows [U, T]
 */
public record HeterogeneousData(
    Tensor source, Tensor sourceLabels, Tensor labelled, Tensor labels, Tensor unlabelled) {
  /** A labelled source, real or of noise, under a name. */
  public record SourceCodes(String name, Tensor codes, Tensor labels) {}

  /** Checks what is given. */
  public HeterogeneousData {
    Shapes.check()
        .tensor("The source", source, "S", "D")
        .tensor("The source labels", sourceLabels, "S")
        .tensor("The labelled target rows", labelled, "L", "T")
        .tensor("The target labels", labels, "L")
        .tensor("The unlabelled target rows", unlabelled, "U", "T");
    Shapes.notEmpty("The source", source);
    Shapes.notEmpty("The labelled target set", labelled);
    Shapes.notEmpty("The unlabelled target set", unlabelled);
    Shapes.finite("The source", source);
    Shapes.finite("The labelled target set", labelled);
    Shapes.finite("The unlabelled target set", unlabelled);
    Shapes.labels("The source labels", sourceLabels, Long.MAX_VALUE, false);
    Shapes.labels("The target labels", labels, Long.MAX_VALUE, false);
    requireAll(
        Tensors.longs(sourceLabels), Tensors.longs(labels), "the source", "the labelled target");
  }

  /** The two sides must have the same classes, and these be 0 .. C-1. */
  private static void requireAll(long[] source, long[] target, String one, String other) {
    long classes =
        1 + LongStream.concat(Arrays.stream(source), Arrays.stream(target)).max().orElse(0);
    if (classes < 2) {
      throw new OutriggerException("There is one class only: at least two are needed.");
    }
    requireEach(source, classes, one);
    requireEach(target, classes, other);
  }

  private static void requireEach(long[] labels, long classes, String side) {
    long[] present = Arrays.stream(labels).distinct().sorted().toArray();
    if (present.length < classes) {
      long missing =
          LongStream.range(0, classes)
              .filter(c -> Arrays.binarySearch(present, c) < 0)
              .findFirst()
              .orElse(0);
      throw new OutriggerException(
          "Class "
              + missing
              + " of 0 to "
              + (classes - 1)
              + " has no row in "
              + side
              + ": both sides need the same classes, each with at least one labelled row.");
    }
  }

  /** The number of classes C. */
  public long classes() {
    return Scopes.scoped(() -> labels.max().item_long()) + 1;
  }

  /**
   * The same with every row of length 1; rows of zeros stay. New tensors belong to the enclosing
   * scope.
   */
  public HeterogeneousData normalised() {
    return new HeterogeneousData(
        unit(source), sourceLabels, unit(labelled), labels, unit(unlabelled));
  }

  /**
   * Rows of length 1; rows of zeros stay.
   *
   * @param x [N, D]
   */
  public static Tensor unit(Tensor x) {
    return Scopes.tensor(
        () -> {
          Tensor norm = x.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true);
          return x.div(norm.masked_fill(norm.eq(new Scalar(0.0)), new Scalar(1.0)));
        });
  }

  /** The same target with another source. */
  public HeterogeneousData with(SourceCodes other) {
    return new HeterogeneousData(other.codes, other.labels, labelled, labels, unlabelled);
  }

  /** Whether predictions for a target of that form make sense. */
  static void requireWidth(Tensor x, long width) {
    Shapes.check().size("T", width, "the fitted target").tensor("The rows", x, "N", "T");
    Shapes.notEmpty("The rows", x);
    Shapes.finite("The rows", x);
  }
}
