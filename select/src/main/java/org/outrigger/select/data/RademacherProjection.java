package org.outrigger.select.data;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A fixed random projection of rows [N, D] to [N, p] by a matrix of -1 and 1, over sqrt(p), which
 * keeps inner products up to noise. Row j of the matrix depends on the seed and j alone, so that
 * the same seed gives the same directions for ever; rows are drawn block by block and dropped
 * again, so that a matrix of 8,192 times millions is never held.
 */
public final class RademacherProjection {
  /** Entries of the matrix that are held at once: 64 MB. */
  private static final long BLOCK = 1L << 24;

  private final int dimensions;
  private final long seed;

  /**
   * @param dimensions p, 1 or more
   * @param seed of the directions; keep it for as long as vectors are compared
   */
  public RademacherProjection(int dimensions, long seed) {
    HyperParameter.atLeast("projection", dimensions, 1);
    this.dimensions = dimensions;
    this.seed = seed;
  }

  /** p. */
  public int dimensions() {
    return dimensions;
  }

  /**
   * Directions of the matrix.
   *
   * @param from the first row
   * @param count how many rows
   * @param width D
   * @return float32 [count, D] of -1 and 1
   */
  public Tensor directions(int from, int count, long width) {
    if (from < 0 || count < 1 || from + count > dimensions || width < 1) {
      throw new OutriggerException(
          "Directions "
              + from
              + " to "
              + (from + count - 1)
              + " of width "
              + width
              + " were asked for, but there are "
              + dimensions
              + ".");
    }
    return Scopes.tensor(
        () -> {
          TensorVector rows = new TensorVector();
          for (int j = from; j < from + count; j++) {
            try (Rng rng = Rng.named(seed, "projection/" + j)) {
              rows.push_back(
                  Scopes.tensor(
                      () ->
                          rng.uniform(1, width)
                              .sub(new Scalar(0.5))
                              .sign()
                              // A draw of exactly one half is no direction.
                              .add(new Scalar(0.5))
                              .sign()));
            }
          }
          return torch.cat(rows, 0);
        });
  }

  /**
   * Projects rows.
   *
   * @param rows float32 [N, D]
   * @return float32 [N, p]
   */
  public Tensor project(Tensor rows) {
    Shapes.check().tensor("The rows", rows, "N", "D");
    long width = rows.size(1);
    int block = (int) Math.max(1, Math.min(dimensions, BLOCK / width));
    return Scopes.tensor(
        () -> {
          TensorVector parts = new TensorVector();
          for (int from = 0; from < dimensions; from += block) {
            int start = from;
            int count = Math.min(block, dimensions - from);
            parts.push_back(Scopes.tensor(() -> rows.mm(directions(start, count, width).t())));
          }
          return torch.cat(parts, 1).div_(new Scalar(Math.sqrt(dimensions)));
        });
  }

  /**
   * As {@link #project}, with the matrix in memory for many calls, where it is small enough.
   *
   * @param width D
   * @return what projects rows [N, D]; the caller closes it
   */
  Projector projector(long width) {
    if (width * dimensions > BLOCK) {
      return new Projector(null);
    }
    return new Projector(Scopes.own(Scopes.tensor(() -> directions(0, dimensions, width).t())));
  }

  /** A projection that remembers its matrix if that is small. */
  final class Projector implements AutoCloseable {
    private final @org.jspecify.annotations.Nullable Tensor matrix;

    private Projector(@org.jspecify.annotations.Nullable Tensor matrix) {
      this.matrix = matrix;
    }

    Tensor project(Tensor rows) {
      Tensor held = matrix;
      return held == null
          ? RademacherProjection.this.project(rows)
          : Scopes.tensor(() -> rows.mm(held).div_(new Scalar(Math.sqrt(dimensions))));
    }

    @Override
    public void close() {
      try (PointerScope scope = new PointerScope()) {
        Scopes.release(matrix);
      }
    }
  }
}
