package org.outrigger.select.data;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** Chooses samples with quality, complexity and diversity in view. */
public final class DataChoice {
  private DataChoice() {}

  /**
   * Score then filter: visit samples by descending {@code q^a c^b} and accept one when its cosine
   * distance to every accepted one is above {@code tau}. The pattern of DEITA, Liu et al., ICLR
   * 2024.
   *
   * @param quality [n], each in [0, 1]
   * @param complexity [n], each 0 or more
   * @param embeddings [n, d], no row of norm 0
   * @param budget the most to accept, 1 or more
   * @param tau a cosine distance, in [0, 2]
   * @return rows in the order of acceptance; fewer than the budget where the rest is too similar
   */
  public static int[] scoreThenFilter(
      Tensor quality,
      Tensor complexity,
      Tensor embeddings,
      int budget,
      double tau,
      double a,
      double b) {
    check(quality, complexity, embeddings, budget);
    HyperParameter.between("tau", tau, 0, 2);
    boolean negative = Scopes.scoped(() -> complexity.amin().item_double() < 0);
    if (negative) {
      throw new OutriggerException("Complexity must be 0 or more to be multiplied with quality.");
    }
    return Scopes.scoped(
        () -> {
          double[] score =
              Tensors.doubles(
                  quality
                      .to(ScalarType.Double)
                      .pow(new Scalar(a))
                      .mul(complexity.to(ScalarType.Double).pow(new Scalar(b))));
          int[] order =
              IntStream.range(0, score.length)
                  .boxed()
                  .sorted(Comparator.comparingDouble((Integer i) -> -score[i]))
                  .mapToInt(Integer::intValue)
                  .toArray();
          Tensor unit = SemanticDuplicates.normalised(embeddings);
          // The largest cosine with an accepted sample; nothing is accepted yet.
          double[] nearest = new double[score.length];
          Arrays.fill(nearest, Double.NEGATIVE_INFINITY);
          int[] accepted = new int[Math.min(budget, score.length)];
          int count = 0;
          for (int i : order) {
            if (count == accepted.length) {
              break;
            }
            if (1 - nearest[i] > tau) {
              accepted[count++] = i;
              double[] cosines = Scopes.scoped(() -> Tensors.doubles(unit.mv(unit.select(0, i))));
              Arrays.setAll(nearest, j -> Math.max(nearest[j], cosines[j]));
            }
          }
          return Arrays.copyOf(accepted, count);
        });
  }

  /**
   * Greedy balance: again and again the sample with the largest {@code lq z(q) + lc z(c) + ld min_j
   * dist(i, j)} over the chosen j, by cosine distance; z is standardised. The first goes by quality
   * and complexity alone, the first of equal ones.
   *
   * @param quality [n], each in [0, 1]
   * @param complexity [n]
   * @param embeddings [n, d], no row of norm 0
   * @param budget how many to choose, 1 or more; at most all
   * @return rows in the order of choice
   */
  public static int[] greedyBalance(
      Tensor quality,
      Tensor complexity,
      Tensor embeddings,
      int budget,
      double lq,
      double lc,
      double ld) {
    check(quality, complexity, embeddings, budget);
    return Scopes.scoped(
        () -> {
          int n = Math.toIntExact(quality.size(0));
          Tensor base =
              standardised(quality)
                  .mul(new Scalar(lq))
                  .add(standardised(complexity), new Scalar(lc));
          Tensor unit = SemanticDuplicates.normalised(embeddings);
          Tensor distance = torch.zeros_like(base);
          Tensor taken = torch.zeros_like(base);
          int[] chosen = new int[Math.min(budget, n)];
          for (int t = 0; t < chosen.length; t++) {
            boolean first = t == 0;
            chosen[t] =
                Scopes.scoped(
                    () -> {
                      Tensor value = base.add(distance, new Scalar(ld)).sub(taken);
                      int best = (int) value.argmax().item_long();
                      taken.select(0, best).fill_(new Scalar(Double.POSITIVE_INFINITY));
                      Tensor apart = unit.mv(unit.select(0, best)).neg().add(new Scalar(1.0));
                      distance.copy_(first ? apart : torch.minimum(distance, apart));
                      return best;
                    });
          }
          return chosen;
        });
  }

  private static Tensor standardised(Tensor values) {
    Tensor x = values.to(ScalarType.Double);
    Tensor apart = x.sub(x.mean());
    double std = apart.mul(apart).mean().sqrt().item_double();
    return std == 0 ? apart : apart.div(new Scalar(std));
  }

  private static void check(Tensor quality, Tensor complexity, Tensor embeddings, int budget) {
    Shapes.check()
        .tensor("quality", quality, "n")
        .tensor("complexity", complexity, "n")
        .tensor("The embeddings", embeddings, "n", "d");
    QualityMeasures.unit("quality", quality);
    Shapes.finite("complexity", complexity);
    Shapes.finite("The embeddings", embeddings);
    if (budget < 1) {
      throw new OutriggerException("A budget of " + budget + " chooses nothing: use 1 or more.");
    }
  }
}
