package org.outrigger.select.data;

import java.util.Collection;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** How demanding the samples of a set are. */
public final class ComplexityMeasures {
  private ComplexityMeasures() {}

  /**
   * The difficulty of each task: the share of attempts that failed.
   *
   * @param solved whole numbers [n], each in 0 .. attempts
   * @return float64 [n]
   */
  public static Tensor difficulty(Tensor solved, int attempts) {
    QualityMeasures.counts(solved, attempts);
    return Scopes.tensor(
        () ->
            solved
                .to(ScalarType.Double)
                .div(new Scalar((double) attempts))
                .neg()
                .add(new Scalar(1.0)));
  }

  /**
   * Instruction-following difficulty: the mean loss of the answer with the instruction over that
   * without. At 1 or more the instruction does not help: such samples are better dropped. Li et
   * al., From Quantity to Quality, NAACL 2024.
   *
   * @param with mean loss of each answer given its instruction, [n], 0 or more
   * @param without mean loss of each answer alone, [n], above 0
   * @return float64 [n]
   */
  public static Tensor instructionFollowingDifficulty(Tensor with, Tensor without) {
    Shapes.check().tensor("with", with, "n").tensor("without", without, "n");
    Shapes.notEmpty("with", with);
    Shapes.finite("with", with);
    Shapes.finite("without", without);
    boolean ok =
        Scopes.scoped(() -> with.amin().item_double() >= 0 && without.amin().item_double() > 0);
    if (!ok) {
      throw new OutriggerException(
          "Mean losses of answers must be above 0 without the instruction and 0 or more with it.");
    }
    return Scopes.tensor(() -> with.to(ScalarType.Double).div(without.to(ScalarType.Double)));
  }

  /**
   * Perplexity under a reference model: the exponential of the mean over samples of the mean token
   * loss.
   *
   * @param losses mean token loss of each sample, [n]
   */
  public static double perplexity(Tensor losses) {
    Shapes.check().tensor("losses", losses, "n");
    Shapes.notEmpty("losses", losses);
    Shapes.finite("losses", losses);
    return Scopes.scoped(() -> Math.exp(losses.to(ScalarType.Double).mean().item_double()));
  }

  /** The mean number of tags of a sample. */
  public static double tagsPerSample(List<? extends Collection<String>> tags) {
    if (tags.isEmpty()) {
      throw new OutriggerException("There are no tags to count.");
    }
    return tags.stream().mapToInt(Collection::size).average().orElseThrow();
  }
}
