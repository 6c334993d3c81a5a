package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Scopes;

/**
 * The layer of UnMix-TNS: K running components, {@code means} and {@code variances} [K, C], stand
 * for what an i.i.d. batch would hold. Each instance is mixed into the components that it
 * resembles, and normalised by the statistics of the resulting mixture; then the components move
 * towards the instances. All modes are the same, and every forward pass moves them unless weights
 * are replaced for it, so one instance of the layer serves one stream. See {@link UnMixTns}.
 */
public final class UnMixNorm extends ReplacedNorm {
  /** The buffer of the components' means. */
  public static final String MEANS = "means";

  /** The buffer of the components' variances. */
  public static final String VARIANCES = "variances";

  private static final String KIND = "unmix-norm";
  private static final double GUARD = 1e-12;

  private final double momentum;
  private final UnMixTns.Settings settings;

  /**
   * Spreads the components around the source's statistics.
   *
   * @param original whose weights, statistics and momentum are taken over
   * @param noise standard normal [K, C], one row a component; unused if K = 1
   */
  public UnMixNorm(BatchNorm original, UnMixTns.Settings settings, Tensor noise) {
    super(original);
    this.momentum = original.momentum();
    this.settings = settings;
    Scopes.run(
        () -> {
          Tensor mean = tensor(MEAN);
          Tensor variance = tensor(VARIANCE);
          Tensor drawn = noise.to(mean.scalar_type());
          buffer(MEANS, means(mean, variance, settings.K(), settings.c(), drawn));
          buffer(VARIANCES, variances(variance, settings.K(), settings.c()));
        });
  }

  /** {@code m + sqrt(c K / (K - 1)) sqrt(v) n_k}, [K, C]; the source's mean if K = 1. */
  static Tensor means(Tensor mean, Tensor variance, int components, double c, Tensor noise) {
    Tensor start = mean.unsqueeze(0);
    if (components == 1) {
      return start.clone();
    }
    double spread = Math.sqrt(c * components / (components - 1.0));
    return start.add(variance.sqrt().mul(noise), new Scalar(spread));
  }

  /** {@code (1 - c) v} for each component, [K, C]; the source's variance if K = 1. */
  static Tensor variances(Tensor variance, int components, double c) {
    return variance
        .mul(new Scalar(components == 1 ? 1 : 1 - c))
        .unsqueeze(0)
        .expand(components, variance.size(0))
        .clone();
  }

  /**
   * How much each instance belongs to each component: softmax of the cosines over the temperature.
   *
   * @param own means of the instances, [N, C]
   * @param means of the components, [K, C]
   * @return [N, K]
   */
  static Tensor assignments(Tensor own, Tensor means, double temperature) {
    return unit(own).matmul(unit(means).t()).div(new Scalar(temperature)).softmax(1);
  }

  private static Tensor unit(Tensor rows) {
    return rows.div(
        rows.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true)
            .clamp_min(new Scalar(GUARD)));
  }

  /** {@code (1 - p) component + p own}, averaged over the components later: [N, K, C]. */
  private static Tensor mixed(Tensor p, Tensor component, Tensor own) {
    Tensor share = p.unsqueeze(2);
    return component
        .unsqueeze(0)
        .mul(share.neg().add(new Scalar(1.0)))
        .add(own.unsqueeze(1).mul(share));
  }

  /** How far a batch of that many rows moves the components: 1 - (1 - momentum)^(B / B_max). */
  static double rate(double momentum, long rows, int largest) {
    return 1 - Math.pow(1 - momentum, (double) rows / largest);
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (x.dim() != 4 || x.size(1) != channels()) {
      throw new IllegalArgumentException("expected maps [N, " + channels() + ", H, W]");
    }
    return Scopes.tensor(
        () -> {
          Tensor means = context.tensor(this, MEANS);
          Tensor variances = context.tensor(this, VARIANCES);
          Tensor ownMean = x.mean(new long[] {2, 3});
          Tensor ownVariance = x.var(new long[] {2, 3}, false, false);
          Tensor p =
              Scopes.noGrad(() -> assignments(ownMean.detach(), means, settings.temperature()));
          Tensor all = mixed(p, means, ownMean);
          Tensor mean = all.mean(1);
          Tensor variance =
              mixed(p, variances, ownVariance)
                  .mean(1)
                  .add(all.square().mean(1))
                  .sub(mean.square())
                  // Rounding can take it below 0 where components coincide.
                  .clamp_min(new Scalar(0.0));
          Tensor y = normalised(x, mean, variance, context);
          double rate = rate(momentum, x.size(0), settings.maxBatch());
          keep(MEANS, moved(means, p, ownMean.detach(), rate), context);
          keep(VARIANCES, moved(variances, p, ownVariance.detach(), rate), context);
          return y;
        });
  }

  /** {@code component + rate mean_b p_bk (own_b - component_k)}, [K, C]. */
  private static Tensor moved(Tensor component, Tensor p, Tensor own, double rate) {
    Tensor pull = p.t().matmul(own).sub(component.mul(p.sum(0).unsqueeze(1)));
    return component.add(pull, new Scalar(rate / p.size(0)));
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Map<String, Object> settings() {
    return Map.of(
        "K", settings.K(), "temperature", settings.temperature(), "maxBatch", settings.maxBatch());
  }

  @Override
  public String toString() {
    return "UnMixNorm("
        + channels()
        + ", K="
        + settings.K()
        + ", temperature="
        + settings.temperature()
        + ", maxBatch="
        + settings.maxBatch()
        + ")";
  }

  /** Builds the layer in the place of a batch normalisation. */
  public static final class Kind extends OfBatchNorm {
    public Kind() {
      super(KIND);
    }

    @Override
    ReplacedNorm build(BatchNorm original, Map<String, ?> settings) {
      int components = (int) number(settings, "K");
      UnMixTns.Settings plan =
          new UnMixTns.Settings(
              components,
              number(settings, "temperature"),
              UnMixTns.Settings.defaults().c(),
              (int) number(settings, "maxBatch"),
              0);
      // The components are loaded with the weights.
      return Scopes.scoped(
          () ->
              new UnMixNorm(
                  original, plan, torch.zeros(new long[] {components, original.channels()})));
    }
  }
}
