package org.outrigger.core.nn;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A classifier's last layer with one learned temperature for each input: logits {@code g_c / t} of
 * cosines {@code g_c = <w_c, h> / ((||w_c|| + 1e-4)(||h|| + 1e-4))} and {@code t = sigmoid(BN(a h +
 * b)) + 1e-12}. It takes the place of a linear layer and is trained with plain cross-entropy.
 *
 * <p>Names: {@code cosine.weight} [C, D], {@code temperature.linear.weight} [1, D] and {@code
 * .bias} [1], {@code temperature.norm} (batch norm of one channel). The form for maps, one
 * temperature a pixel, has 1x1 convolutions: {@code cosine.weight} [C, D, 1, 1] and {@code
 * temperature.conv.weight} [1, D, 1, 1] without bias.
 *
 * <p>Cosines and quotients are computed in float64, since logits are large where t is small; the
 * result has the type of the input. "Out-of-Distribution Detection and Applications With Ablated
 * Learned Temperature Energy", 2024.
 */
public final class TemperatureHead extends Layer implements Rebuildable {
  /** What is added to each norm. */
  public static final double COSINE_EPSILON = 1e-4;

  /** What is added to each temperature. */
  public static final double TEMPERATURE_EPSILON = 1e-12;

  private static final String KIND = "temperature-head";
  private static final String COSINE = "cosine";
  private static final String TEMPERATURE = "temperature";

  private final long in;
  private final long classes;
  private final boolean maps;

  /**
   * Over features [N, D], with logits [N, C].
   *
   * @param in D
   * @param classes C
   */
  public TemperatureHead(long in, long classes, Rng rng) {
    this(in, classes, false, rng);
  }

  private TemperatureHead(long in, long classes, boolean maps, Rng rng) {
    HyperParameter.atLeast("in", in, 1);
    HyperParameter.atLeast("classes", classes, 1);
    this.in = in;
    this.classes = classes;
    this.maps = maps;
    child(COSINE, new Cosine(in, classes, maps, rng));
    child(TEMPERATURE, new Temperature(in, maps, rng));
  }

  /** For each pixel: over features [N, D, H, W], with logits [N, C, H, W]. */
  public static TemperatureHead ofMaps(long in, long classes, Rng rng) {
    return new TemperatureHead(in, classes, true, rng);
  }

  /** The number of features D. */
  public long in() {
    return in;
  }

  /** The number of classes C. */
  public long classes() {
    return classes;
  }

  /** Whether it takes maps [N, D, H, W] instead of rows [N, D]. */
  public boolean maps() {
    return maps;
  }

  /** The layer that gives the cosines g, float64 [N, C] or [N, C, H, W]. */
  public Layer cosine() {
    return get(COSINE);
  }

  /** The layer that gives the temperatures t, [N, 1] or [N, 1, H, W]. */
  public Layer temperature() {
    return get(TEMPERATURE);
  }

  /**
   * The cosines, softened by what is added to the norms; 0 for a feature or a weight of length 0.
   *
   * @param features [N, D] or [N, D, H, W]
   * @param weight [C, D] or [C, D, 1, 1]
   * @return float64 [N, C] or [N, C, H, W]
   */
  public static Tensor cosines(Tensor features, Tensor weight) {
    return Scopes.tensor(
        () -> {
          Tensor h = softUnit(features);
          Tensor w = softUnit(weight);
          return w.dim() == 4 ? torch.conv2d(h, w) : h.matmul(w.t());
        });
  }

  /** Divided by the norm over dimension 1 plus 1e-4; the norm's gradient at 0 is 0. */
  private static Tensor softUnit(Tensor x) {
    Tensor exact = x.to(ScalarType.Double);
    return exact.div(
        exact
            .norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true)
            .add(new Scalar(COSINE_EPSILON)));
  }

  /** The temperatures of normalised values: above 0, up to 1. */
  public static Tensor temperatures(Tensor normalised) {
    return Scopes.tensor(() -> normalised.sigmoid().add(new Scalar(TEMPERATURE_EPSILON)));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (x.dim() != (maps ? 4 : 2) || x.size(1) != in) {
      throw new IllegalArgumentException(
          "expected features " + (maps ? "[N, " + in + ", H, W]" : "[N, " + in + "]"));
    }
    Tensor cosines = cosine().forward(x, context);
    Tensor temperatures = temperature().forward(x, context);
    Tensor logits = Scopes.tensor(() -> cosines.div(temperatures).to(x.scalar_type()));
    cosines.close();
    temperatures.close();
    return logits;
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public String toString() {
    return "TemperatureHead(" + in + " -> " + classes + (maps ? ", maps)" : ")");
  }

  /** Builds the head in the place of a linear layer of the same size. */
  public static final class Kind implements Rebuildable.Kind {
    @Override
    public String name() {
      return KIND;
    }

    @Override
    public Layer build(Layer original, Map<String, ?> settings) {
      if (!(original instanceof Linear linear)) {
        throw new OutriggerException(
            "A head with a learned temperature takes the place of a linear layer, not of "
                + original
                + ": the file is damaged.");
      }
      try (Rng rng = new Rng(0)) {
        return new TemperatureHead(linear.in(), linear.out(), rng);
      } finally {
        linear.close();
      }
    }
  }

  /** The cosines between features and the classes' {@code weight}. */
  private static final class Cosine extends Layer {
    Cosine(long in, long classes, boolean maps, Rng rng) {
      long[] shape = maps ? new long[] {classes, in, 1, 1} : new long[] {classes, in};
      Scopes.run(() -> parameter("weight", Init.normal(rng, Math.sqrt(2.0 / in), shape)));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return cosines(x, context.tensor(this, "weight"));
    }
  }

  /** One temperature for each row or pixel. */
  private static final class Temperature extends Layer {
    private static final String NORM = "norm";

    private final String projection;

    Temperature(long in, boolean maps, Rng rng) {
      projection = maps ? "conv" : "linear";
      int width = Math.toIntExact(in);
      child(
          projection,
          maps
              ? new Conv2d(Conv2d.Options.of(width, 1, 1).bias(false), rng)
              : new Linear(in, 1, rng));
      child(NORM, maps ? new BatchNorm2d(1) : new BatchNorm1d(1));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      Layer norm = get(NORM);
      if (context.training(norm) && x.numel() <= x.size(1)) {
        throw new OutriggerException(
            "A learned temperature is normalised over the batch, so that it cannot be trained on a"
                + " single row: use batches of 2 rows or more.");
      }
      return Scopes.tensor(
          () -> temperatures(norm.forward(get(projection).forward(x, context), context)));
    }
  }
}
