package org.outrigger.claims.setup;

import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Small images with captions of two words: 20 concepts, ten digits and ten kinds of clothes, each
 * as it is, darkened to 0.4, or shifted by 4 pixels to the right.
 */
public final class CaptionedImages implements AutoCloseable {
  public static final int CONCEPTS = 20;
  public static final int CHANGES = 3;
  public static final int WORDS = CONCEPTS + CHANGES;

  private static final int SHIFT = 4;

  private final Tensor images;
  private final Tensor concepts;
  private final Tensor starts;
  private final Tensor counts;

  private CaptionedImages(Tensor images, Tensor concepts, Tensor starts, Tensor counts) {
    this.images = images;
    this.concepts = concepts;
    this.starts = starts;
    this.counts = counts;
  }

  /** Two sets of ten classes as one of twenty concepts; both are copied. */
  public static CaptionedImages of(TensorDataset digits, TensorDataset clothes) {
    return Scopes.scoped(
        () -> {
          Tensor labels =
              torch.cat(
                  new TensorVector(
                      Tensors.labels(digits.labels()),
                      Tensors.labels(clothes.labels()).add(new Scalar(CONCEPTS / 2))),
                  0);
          Tensor order = torch.argsort(labels, true, 0, false);
          Tensor all = torch.cat(new TensorVector(digits.inputs(), clothes.inputs()), 0);
          Tensor counts = torch.one_hot(labels, CONCEPTS).sum(0);
          return new CaptionedImages(
              Scopes.own(all.index_select(0, order)),
              Scopes.own(labels.index_select(0, order)),
              Scopes.own(counts.cumsum(0).sub(counts)),
              Scopes.own(counts));
        });
  }

  /** The captions of all concepts with all changes, int64 [60, 2]; the change runs fastest. */
  public static Tensor captions() {
    return Scopes.tensor(
        () -> {
          TensorVector changes = new TensorVector();
          int[] all = IntStream.range(0, CONCEPTS).toArray();
          for (int change = 0; change < CHANGES; change++) {
            changes.push_back(captions(all, change));
          }
          return torch.stack(changes, 1).reshape(-1, 2);
        });
  }

  /** The captions of some concepts with one change, int64 [C, 2]. */
  public static Tensor captions(int[] chosen, int change) {
    return Scopes.tensor(
        () -> {
          Tensor words = Tensors.labels(chosen);
          Tensor changed = torch.full_like(words, new Scalar(CONCEPTS + change));
          return torch.stack(new TensorVector(words, changed), 1);
        });
  }

  /** A random image for each of {@link #captions()}, in their order, [60, 1, 14, 14]. */
  public Tensor batch(Rng rng) {
    return Scopes.tensor(
        () -> {
          Tensor each = counts.repeat_interleave(CHANGES);
          Tensor rows =
              rng.uniform(ScalarType.Double, (long) CONCEPTS * CHANGES)
                  .mul(each)
                  .to(ScalarType.Long)
                  .add(starts.repeat_interleave(CHANGES));
          Tensor which =
              torch.arange(new Scalar(CHANGES), rows.options()).repeat(new long[] {CONCEPTS});
          return change(images.index_select(0, rows), which);
        });
  }

  /** All images, each with a change drawn at random, [N, 1, 14, 14]. */
  public Tensor changed(Rng rng) {
    return Scopes.tensor(
        () ->
            change(
                images,
                rng.uniform(ScalarType.Double, images.size(0))
                    .mul(new Scalar((double) CHANGES))
                    .to(ScalarType.Long)));
  }

  private static Tensor change(Tensor images, Tensor which) {
    Tensor shifted = torch.constant_pad_nd(images.narrow(3, 0, images.size(3) - SHIFT), SHIFT, 0);
    Tensor at = which.reshape(-1, 1, 1, 1);
    Tensor some = torch.where(at.eq(new Scalar(1)), images.mul(new Scalar(0.4)), images);
    return torch.where(at.eq(new Scalar(2)), shifted, some);
  }

  /** The position of each image's concept among {@code known}, -1 for others; int64 [N]. */
  public Tensor labels(int... known) {
    return Scopes.tensor(
        () -> {
          Tensor at = torch.full(new long[] {CONCEPTS}, new Scalar(-1), concepts.options());
          at.index_copy_(
              0, Tensors.labels(known), torch.arange(new Scalar(known.length), at.options()));
          return at.index_select(0, concepts);
        });
  }

  @Override
  public void close() {
    Scopes.release(images);
    Scopes.release(concepts);
    Scopes.release(starts);
    Scopes.release(counts);
  }
}
