package org.outrigger.adapt;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Prior correction: the mean prediction of a batch is taken for the class mix of the stream, and
 * each prediction is multiplied by it, {@code p_c <- p_c q_c / sum_k p_k q_k}. The estimate is
 * smoothed by how little a batch can tell, {@code q = (pbar + s) / (1 + s C)} with {@code s =
 * max(1/N, 1/C) / max_c pbar_c}.
 *
 * <p>It is the output stage of ROID: Marsden, Döbler, Yang, "Universal Test-time Adaptation through
 * Weight Ensembling, Diversity Weighting, and Prior Correction", WACV 2024.
 */
@Card(
    slug = "prior-correction",
    name = "Prior correction",
    summary = "Predictions are weighted by the class mix that their batch seems to have.",
    paper =
        "Marsden, Döbler, Yang, Universal Test-time Adaptation through Weight Ensembling, Diversity"
            + " Weighting, and Prior Correction, WACV 2024",
    year = 2024,
    room = Room.ADAPT,
    needs = Need.LOGITS,
    state = "none")
public final class PriorCorrection extends Decorator<PriorCorrection.Settings> {
  /** What the estimate multiplies. */
  public enum Form {
    /** Probabilities, as the paper says. */
    PROBABILITIES,
    /** Logits, as the authors' code does. */
    LOGITS
  }

  /**
   * @param form what the estimate multiplies
   */
  public record Settings(Form form) {
    public Settings {
      Objects.requireNonNull(form);
    }

    public static Settings defaults() {
      return new Settings(Form.PROBABILITIES);
    }
  }

  public PriorCorrection() {
    this(Settings.defaults());
  }

  public PriorCorrection(Settings settings) {
    super(settings, new Source());
  }

  /**
   * A class mix made safe for the size of the batch it comes from.
   *
   * @param prior the mean prediction of a batch, [C]
   * @param rows how many rows the batch had
   * @return [C], sums to one
   */
  public static Tensor smoothed(Tensor prior, long rows) {
    return Scopes.tensor(
        () -> {
          long classes = prior.size(0);
          Tensor s = prior.amax().reciprocal().mul(new Scalar(Math.max(1.0 / rows, 1.0 / classes)));
          return prior.add(s).div(s.mul(new Scalar((double) classes)).add(new Scalar(1.0)));
        });
  }

  /** The smoothed class mix [C] of the batch that logits [N, C] are of. */
  public static Tensor prior(Tensor logits) {
    return Scopes.tensor(() -> smoothed(Entropies.meanProbabilities(logits), logits.size(0)));
  }

  /**
   * Predictions with a class mix put in.
   *
   * @param logits [N, C]
   * @param prior positive, [C]
   * @return [N, C]: log-probabilities, or changed logits
   */
  public static Tensor correct(Tensor logits, Tensor prior, Form form) {
    return Scopes.tensor(
        () ->
            form == Form.PROBABILITIES
                ? torch.log_softmax(logits.add(prior.log()), 1)
                : logits.mul(prior));
  }

  @Override
  protected Output step(Tensor inputs) {
    Output output = inner().adapt(inputs);
    return new Output(
        correct(output.logits(), prior(output.logits()), settings().form()),
        output.hasFeatures() ? output.features() : null);
  }
}
