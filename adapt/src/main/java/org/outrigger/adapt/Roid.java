package org.outrigger.adapt;

import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.PriorCorrection.Form;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * ROID: the loss of rows that are diverse and certain, loss = 1/N sum_i w_i (SLR(z_i) + SCE(z_i',
 * z_i)), with the soft likelihood ratio SLR = -sum_c p_c log(p_c / (1 - p_c)) and the symmetric
 * cross-entropy SCE to an augmented view; weights stay near those of the source, and predictions are
 * corrected by the prior of the batch. Marsden et al., Universal Test-time Adaptation through Weight
 * Ensembling, Diversity Weighting, and Prior Correction, WACV 2024.
 */
@Card(
    slug = "roid",
    name = "ROID",
    summary = "Weighted likelihood ratios, a pull to the source weights, and a prior correction.",
    paper =
        "Marsden et al., Universal Test-time Adaptation through Weight Ensembling, Diversity"
            + " Weighting, and Prior Correction, WACV 2024",
    year = 2024,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "scales, shifts, the optimiser, source weights, a mean prediction and random draws")
public final class Roid extends GradientAdapter<Roid.Settings> {
  private static final String MEAN = "mean";
  private static final String SOURCE = "source/";
  private static final double CLIP = 0.99;
  private static final double EPS = 1e-5;
  private static final double CONTRAST = 0.15;
  private static final double NOISE = 0.005;
  private static final int SHIFT = 16;

  /** How predictions are corrected by the prior of the batch. */
  public enum Correction {
    /** Probabilities are multiplied by it, as in the paper. */
    PROBABILITIES,
    /** Logits are multiplied by it, as in the authors' code. */
    LOGITS,
    /** Not at all. */
    NONE
  }

  /**
   * @param temperature of the weights, above 0
   * @param momentumProbs how much of the mean prediction stays, in [0, 1]
   * @param momentumSource how much of the adapted weights stays, in [0, 1]
   * @param consistency whether rows are compared with augmented views, which costs a second pass
   * @param flip whether views may be mirrored; not for digits or text
   * @param correction of the predictions
   * @param seed of the views
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      double temperature,
      double momentumProbs,
      double momentumSource,
      boolean consistency,
      boolean flip,
      Correction correction,
      long seed,
      Rule optimiser,
      double lr,
      double momentum,
      int steps)
      implements Descent {
    public Settings {
      HyperParameter.positive("temperature", temperature);
      HyperParameter.between("momentumProbs", momentumProbs, 0, 1);
      HyperParameter.between("momentumSource", momentumSource, 0, 1);
      Objects.requireNonNull(correction);
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(
          1.0 / 3, 0.9, 0.99, true, true, Correction.PROBABILITIES, 0, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  private @Nullable Rng rng;

  public Roid() {
    this(Settings.defaults());
  }

  public Roid(Settings settings) {
    super(settings);
  }

  /**
   * How far each prediction is from the mean prediction, 1 - cos, scaled to 0 .. 1 over the batch.
   *
   * @param probabilities [N, C]
   * @param mean [C]
   * @return [N]
   */
  public static Tensor diversity(Tensor probabilities, Tensor mean) {
    return Scopes.noGrad(
        () ->
            scaled(
                torch
                    .cosine_similarity(mean.unsqueeze(0), probabilities, 1, 1e-8)
                    .neg()
                    .add(new Scalar(1.0))));
  }

  /** How certain each prediction is, -H, scaled to 0 .. 1 over the batch: [N] of logits [N, C]. */
  public static Tensor certainty(Tensor logits) {
    return Scopes.noGrad(() -> scaled(Entropies.entropy(logits).neg()));
  }

  /** To 0 .. 1; all 1 if all are the same. */
  private static Tensor scaled(Tensor values) {
    Tensor least = values.amin();
    Tensor range = values.amax().sub(least);
    return torch.where(
        range.gt(new Scalar(0)), values.sub(least).div(range), torch.ones_like(values));
  }

  /** The rows that are at least as diverse as the mean of the batch, bool [N]. */
  public static Tensor diverse(Tensor diversity) {
    return Scopes.noGrad(() -> diversity.ge(diversity.mean()));
  }

  /**
   * The weights exp(diversity certainty / temperature) of kept rows, 0 of others.
   *
   * @param kept bool [N]
   */
  public static Tensor weights(
      Tensor diversity, Tensor certainty, Tensor kept, double temperature) {
    return Scopes.noGrad(
        () ->
            diversity
                .mul(certainty)
                .div(new Scalar(temperature))
                .exp()
                .mul(kept.to(diversity.scalar_type())));
  }

  /** The negative soft likelihood ratio of each row, [N] of logits [N, C]. */
  public static Tensor likelihoodRatio(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits, 1).clamp_max(new Scalar(CLIP));
          Tensor odds = p.div(p.neg().add(new Scalar(1.0)));
          return p.mul(odds.add(new Scalar(EPS)).log()).sum(1).neg();
        });
  }

  /** The mean of both cross-entropies between two predictions of each row, [N] of logits [N, C]. */
  public static Tensor symmetricCrossEntropy(Tensor one, Tensor other) {
    return Scopes.tensor(
        () -> {
          Tensor a = torch.log_softmax(one, 1);
          Tensor b = torch.log_softmax(other, 1);
          return a.exp().mul(b).add(b.exp().mul(a)).sum(1).mul(new Scalar(-0.5));
        });
  }

  /**
   * The prior of a batch for {@link #corrected}: its mean prediction, smoothed.
   *
   * @param logits [N, C]
   * @return [C]
   */
  public static Tensor prior(Tensor logits) {
    return Scopes.noGrad(() -> PriorCorrection.prior(logits));
  }

  /** Logits [N, C], or log-probabilities, corrected by a prior [C]. */
  public static Tensor corrected(Tensor logits, Tensor prior, Correction correction) {
    return switch (correction) {
      case PROBABILITIES -> PriorCorrection.correct(logits, prior, Form.PROBABILITIES);
      case LOGITS -> PriorCorrection.correct(logits, prior, Form.LOGITS);
      case NONE -> logits;
    };
  }

  /** {@code momentum} of the present value and the rest of the source's. */
  public static Tensor ensembled(Tensor present, Tensor source, double momentum) {
    return Scopes.noGrad(
        () -> present.mul(new Scalar(momentum)).add(source, new Scalar(1 - momentum)));
  }

  @Override
  protected void ready(Model copy) {
    parameters().forEach((name, p) -> statistics().put(SOURCE + name, p.detach().clone()));
    rng = Rng.named(settings().seed(), "roid views");
  }

  @Override
  protected Map<String, Rng> generators() {
    return Map.of("views", Objects.requireNonNull(rng));
  }

  @Override
  protected Output update(Tensor inputs) {
    Output output = super.update(inputs);
    if (settings().correction() == Correction.NONE) {
      return output;
    }
    Tensor logits = output.logits().detach();
    return new Output(
        corrected(logits, prior(logits), settings().correction()),
        output.hasFeatures() ? output.features() : null);
  }

  @Override
  protected void follow(Tensor inputs, Output output) {
    undisturbed(() -> super.follow(inputs, output));
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor logits = output.logits();
    Tensor probabilities = torch.softmax(logits.detach(), 1);
    Tensor mean = meanPrediction(probabilities);
    Tensor diversity = diversity(probabilities, mean);
    Tensor diverse = diverse(diversity);
    Tensor kept = select(inputs, logits, diverse);
    long rows = kept.sum().item_long();
    count(diverse.sum().item_long(), rows, 0);
    memory().put(MEAN, ensembled(mean, probabilities.mean(0), settings().momentumProbs()));
    if (rows == 0) {
      return null;
    }
    Tensor weights =
        weights(diversity, certainty(logits.detach()), kept, settings().temperature());
    Tensor total = likelihoodRatio(logits).mul(weights).sum();
    if (settings().consistency()) {
      Tensor chosen = kept.nonzero().flatten();
      Tensor views = forward(view(inputs.index_select(0, chosen))).logits();
      Tensor apart = symmetricCrossEntropy(views, logits.index_select(0, chosen));
      total = total.add(apart.mul(weights.index_select(0, chosen)).sum());
    }
    return total.div(new Scalar((double) logits.size(0)));
  }

  private Tensor meanPrediction(Tensor probabilities) {
    Tensor known = memory().find(MEAN);
    return known != null
        ? known
        : torch.full_like(probabilities.select(0, 0), new Scalar(1.0 / probabilities.size(1)));
  }

  /** Images are shifted and change their contrast and, if wanted, sides; all inputs get noise. */
  private Tensor view(Tensor inputs) {
    Rng draws = Objects.requireNonNull(rng);
    return Scopes.noGrad(
        () -> {
          Tensor seen = inputs;
          if (inputs.dim() == 4) {
            int shift = (int) Math.ceil(Math.min(inputs.size(2), inputs.size(3)) / (double) SHIFT);
            Tensor centre = inputs.mean(new long[] {1, 2, 3}, true, null);
            Tensor factor =
                draws
                    .uniform(inputs.scalar_type().intern(), inputs.size(0), 1, 1, 1)
                    .mul(new Scalar(2 * CONTRAST))
                    .add(new Scalar(1 - CONTRAST));
            seen =
                new CropAndFlip(shift, settings().flip())
                    .apply(inputs.sub(centre).mul(factor), draws)
                    .add(centre);
          }
          return seen.add(
              draws.normal(inputs.scalar_type().intern(), inputs.shape()), new Scalar(NOISE));
        });
  }

  @Override
  protected void after(Tensor inputs, Output output, boolean stepped) {
    if (stepped) {
      parameters()
          .forEach(
              (name, p) ->
                  p.copy_(
                      ensembled(
                          p.detach(),
                          statistics().tensor(SOURCE + name),
                          settings().momentumSource())));
    }
  }

  @Override
  protected void release() {
    Rng old = rng;
    rng = null;
    if (old != null) {
      old.close();
    }
    super.release();
  }
}
