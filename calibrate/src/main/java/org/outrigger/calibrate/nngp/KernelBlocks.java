package org.outrigger.calibrate.nngp;

import java.util.List;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/**
 * Kernel matrices of many rows, computed in blocks of rows, so that what a kernel needs on the way
 * is never held for the whole matrix.
 */
final class KernelBlocks {
  /** Values of one intermediate matrix; a dozen are alive at a time. */
  private static final long BLOCK = 1_000_000;

  private KernelBlocks() {}

  /** How many rows of a matrix against {@code columns} rows of {@code x} one block has. */
  static long rows(Tensor x, long columns) {
    long positions = x.dim() == 4 ? x.size(2) * x.size(3) : 1;
    return Math.max(1, BLOCK / Math.max(1, columns * positions));
  }

  /**
   * The lower triangle of {@code K(X, X) + eps I}; what is above it is zero.
   *
   * @return [N, N]
   */
  static Tensor lower(NngpKernel kernel, Tensor x, NngpKernel.Scales scales, double eps) {
    return Scopes.noGrad(
        () -> {
          long n = x.size(0);
          Tensor matrix = torch.zeros(new long[] {n, n}, new TensorOptions(ScalarType.Double));
          long step = rows(x, n);
          for (long from = 0; from < n; from += step) {
            try (PointerScope scope = new PointerScope()) {
              long count = Math.min(step, n - from);
              long end = from + count;
              Tensor block = kernel.between(x.narrow(0, from, count), x.narrow(0, 0, end), scales);
              matrix.narrow(0, from, count).narrow(1, 0, end).copy_(block.tril(from - 1));
            }
          }
          matrix.diagonal().copy_(kernel.diagonal(x, scales).add(new Scalar(eps)));
          return matrix;
        });
  }

  /** {@code K(x, y)} without recording gradients, [N, M]. */
  static Tensor between(NngpKernel kernel, Tensor x, Tensor y, NngpKernel.Scales scales) {
    return Scopes.noGrad(
        () -> {
          long n = x.size(0);
          long m = y.size(0);
          Tensor matrix =
              torch.empty(new long[] {n, m}, new TensorOptions(ScalarType.Double), null);
          long step = rows(x, m);
          for (long from = 0; from < n; from += step) {
            try (PointerScope scope = new PointerScope()) {
              long count = Math.min(step, n - from);
              matrix
                  .narrow(0, from, count)
                  .copy_(kernel.between(x.narrow(0, from, count), y, scales));
            }
          }
          return matrix;
        });
  }

  /**
   * {@code (K(X, X) + eps I) V} without ever holding the matrix.
   *
   * @param v [N, R]
   * @return [N, R]
   */
  static Tensor product(
      NngpKernel kernel, Tensor x, NngpKernel.Scales scales, double eps, Tensor v) {
    return Scopes.noGrad(
        () -> {
          long n = x.size(0);
          Tensor out = v.mul(kernel.diagonal(x, scales).add(new Scalar(eps)).unsqueeze(1));
          long step = rows(x, n);
          for (long from = 0; from < n; from += step) {
            try (PointerScope scope = new PointerScope()) {
              long count = Math.min(step, n - from);
              Tensor block = kernel.between(x.narrow(0, from, count), x, scales);
              // The exact diagonal is in already.
              block.diagonal(from, 0, 1).zero_();
              out.narrow(0, from, count).add_(block.mm(v));
            }
          }
          return out;
        });
  }

  /**
   * The derivative of a function of the kernel matrix in what the scales are computed from: {@code
   * sum_ij G_ij dK_ij / d parameter}, block by block.
   *
   * @param weights G, symmetric [N, N]
   * @param parameters leaves
   * @param scales of the leaves, computed anew for each block
   * @return one gradient a leaf, of its shape
   */
  static Tensor[] gradient(
      NngpKernel kernel,
      Tensor x,
      Tensor weights,
      List<Tensor> parameters,
      Function<List<Tensor>, NngpKernel.Scales> scales) {
    Tensor[] sums = new Tensor[parameters.size()];
    for (int i = 0; i < sums.length; i++) {
      sums[i] = torch.zeros_like(parameters.get(i));
    }
    long n = x.size(0);
    long step = rows(x, n);
    for (long from = 0; from < n; from += step) {
      try (PointerScope scope = new PointerScope()) {
        long count = Math.min(step, n - from);
        long end = from + count;
        Tensor rows = x.narrow(0, from, count);
        NngpKernel.Scales now = scales.apply(parameters);
        Tensor block = kernel.between(rows, x.narrow(0, 0, end), now);
        Tensor part = weights.narrow(0, from, count).narrow(1, 0, end);
        // Each pair counts twice, each row with itself once.
        Tensor pairs = block.mul(part.tril(from - 1)).sum().mul(new Scalar(2.0));
        Tensor own = kernel.diagonal(rows, now).mul(part.diagonal(from, 0, 1)).sum();
        List<Tensor> gradients = Gradients.of(pairs.add(own), parameters, false);
        for (int i = 0; i < sums.length; i++) {
          sums[i].add_(gradients.get(i));
        }
      }
    }
    return sums;
  }
}
