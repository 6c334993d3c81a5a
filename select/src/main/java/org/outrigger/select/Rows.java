package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;

/**
 * The rows of a matrix [N, D] in float64, made a block at a time, so that features in float32 need
 * no copy of twice their size. Sums over rows are gathered block by block.
 */
interface Rows {
  /** Values in a block; at least {@link #LEAST} rows. */
  long BLOCK = 1L << 22;

  long LEAST = 64;

  /** Columns that are multiplied at once: one half of a symmetric product need not be computed. */
  long PANEL = 128;

  /** The number of rows N. */
  long size();

  /** The number of columns D. */
  long dimension();

  /** Rows from .. from + length - 1, float64 [length, D]. */
  Tensor block(long from, long length);

  /** Looks at one block, in a scope of its own. */
  interface Visitor {
    void visit(Tensor block, long from, long length);
  }

  /** The rows of a matrix. */
  static Rows of(Tensor matrix) {
    return new Rows() {
      @Override
      public long size() {
        return matrix.size(0);
      }

      @Override
      public long dimension() {
        return matrix.size(1);
      }

      @Override
      public Tensor block(long from, long length) {
        return matrix.narrow(0, from, length).to(ScalarType.Double);
      }
    };
  }

  /** What becomes of a block. */
  interface Change {
    Tensor apply(Tensor block, long from, long length);
  }

  /** These rows, each block changed when it is made. */
  default Rows changed(long dimension, Change change) {
    Rows before = this;
    return new Rows() {
      @Override
      public long size() {
        return before.size();
      }

      @Override
      public long dimension() {
        return dimension;
      }

      @Override
      public Tensor block(long from, long length) {
        return change.apply(before.block(from, length), from, length);
      }
    };
  }

  /** These rows minus one row [D]. */
  default Rows minus(Tensor row) {
    return changed(dimension(), (block, from, length) -> block.sub(row));
  }

  /** These rows minus the mean of the class of each. */
  default Rows minusMeans(Tensor means, Tensor labels) {
    return changed(
        dimension(),
        (block, from, length) -> block.sub(means.index_select(0, labels.narrow(0, from, length))));
  }

  /** These rows about their mean. */
  default Rows centred() {
    return minus(mean());
  }

  default void forEach(Visitor visitor) {
    long rows = Math.max(LEAST, BLOCK / dimension());
    for (long start = 0; start < size(); start += rows) {
      long from = start;
      long length = Math.min(rows, size() - start);
      Scopes.run(() -> visitor.visit(block(from, length), from, length));
    }
  }

  /** The mean row, [D]. */
  default Tensor mean() {
    return Scopes.tensor(
        () -> {
          Tensor sum = zeros(dimension());
          forEach((block, from, length) -> sum.add_(block.sum(0)));
          return sum.div_(new Scalar((double) size()));
        });
  }

  /**
   * The sum of the rows of each class, [C, D].
   *
   * @param labels int64 [N]
   */
  default Tensor sums(Tensor labels, long classes) {
    return Scopes.tensor(
        () -> {
          Tensor sums = zeros(classes, dimension());
          forEach(
              (block, from, length) -> sums.index_add_(0, labels.narrow(0, from, length), block));
          return sums;
        });
  }

  /**
   * The mean of the rows of each class, [C, D].
   *
   * @param counts float64 [C], each above 0
   */
  default Tensor means(Tensor labels, Tensor counts) {
    return Scopes.tensor(() -> sums(labels, counts.size(0)).div_(counts.unsqueeze(1)));
  }

  /** X^T X, [D, D]. */
  default Tensor gram() {
    return Scopes.tensor(
        () -> {
          Tensor gram = zeros(dimension(), dimension());
          forEach(
              (block, from, length) -> {
                for (long at = 0; at < dimension(); at += PANEL) {
                  long width = Math.min(PANEL, dimension() - at);
                  gram.narrow(0, at, width)
                      .narrow(1, at, dimension() - at)
                      .addmm_(
                          block.narrow(1, at, width).t(), block.narrow(1, at, dimension() - at));
                }
              });
          return mirrored(gram);
        });
  }

  /** X X^T, [N, N]. */
  default Tensor outer() {
    return Scopes.tensor(
        () -> {
          Tensor outer = zeros(size(), size());
          forEach(
              (left, row, height) ->
                  forEach(
                      (right, column, width) -> {
                        if (column >= row) {
                          outer
                              .narrow(0, row, height)
                              .narrow(1, column, width)
                              .copy_(left.mm(right.t()));
                        }
                      }));
          return mirrored(outer);
        });
  }

  /** Of the upper triangle the whole symmetric matrix. */
  private static Tensor mirrored(Tensor upper) {
    return upper.triu().add_(upper.triu(1).t());
  }

  /** Zeros in float64. */
  static Tensor zeros(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Double));
  }

  /** The number of rows of each class, float64 [C]. */
  static Tensor counts(Tensor labels) {
    return Scopes.tensor(() -> labels.bincount(new TensorOptional(), 0).to(ScalarType.Double));
  }
}
