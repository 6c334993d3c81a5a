package org.outrigger.core.zoo.series;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.RmsNorm;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A transformer over patches of time series with a mixture of Student-t distributions for each
 * point, encoder-only or decoder-only, as in "Towards Neural Scaling Laws for Time Series
 * Foundation Models", ICLR 2025. The two differ in mask and objective alone.
 *
 * <p>Names equal those of the authors' code, which stands on Moirai's: mask_encoding.weight,
 * in_proj, encoder.layers.0..., encoder.norm, param_proj.proj.weights_logits,
 * param_proj.proj.components.0.df, .loc, .scale.
 */
public final class SeriesTransformer extends Layer {
  private final SeriesConfig config;

  /** A network with drawn weights, float32. */
  public static SeriesTransformer create(SeriesConfig config, long seed) {
    try (Rng rng = Rng.named(seed, "weights")) {
      return new SeriesTransformer(config, rng);
    }
  }

  public SeriesTransformer(SeriesConfig config, Rng rng) {
    this.config = config;
    if (!config.decoder()) {
      child("mask_encoding", new MaskVector(config.width(), rng));
    }
    child("in_proj", new Linear(config.patch(), config.width(), rng));
    child("encoder", new Stack(config, rng));
    child("param_proj", new Holder("proj", new Head(config, rng)));
  }

  public SeriesConfig config() {
    return config;
  }

  /** The parameters of the stack: N of the scaling laws. */
  public long stackParameters() {
    return get("encoder").parameterCount();
  }

  /**
   * The distribution at each patch: an encoder's of the patch itself, a decoder's of the next one.
   *
   * @param batch values [B, T, P]; what an encoder is to predict may hold anything
   * @param scale of each series, for inputs and outputs
   * @return of [B, T, P] points; those of a decoder's patch t are in the place of patch t
   */
  public StudentTMixture predict(PackedSeries batch, SeriesScale scale) {
    return predict(batch, scale, ForwardContext.AS_IS);
  }

  /** As {@link #predict(PackedSeries, SeriesScale)}, in that context. */
  public StudentTMixture predict(PackedSeries batch, SeriesScale scale, ForwardContext context) {
    batch.check(config.patch(), config.maxTokens());
    return Scopes.scoped(
        () -> {
          Tensor inputs = inputs(batch, scale);
          ScalarType type = inputs.scalar_type().intern();
          Tensor x = get("in_proj").forward(inputs, context);
          if (!config.decoder()) {
            Tensor unknown = context.tensor(get("mask_encoding"), "weight");
            x = torch.where(batch.predicted().unsqueeze(-1), unknown, x);
          }
          Tensor code = ((Stack) get("encoder")).run(x, batch.sampleId(), batch.timeId(), context);
          Head head = (Head) get("param_proj").get("proj");
          return new StudentTMixture(
              Scopes.keep(head.raw(code, context)),
              Scopes.keep(head.logits(code, context)),
              Scopes.keep(scale.loc().to(type)),
              Scopes.keep(scale.scale().to(type)));
        });
  }

  /** The scaled values; what is not observed stands at the middle of its series. */
  private Tensor inputs(PackedSeries batch, SeriesScale scale) {
    ScalarType type = get("in_proj").tensor("weight").scalar_type().intern();
    return batch
        .target()
        .to(ScalarType.Double)
        .sub(scale.loc())
        .div(scale.scale())
        .mul(batch.observed().to(ScalarType.Double))
        .to(type);
  }

  /**
   * The mean negative log-likelihood of the patches that are to be predicted. A decoder sees the
   * true patches before each.
   *
   * @return a scalar; see {@link PackedSeries#meanLoss}
   */
  public Tensor loss(PackedSeries batch) {
    return Scopes.tensor(
        () -> {
          SeriesScale scale = SeriesScale.of(batch);
          long n = batch.target().size(1);
          if (!config.decoder()) {
            return mean(batch, predict(batch, scale));
          }
          // Each patch but the last predicts its successor.
          SeriesScale first =
              new SeriesScale(scale.loc().narrow(1, 0, n - 1), scale.scale().narrow(1, 0, n - 1));
          StudentTMixture next = predict(batch.narrow(0, n - 1), first);
          ScalarType type = next.loc().scalar_type().intern();
          return mean(
              batch.narrow(1, n - 1),
              new StudentTMixture(
                  next.raw(),
                  next.logits(),
                  scale.loc().narrow(1, 1, n - 1).to(type),
                  scale.scale().narrow(1, 1, n - 1).to(type)));
        });
  }

  private static Tensor mean(PackedSeries labels, StudentTMixture predicted) {
    Tensor target = labels.target().to(predicted.raw().scalar_type().intern());
    return PackedSeries.meanLoss(
        predicted.negativeLogLikelihood(target),
        labels.observed(),
        labels.sampleId(),
        labels.variateId(),
        labels.predicted());
  }

  /** The vectors [B, T, d] of scaled patches [B, T, P], one series a row, all of it given. */
  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          long[] shape = {x.size(0), x.size(1)};
          Tensor one = torch.ones(shape, new TensorOptions(ScalarType.Long));
          Tensor time =
              torch.arange(new Scalar(x.size(1)), new TensorOptions(ScalarType.Long)).expand(shape);
          return ((Stack) get("encoder"))
              .run(get("in_proj").forward(x, context), one, time, context);
        });
  }

  @Override
  public String toString() {
    return "SeriesTransformer(" + (config.decoder() ? "decoder" : "encoder") + ")";
  }

  /** The vector in the place of a patch that is to be predicted; {@code weight} [1, d]. */
  private static final class MaskVector extends Layer {
    MaskVector(int width, Rng rng) {
      Scopes.run(() -> parameter("weight", Init.normal(rng, 1, 1, width)));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return context.tensor(this, "weight").expand_as(x);
    }
  }

  /** A layer under a name of its own. */
  private static final class Holder extends Layer {
    private final String name;

    Holder(String name, Layer layer) {
      this.name = name;
      child(name, layer);
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return get(name).forward(x, context);
    }
  }

  /** The layers and the last norm. */
  private static final class Stack extends Layer {
    private final int layers;
    private final boolean causal;
    private final long rotaryWidth;

    Stack(SeriesConfig config, Rng rng) {
      layers = config.layers();
      causal = config.decoder();
      rotaryWidth = config.width() / config.heads() / 2;
      child("layers", new Blocks(config, rng));
      child("norm", new RmsNorm(config.width()));
    }

    Tensor run(Tensor x, Tensor sampleId, Tensor timeId, ForwardContext context) {
      Rotary rotary = Rotary.of(timeId, rotaryWidth, x.scalar_type().intern());
      Tensor visible = PackedSeries.visible(sampleId, causal).unsqueeze(-3);
      Tensor at = x;
      for (int i = 0; i < layers; i++) {
        SeriesBlock block = (SeriesBlock) get("layers").get(Integer.toString(i));
        at = block.run(at, rotary, visible, context);
      }
      return get("norm").forward(at, context);
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return get("norm").forward(get("layers").forward(x, context), context);
    }
  }

  private static final class Blocks extends Layer {
    Blocks(SeriesConfig config, Rng rng) {
      for (int i = 0; i < config.layers(); i++) {
        child(Integer.toString(i), new SeriesBlock(config, rng));
      }
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor at = x;
            for (Layer block : children().values()) {
              at = block.forward(at, context);
            }
            return at;
          });
    }
  }

  /** What describes the mixture of each point. */
  private static final class Head extends Layer {
    private static final String[] PARTS = {"df", "loc", "scale"};
    private final int patch;
    private final int components;

    Head(SeriesConfig config, Rng rng) {
      patch = config.patch();
      components = config.components();
      child("weights_logits", new Linear(config.width(), (long) components * patch, rng));
      child("components", new Components(config, rng));
    }

    /** [B, T, P, K]. */
    Tensor logits(Tensor x, ForwardContext context) {
      return get("weights_logits")
          .forward(x, context)
          .unflatten(-1, components, patch)
          .transpose(-2, -1);
    }

    /** [B, T, P, K, 3]. */
    Tensor raw(Tensor x, ForwardContext context) {
      Tensor[] each = new Tensor[components];
      for (int k = 0; k < components; k++) {
        Layer one = get("components").get(Integer.toString(k));
        Tensor[] parts = new Tensor[PARTS.length];
        for (int i = 0; i < parts.length; i++) {
          parts[i] = one.get(PARTS[i]).forward(x, context);
        }
        each[k] = torch.stack(new TensorVector(parts), -1);
      }
      return torch.stack(new TensorVector(each), -2);
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(() -> raw(x, context));
    }
  }

  private static final class Components extends Layer {
    Components(SeriesConfig config, Rng rng) {
      for (int k = 0; k < config.components(); k++) {
        child(Integer.toString(k), new Component(config, rng));
      }
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return x;
    }
  }

  private static final class Component extends Layer {
    Component(SeriesConfig config, Rng rng) {
      for (String part : Head.PARTS) {
        child(part, new Linear(config.width(), config.patch(), rng));
      }
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return get("loc").forward(x, context);
    }
  }
}
