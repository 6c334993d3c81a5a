package org.outrigger.select.data;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The Vendi score: how many samples a set is worth that resemble each other not at all, the
 * exponential of the entropy of the eigenvalues of {@code K / n}. Friedman and Dieng, TMLR 2023;
 * orders: Pasarkar and Dieng, 2023.
 *
 * <p>It is ruled by the few largest directions and barely reacts to near-duplicates: read it beside
 * distances to the nearest neighbour or to a reference.
 */
public final class Vendi {
  private static final double NOTHING = 1e-12;
  private static final double NEGATIVE = -1e-6;

  private Vendi() {}

  /**
   * The score of embeddings under the cosine.
   *
   * @param embeddings [n, d], no row of norm 0
   * @param order q, 0 or more; infinity counts the largest eigenvalue alone
   * @return in [1, n]
   */
  public static double ofEmbeddings(Tensor embeddings, double order) {
    return score(spectrum(embeddings), order);
  }

  /**
   * The eigenvalues of K / n under the cosine, of the smaller of the n x n and d x d Gram matrices,
   * whose other eigenvalues are the same.
   *
   * @param embeddings [n, d]
   * @return float64 [min(n, d)], ascending
   */
  public static Tensor spectrum(Tensor embeddings) {
    Shapes.check().tensor("The embeddings", embeddings, "n", "d");
    Shapes.notEmpty("The embeddings", embeddings);
    Shapes.finite("The embeddings", embeddings);
    return Scopes.tensor(
        () -> {
          Tensor unit = SemanticDuplicates.normalised(embeddings);
          boolean wide = unit.size(1) >= unit.size(0);
          Tensor gram = wide ? unit.mm(unit.t()) : unit.t().mm(unit);
          return torch.linalg_eigvalsh(gram.div(new Scalar((double) unit.size(0))));
        });
  }

  /**
   * The score of a similarity matrix of one's own.
   *
   * @param kernel [n, n], symmetric, positive semi-definite, 1 on the diagonal
   * @param order q, 0 or more, or infinity
   * @throws OutriggerException if it is not symmetric, or an eigenvalue is below -1e-6
   */
  public static double ofKernel(Tensor kernel, double order) {
    Shapes.check().tensor("The kernel", kernel, "n", "n");
    Shapes.notEmpty("The kernel", kernel);
    Shapes.finite("The kernel", kernel);
    return Scopes.scoped(
        () -> {
          Tensor k = kernel.to(ScalarType.Double);
          if (k.sub(k.t()).abs().amax().item_double() > -NEGATIVE) {
            throw new OutriggerException("The kernel is not symmetric: K_ij must equal K_ji.");
          }
          if (k.diagonal().sub(new Scalar(1.0)).abs().amax().item_double() > -NEGATIVE) {
            throw new OutriggerException(
                "The kernel must be 1 on its diagonal: each sample resembles itself fully.");
          }
          return score(torch.linalg_eigvalsh(k.div(new Scalar((double) k.size(0)))), order);
        });
  }

  /**
   * The score of eigenvalues of K / n: {@code exp(-sum l log l)} for q = 1, {@code (sum l^q)^(1 /
   * (1 - q))} otherwise, {@code 1 / max l} for infinity. Those up to 1e-12 count as 0.
   *
   * @param eigenvalues [m]
   */
  public static double score(Tensor eigenvalues, double order) {
    if (!(order >= 0)) {
      throw new OutriggerException(
          "The Vendi order q = " + order + " is out of range: use 0 or more, or infinity.");
    }
    return Scopes.scoped(
        () -> {
          Tensor l = eigenvalues.to(ScalarType.Double);
          double least = l.amin().item_double();
          if (least < NEGATIVE) {
            throw new OutriggerException(
                "The kernel is not positive semi-definite: its smallest eigenvalue is "
                    + least
                    + ". Use a similarity that is, such as the cosine.");
          }
          Tensor p = l.masked_select(l.gt(new Scalar(NOTHING)));
          if (order == 1) {
            return Math.exp(-p.mul(p.log()).sum().item_double());
          }
          if (Double.isInfinite(order)) {
            return 1 / p.amax().item_double();
          }
          return Math.pow(p.pow(new Scalar(order)).sum().item_double(), 1 / (1 - order));
        });
  }
}
