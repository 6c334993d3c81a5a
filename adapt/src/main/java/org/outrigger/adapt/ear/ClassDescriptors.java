package org.outrigger.adapt.ear;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The descriptor of each class: the sum of the descriptors of its rows. As they are plain sums,
 * rows can be added and taken out again, and the descriptors of two devices merge by addition.
 * {@link #bipolar} keeps the signs alone, at an eighth of the memory; those cannot be changed any
 * more.
 *
 * <p>Not safe for concurrent use while rows are added.
 */
public final class ClassDescriptors implements AutoCloseable {
  private final Tensor vectors; // [C, D], float64 sums or int8 signs
  private final Tensor counts; // float64 [C]

  private ClassDescriptors(Tensor vectors, Tensor counts) {
    this.vectors = Scopes.own(vectors);
    this.counts = Scopes.own(counts);
  }

  /**
   * The sums over rows.
   *
   * @param descriptors [N, D], finite
   * @param labels int64 [N] in 0 .. classes-1
   * @throws OutriggerException if a class has no row, as its descriptor would be zero
   */
  public static ClassDescriptors of(Tensor descriptors, Tensor labels, long classes) {
    check(descriptors, labels, classes);
    return Scopes.scoped(
        () -> {
          Tensor counts = counts(labels, classes);
          long without = counts.argmin().item_long();
          if (counts.min().item_double() == 0) {
            throw new OutriggerException(
                "Class "
                    + without
                    + " has no calibration row, so that its descriptor would be zero: give rows of"
                    + " every class.");
          }
          return new ClassDescriptors(sums(descriptors, labels, classes), counts);
        });
  }

  /**
   * What was saved.
   *
   * @param vectors float64 [C, D], or int8 [C, D] of signs; copied
   * @param counts float64 [C]; copied
   */
  static ClassDescriptors restored(Tensor vectors, Tensor counts) {
    Shapes.check()
        .tensor("The saved descriptors", vectors, "C", "D")
        .tensor("The saved counts", counts, "C");
    ScalarType type = vectors.scalar_type().intern();
    if (type != ScalarType.Double && type != ScalarType.Char) {
      throw new OutriggerException(
          "The saved EAR is damaged: its class descriptors have type " + type + ".");
    }
    Shapes.finite("The saved descriptors", vectors);
    return Scopes.scoped(
        () ->
            new ClassDescriptors(
                vectors.detach().clone(), counts.detach().to(ScalarType.Double).clone()));
  }

  private static void check(Tensor descriptors, Tensor labels, long classes) {
    Shapes.check()
        .tensor("The descriptors", descriptors, "N", "D")
        .tensor("The labels", labels, "N");
    Shapes.notEmpty("The descriptors", descriptors);
    Shapes.finite("The descriptors", descriptors);
    Shapes.labels("The labels", labels, classes, false);
  }

  private static Tensor counts(Tensor labels, long classes) {
    return torch.bincount(labels, new TensorOptional(), classes).to(ScalarType.Double);
  }

  private static Tensor sums(Tensor descriptors, Tensor labels, long classes) {
    return torch
        .zeros(new long[] {classes, descriptors.size(1)}, new TensorOptions(ScalarType.Double))
        .index_add_(0, labels, descriptors.to(ScalarType.Double));
  }

  /** Adds rows; see {@link #of}. */
  public void add(Tensor descriptors, Tensor labels) {
    change(descriptors, labels, false);
  }

  /**
   * Takes rows out that were added before.
   *
   * @throws OutriggerException if a class would be left without a row; nothing has changed then
   */
  public void remove(Tensor descriptors, Tensor labels) {
    change(descriptors, labels, true);
  }

  private void change(Tensor descriptors, Tensor labels, boolean out) {
    requireSums();
    check(descriptors, labels, classes());
    Shapes.check()
        .size("D", dimension(), "the class descriptors")
        .tensor("The descriptors", descriptors, "N", "D");
    Scopes.run(
        () -> {
          Tensor more = counts(labels, classes());
          if (out && counts.sub(more).min().item_double() < 1) {
            throw new OutriggerException(
                "A class would be left without a row: its descriptor would be zero.");
          }
          Tensor sums = sums(descriptors, labels, classes());
          vectors.add_(out ? sums.neg() : sums);
          counts.add_(out ? more.neg() : more);
        });
  }

  /** Adds what another device gathered for the same classes with the same projections. */
  public void merge(ClassDescriptors other) {
    requireSums();
    other.requireSums();
    if (other.classes() != classes() || other.dimension() != dimension()) {
      throw new OutriggerException(
          "Descriptors of "
              + other.classes()
              + " classes in "
              + other.dimension()
              + " dimensions cannot be merged into those of "
              + classes()
              + " classes in "
              + dimension()
              + " dimensions.");
    }
    Scopes.run(
        () -> {
          vectors.add_(other.vectors);
          counts.add_(other.counts);
        });
  }

  private void requireSums() {
    if (isBipolar()) {
      throw new OutriggerException(
          "Class descriptors of signs alone cannot be changed or merged: keep sums instead.");
    }
  }

  /** The signs alone, int8. */
  public ClassDescriptors bipolar() {
    return Scopes.scoped(
        () -> new ClassDescriptors(vectors.sign().to(ScalarType.Char), counts.clone()));
  }

  /** Whether only signs are kept. */
  public boolean isBipolar() {
    return vectors.scalar_type().intern() == ScalarType.Char;
  }

  /** The number of classes C. */
  public long classes() {
    return vectors.size(0);
  }

  /** D. */
  public long dimension() {
    return vectors.size(1);
  }

  /** How many rows each class has. */
  public long[] rows() {
    return Tensors.longs(counts);
  }

  /** [C, D], float64 sums or int8 signs; borrowed. */
  public Tensor vectors() {
    return vectors;
  }

  /** float64 [C]; borrowed. */
  Tensor counts() {
    return counts;
  }

  /** Bytes that the descriptors take. */
  public long bytes() {
    return vectors.nbytes() + counts.nbytes();
  }

  @Override
  public void close() {
    Scopes.release(vectors);
    Scopes.release(counts);
  }
}
