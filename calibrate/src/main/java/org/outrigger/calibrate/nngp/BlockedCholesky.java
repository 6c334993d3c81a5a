package org.outrigger.calibrate.nngp;

import java.util.Locale;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * The Cholesky factor of a large symmetric positive definite matrix, in its own memory, block by
 * block. A matrix that rounding leaves just short of positive definite gets a jitter on its
 * diagonal, the first that works of 1e-10, 1e-8 and 1e-6 times the mean of its diagonal.
 */
final class BlockedCholesky {
  private static final double[] JITTER = {0, 1e-10, 1e-8, 1e-6};
  private static final long BLOCK = 256;

  /** A matrix of more rows is not decomposed only to name its smallest eigenvalue. */
  private static final long EIGENVALUES = 3000;

  private BlockedCholesky() {}

  /**
   * A factor.
   *
   * @param lower L with {@code L L^T = A + jitter I}, zero above the diagonal; [N, N]
   * @param jitter what the diagonal got, absolute; 0 almost always
   */
  record Factor(Tensor lower, double jitter) {}

  /**
   * Factors a matrix in its own memory.
   *
   * @param matrix makes it, [N, N], of which the lower triangle is read; asked again where a jitter
   *     is needed
   * @param what it is, for the message
   * @throws OutriggerException if it is not positive definite with the largest jitter, with its
   *     smallest eigenvalue
   */
  static Factor factor(Supplier<Tensor> matrix, String what) {
    double mean = 0;
    for (double relative : JITTER) {
      Tensor tried = matrix.get();
      mean = Scopes.scoped(() -> tried.diagonal().mean().item_double());
      if (!Double.isFinite(mean)) {
        break;
      }
      double jitter = relative * mean;
      // Decompositions run over values that are not numbers, which end on the diagonal.
      if (decompose(tried, jitter) && Double.isFinite(logDeterminant(tried))) {
        return new Factor(tried, jitter);
      }
      tried.close();
    }
    throw new OutriggerException(
        what
            + " is not positive definite even with a jitter of "
            + String.format(Locale.ROOT, "%.3g", JITTER[JITTER.length - 1] * mean)
            + " on its diagonal"
            + smallest(matrix)
            + ": raise eps, or remove rows that are equal.");
  }

  private static String smallest(Supplier<Tensor> matrix) {
    return Scopes.scoped(
        () -> {
          Tensor lower = matrix.get();
          if (!lower.isfinite().all().item_bool()) {
            return " (it holds NaN or infinite values)";
          }
          if (lower.size(0) > EIGENVALUES) {
            return "";
          }
          double least = torch.linalg_eigvalsh(lower, "L").min().item_double();
          return String.format(Locale.ROOT, " (its smallest eigenvalue is %.3g)", least);
        });
  }

  /** Right-looking: a diagonal block, the panel below it, what both leave of the rest. */
  private static boolean decompose(Tensor matrix, double jitter) {
    long n = matrix.size(0);
    for (long from = 0; from < n; from += BLOCK) {
      try (PointerScope scope = new PointerScope()) {
        long size = Math.min(BLOCK, n - from);
        long below = n - from - size;
        Tensor corner = matrix.narrow(0, from, size).narrow(1, from, size);
        corner.diagonal().add_(new Scalar(jitter));
        T_TensorTensor_T factored = torch.linalg_cholesky_ex(corner, false, false);
        if (factored.get1().item_int() != 0) {
          return false;
        }
        Tensor lower = factored.get0();
        corner.copy_(lower);
        if (below > 0) {
          matrix.narrow(0, from, size).narrow(1, from + size, below).zero_();
          Tensor panel = matrix.narrow(0, from + size, below).narrow(1, from, size);
          panel.copy_(torch.linalg_solve_triangular(lower.t(), panel, true, false, false));
          update(matrix, panel, from + size, below);
        }
      }
    }
    return true;
  }

  /** Subtracts {@code P P^T} from the lower triangle of what is left, a block row at a time. */
  private static void update(Tensor matrix, Tensor panel, long from, long below) {
    for (long row = 0; row < below; row += BLOCK) {
      try (PointerScope scope = new PointerScope()) {
        long size = Math.min(BLOCK, below - row);
        Tensor own = panel.narrow(0, row, size);
        Tensor left = matrix.narrow(0, from + row, size).narrow(1, from, row + size);
        left.sub_(own.mm(panel.narrow(0, 0, row + size).t()));
      }
    }
  }

  /** {@code L^-1 B}, [N, R]. */
  static Tensor half(Tensor lower, Tensor b) {
    return torch.linalg_solve_triangular(lower, b, false);
  }

  /** {@code (L L^T)^-1 B}, [N, R]. */
  static Tensor solve(Tensor lower, Tensor b) {
    return Scopes.tensor(
        () -> torch.linalg_solve_triangular(lower.t(), half(lower, b), true, true, false));
  }

  /** {@code log |L L^T|}. */
  static double logDeterminant(Tensor lower) {
    return Scopes.scoped(() -> 2 * lower.diagonal().log().sum().item_double());
  }
}
