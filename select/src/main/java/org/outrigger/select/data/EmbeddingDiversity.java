package org.outrigger.select.data;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** How far the embeddings of a set lie apart. Pairs are compared block by block. */
public final class EmbeddingDiversity {
  private static final double NOTHING = 1e-12;

  private EmbeddingDiversity() {}

  /**
   * The mean cosine distance over all pairs. It needs no pair: it is a function of the sum of the
   * normalised rows.
   *
   * @param embeddings [n, d], n of 2 or more, no row of norm 0
   * @return in [0, 2]
   */
  public static double meanPairwise(Tensor embeddings) {
    pairs(embeddings);
    return Scopes.scoped(
        () -> {
          Tensor unit = SemanticDuplicates.normalised(embeddings);
          double n = unit.size(0);
          Tensor sum = unit.sum(0);
          double cosines = (sum.dot(sum).item_double() - n) / (n * (n - 1));
          return Math.max(0, 1 - cosines);
        });
  }

  /**
   * The mean cosine distance to the nearest other sample; 0 where all have an exact duplicate.
   *
   * @param embeddings [n, d], n of 2 or more, no row of norm 0
   * @return in [0, 2]
   */
  public static double meanNearest(Tensor embeddings) {
    pairs(embeddings);
    return Scopes.scoped(
        () -> {
          Tensor unit = SemanticDuplicates.normalised(embeddings);
          // A sample is its own nearest one, or shares that place with an exact duplicate.
          Tensor second =
              NearestNeighbours.kthDistance(unit, unit, NearestNeighbours.halfLengths(unit), 2);
          // |u - v|^2 = 2 (1 - cos) for rows of length one.
          return second.mean().item_double() / 2;
        });
  }

  /**
   * The effective rank: the exponential of the entropy of the singular values of the centred
   * embeddings over their sum. Roy and Vetterli, EUSIPCO 2007.
   *
   * @param embeddings [n, d], n of 2 or more
   * @return in [1, min(n, d)]; 1 if all rows are the same
   */
  public static double effectiveRank(Tensor embeddings) {
    pairs(embeddings);
    return Scopes.scoped(
        () -> {
          Tensor x = embeddings.detach().to(ScalarType.Double);
          Tensor values = torch.linalg_svdvals(x.sub(x.mean(0)));
          double sum = values.sum().item_double();
          if (sum <= NOTHING) {
            return 1.0;
          }
          Tensor p = values.div(new Scalar(sum));
          Tensor log = p.clamp_min(new Scalar(Double.MIN_NORMAL)).log();
          return Math.exp(-p.mul(log).sum().item_double());
        });
  }

  static void pairs(Tensor embeddings) {
    Shapes.check().tensor("The embeddings", embeddings, "n", "d");
    Shapes.finite("The embeddings", embeddings);
    if (embeddings.size(0) < 2) {
      throw new OutriggerException(
          "Diversity of embeddings compares samples: two or more are needed, not "
              + embeddings.size(0)
              + ".");
    }
  }
}
