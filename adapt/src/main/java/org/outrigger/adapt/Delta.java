package org.outrigger.adapt;

import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * DELTA: batch renormalisation ({@link DeltaTbr}) under a loss whose rows are weighted against the
 * frequency of their predicted class (DOT), loss = mean_i w_i l_i with w_i proportional to 1/q of
 * the predicted class and of mean 1, q following the mean prediction. Zhao et al., DELTA:
 * Degradation-Free Fully Test-Time Adaptation, ICLR 2023.
 */
@Card(
    slug = "delta",
    name = "DELTA",
    summary = "Renormalises batches and weights rows against the frequency of their class.",
    paper = "Zhao et al., DELTA: Degradation-Free Fully Test-Time Adaptation, ICLR 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "scales, shifts, the optimiser, class frequencies and running statistics")
public final class Delta extends GradientAdapter<Delta.Settings> {
  private static final String FREQUENCY = "frequency";

  /** What is weighted. */
  public enum Loss {
    /** The entropy of each row. */
    ENTROPY,
    /** The cross-entropy of confident rows with their own prediction. */
    PSEUDO_LABEL,
    /** The generalised cross-entropy of confident rows with their own prediction, q = 0.8. */
    GENERALISED
  }

  private static final double Q = 0.8;
  private static final double ENTROPY_MARGIN = 0.5;

  /**
   * @param dot how much of the class frequencies stays at each batch, in [0, 1]; 1 weights all rows
   *     alike
   * @param loss what is weighted
   * @param threshold above which a largest probability counts as a pseudo-label, in [0, 1)
   * @param entropyWeight whether rows are also weighted by exp(0.5 ln C - H) and left out unless
   *     that is above 1
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      double dot,
      Loss loss,
      double threshold,
      boolean entropyWeight,
      Rule optimiser,
      double lr,
      double momentum,
      int steps)
      implements Descent {
    public Settings {
      HyperParameter.between("dot", dot, 0, 1);
      Objects.requireNonNull(loss);
      HyperParameter.require(
          threshold >= 0 && threshold < 1, "threshold", threshold, "0 or more and below 1");
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(0.95, Loss.ENTROPY, 0.4, false, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public Delta() {
    this(Settings.defaults());
  }

  /** Over {@link DeltaTbr} with its defaults, until it is put over other layers. */
  public Delta(Settings settings) {
    super(settings);
    over(new DeltaTbr());
  }

  /**
   * A weight for each row, inverse to the frequency of the class it is predicted as; their mean is
   * 1.
   *
   * @param logits [N, C]
   * @param frequency q [C], above 0
   * @return [N]
   */
  public static Tensor weights(Tensor logits, Tensor frequency) {
    return Scopes.noGrad(
        () -> {
          Tensor each =
              frequency
                  .reciprocal()
                  .index_select(0, logits.argmax(new LongOptional(1), false));
          return each.div(each.mean());
        });
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor logits = output.logits();
    Tensor entropy = Entropies.entropy(logits);
    Tensor weights = weights(logits.detach(), frequency(logits));
    Tensor used = torch.ones_like(entropy.detach()).to(ScalarType.Bool);
    if (settings().loss() != Loss.ENTROPY) {
      used = PseudoLabel.confident(logits.detach(), settings().threshold());
    }
    if (settings().entropyWeight()) {
      double margin = ENTROPY_MARGIN * Math.log(logits.size(1));
      Tensor certain = entropy.detach().neg().add(new Scalar(margin)).exp();
      used = used.logical_and(certain.gt(new Scalar(1)));
      weights = weights.mul(certain);
    }
    Tensor kept = select(inputs, logits, used);
    long rows = kept.sum().item_long();
    count(used.sum().item_long(), rows, 0);
    if (rows == 0) {
      return null;
    }
    Tensor losses =
        switch (settings().loss()) {
          case ENTROPY -> entropy;
          case PSEUDO_LABEL -> PseudoLabel.losses(logits);
          case GENERALISED -> Entropies.generalised(logits, Q);
        };
    return Entropies.masked(losses.mul(weights), kept);
  }

  private Tensor frequency(Tensor logits) {
    Tensor known = memory().find(FREQUENCY);
    return known != null
        ? known
        : torch.full_like(logits.detach().select(0, 0), new Scalar(1.0 / logits.size(1)));
  }

  @Override
  protected void after(Tensor inputs, Output output, boolean stepped) {
    double dot = settings().dot();
    Tensor now = Entropies.meanProbabilities(output.logits().detach());
    memory()
        .put(
            FREQUENCY,
            frequency(output.logits()).mul(new Scalar(dot)).add(now, new Scalar(1 - dot)));
  }
}
