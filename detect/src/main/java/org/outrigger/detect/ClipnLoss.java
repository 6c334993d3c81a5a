package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.ClassPrompts;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The losses of CLIPN over a batch of N images i, their captions t and what the no-tower says of
 * these captions, n; all of unit length. With {@code a_ij = g <i_i, t_j>} and {@code b_ij = g <i_i,
 * n_j>} the probability that image i is denied by caption j is {@code sigmoid(b_ij - a_ij)}.
 *
 * <p>Logarithms of it are computed from the logits, since it underflows float32 at the scale of
 * CLIP. Wang et al., ICCV 2023.
 */
public final class ClipnLoss {
  private ClipnLoss() {}

  /**
   * The parts.
   *
   * @param yes no caption denies its own image: {@code -mean_i log(1 - p_ii)}; a scalar of 0 or
   *     more
   * @param no every caption denies the other images: {@code -mean_(i != j) log p_ij}; a scalar of 0
   *     or more
   * @param opposite the two towers disagree on a caption: {@code mean_i 2 - sqrt(2 - 2 <t_i, n_i> +
   *     eps)}; a scalar in about [0, 2]
   */
  public record Parts(Tensor yes, Tensor no, Tensor opposite) {
    /** The loss, {@code weight (yes + no + opposite)}. */
    public Tensor total(double weight) {
      return Scopes.tensor(() -> yes.add(no).add(opposite).mul(new Scalar(weight)));
    }
  }

  /**
   * All parts, in the enclosing scope.
   *
   * @param images [N, P], N of 2 or more, rows of unit length
   * @param captions [N, P], the caption of each image
   * @param negated [N, P], what the no-tower says of each caption
   * @param scale g above 0
   * @param eps of the third part, above 0: it keeps the gradient finite where t = n, and training
   *     starts there
   * @throws OutriggerException if shapes differ, a row has not unit length, or N is 1
   */
  public static Parts of(Tensor images, Tensor captions, Tensor negated, double scale, double eps) {
    check(images, captions, negated);
    return new Parts(
        yes(images, captions, negated, scale),
        no(images, captions, negated, scale),
        opposite(captions, negated, eps));
  }

  private static void check(Tensor images, Tensor captions, Tensor negated) {
    Shapes.check()
        .tensor("The image embeddings", images, "N", "P")
        .tensor("The caption embeddings", captions, "N", "P")
        .tensor("The negated embeddings", negated, "N", "P");
    if (images.size(0) < 2) {
      throw new OutriggerException(
          "CLIPN compares images with the captions of others, but this batch has "
              + images.size(0)
              + " pair: give two or more, of different captions.");
    }
    ClassPrompts.unit("The image embeddings", images);
    ClassPrompts.unit("The caption embeddings", captions);
    ClassPrompts.unit("The negated embeddings", negated);
  }

  /**
   * How far each image is denied by each caption, as log-odds.
   *
   * @return {@code b - a}, [N, N]; image by caption
   */
  public static Tensor denial(Tensor images, Tensor captions, Tensor negated, double scale) {
    return Scopes.tensor(
        () -> torch.matmul(images, negated.sub(captions).t()).mul(new Scalar(scale)));
  }

  private static Tensor yes(Tensor images, Tensor captions, Tensor negated, double scale) {
    return Scopes.tensor(
        () ->
            torch
                .log_sigmoid(denial(images, captions, negated, scale).diagonal().neg())
                .mean()
                .neg());
  }

  private static Tensor no(Tensor images, Tensor captions, Tensor negated, double scale) {
    return Scopes.tensor(
        () -> {
          long n = images.size(0);
          Tensor all = torch.log_sigmoid(denial(images, captions, negated, scale));
          Tensor others = all.sub(torch.diag(all.diagonal()));
          return others.sum().div(new Scalar((double) -(n * n - n)));
        });
  }

  /**
   * The authors' other way to set the towers against each other, {@code 1 + mean_i <t_i, n_i>}; the
   * paper's results are of {@link Parts#opposite}.
   *
   * @param captions unit rows [N, P]
   * @param negated unit rows [N, P]
   * @return a scalar in [0, 2]
   */
  public static Tensor oppositeCosine(Tensor captions, Tensor negated) {
    return Scopes.tensor(() -> captions.mul(negated).sum(1).mean().add(new Scalar(1.0)));
  }

  private static Tensor opposite(Tensor captions, Tensor negated, double eps) {
    return Scopes.tensor(
        () ->
            captions
                .mul(negated)
                .sum(1)
                .mul(new Scalar(-2.0))
                .add(new Scalar(2 + eps))
                .sqrt()
                .mean()
                .neg()
                .add(new Scalar(2.0)));
  }
}
