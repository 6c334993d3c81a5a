package org.outrigger.select.data;

import java.util.Comparator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Near-duplicates by meaning: how similar each sample of a cluster is to an earlier one. Abbas et
 * al., SemDeDup, 2023. Cosines are taken block by block, so that memory grows with n, not n^2.
 */
public final class SemanticDuplicates {
  private static final int BLOCK = 512;
  private static final double SHORT = 1e-12;

  private SemanticDuplicates() {}

  /**
   * How redundant samples are.
   *
   * @param similarity the largest cosine with an earlier sample, 0 for the first and never below 0
   * @param nearest the position of that earlier sample; -1 where the similarity is 0
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Redundancy(double[] similarity, int[] nearest) {}

  /**
   * The redundancy of each sample, given the order in which they came.
   *
   * @param embeddings [n, d], oldest first
   * @throws OutriggerException if a row has norm 0, for which no cosine is defined
   */
  public static Redundancy redundancy(Tensor embeddings) {
    Shapes.check().tensor("The embeddings", embeddings, "n", "d");
    Shapes.notEmpty("The embeddings", embeddings);
    Shapes.finite("The embeddings", embeddings);
    int n = Math.toIntExact(embeddings.size(0));
    double[] similarity = new double[n];
    int[] nearest = new int[n];
    Scopes.run(
        () -> {
          Tensor unit = normalised(embeddings);
          for (int from = 0; from < n; from += BLOCK) {
            int start = from;
            int count = Math.min(BLOCK, n - from);
            Scopes.run(() -> block(unit, start, count, similarity, nearest));
          }
        });
    return new Redundancy(similarity, nearest);
  }

  /** Rows of length one, float64. */
  static Tensor normalised(Tensor embeddings) {
    Tensor x = embeddings.detach().to(ScalarType.Double);
    Tensor norms = x.mul(x).sum(1).sqrt().unsqueeze(1);
    if (norms.amin().item_double() < SHORT) {
      throw new OutriggerException(
          "An embedding has norm 0, so that its cosine is not defined: leave such rows out, or"
              + " choose another layer for the embeddings.");
    }
    return x.div(norms);
  }

  private static void block(Tensor unit, int start, int count, double[] similarity, int[] nearest) {
    Tensor rows = unit.narrow(0, start, count);
    // Only what came earlier counts: row i of the block sees the columns below start + i.
    Tensor cosines = torch.tril(rows.mm(unit.narrow(0, 0, start + count).t()), start - 1L);
    T_TensorTensor_T best = cosines.max(1, false);
    double[] values = Tensors.doubles(best.get0().clamp_min(new Scalar(0)));
    int[] where = Tensors.ints(best.get1());
    for (int i = 0; i < count; i++) {
      similarity[start + i] = start + i == 0 ? 0 : values[i];
      nearest[start + i] = similarity[start + i] > 0 ? where[i] : -1;
    }
  }

  /**
   * The least redundant samples; of equally redundant ones the older.
   *
   * @return {@code budget} positions, ascending
   */
  public static int[] keep(double[] similarity, int budget) {
    return IntStream.range(0, similarity.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> similarity[i]))
        .limit(budget)
        .mapToInt(Integer::intValue)
        .sorted()
        .toArray();
  }
}
