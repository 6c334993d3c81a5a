package org.outrigger.datasets;

import java.util.Arrays;
import java.util.Locale;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Images that belong to no class: procedural textures and noise, with values in [0, 1] and label
 * -1. Frequencies, angles, phases and colours are drawn for each image.
 */
public final class UnknownImages {
  /** What the images show. */
  public enum Kind {
    /** Hard stripes at any angle. */
    STRIPES,
    /** A board of two colours. */
    CHECKERS,
    /** A sine grating under a Gaussian window (Gabor). */
    GRATINGS,
    /** Smooth value noise of several octaves. */
    PLASMA,
    /** A lattice of round dots. */
    DOTS,
    /** Each value uniform. */
    UNIFORM,
    /** Each value normal around 0.5 with standard deviation 0.25, clamped. */
    GAUSSIAN,
    /** One colour. */
    CONSTANT,
    /** One colour with 2 to 30 % of the pixels black or white. */
    SALT;

    /** The textures, without the noise. */
    public static Kind[] textures() {
      return new Kind[] {STRIPES, CHECKERS, GRATINGS, PLASMA, DOTS};
    }

    /** The noise, without the textures. */
    public static Kind[] noise() {
      return new Kind[] {UNIFORM, GAUSSIAN, CONSTANT, SALT};
    }
  }

  private UnknownImages() {}

  /** Textures of all kinds in turn; see {@link #of(int, long[], long, Kind...)}. */
  public static TensorDataset textures(int rows, long[] shape, long seed) {
    return named("textures", rows, shape, seed, Kind.textures());
  }

  /** Noise of all kinds in turn; see {@link #of(int, long[], long, Kind...)}. */
  public static TensorDataset noise(int rows, long[] shape, long seed) {
    return named("noise images", rows, shape, seed, Kind.noise());
  }

  /**
   * Images of the given kinds in turn: row i shows kind i mod the number of kinds. The ids name the
   * kind.
   *
   * @param rows 1 or more
   * @param shape [C, H, W]
   * @param kinds at least one
   */
  public static TensorDataset of(int rows, long[] shape, long seed, Kind... kinds) {
    String name = kinds.length == 1 ? kinds[0].name().toLowerCase(Locale.ROOT) : "unknown images";
    return named(name, rows, shape, seed, kinds);
  }

  private static TensorDataset named(
      String name, int rows, long[] shape, long seed, Kind... kinds) {
    HyperParameter.atLeast("rows", rows, 1);
    if (shape.length != 3 || Arrays.stream(shape).anyMatch(size -> size < 1)) {
      throw new OutriggerException(
          "Images have shape [C, H, W] with sizes of 1 or more, not "
              + Arrays.toString(shape)
              + ".");
    }
    if (kinds.length == 0) {
      throw new OutriggerException("Name at least one kind of images.");
    }
    return Scopes.scoped(
        () -> {
          int each = (rows + kinds.length - 1) / kinds.length;
          Tensor[] drawn = new Tensor[kinds.length];
          for (int k = 0; k < kinds.length; k++) {
            try (Rng rng = Rng.named(seed, "images/" + kinds[k])) {
              Tensor images = draw(kinds[k], rng, each, shape);
              drawn[k] = images;
            }
          }
          Tensor inputs =
              torch.stack(new TensorVector(drawn), 1).flatten(0, 1).narrow(0, 0, rows).contiguous();
          Tensor labels =
              torch.full(new long[] {rows}, new Scalar(-1), new TensorOptions(ScalarType.Long));
          String[] ids = new String[rows];
          for (int i = 0; i < rows; i++) {
            ids[i] = kinds[i % kinds.length].name().toLowerCase(Locale.ROOT) + "-" + i;
          }
          return TensorDataset.builder(inputs)
              .labels(labels)
              .ids(Arrays.asList(ids))
              .name(name)
              .build();
        });
  }

  private static Tensor draw(Kind kind, Rng rng, int n, long[] shape) {
    long c = shape[0];
    long h = shape[1];
    long w = shape[2];
    return switch (kind) {
      case UNIFORM -> rng.uniform(n, c, h, w);
      case GAUSSIAN ->
          rng.normal(n, c, h, w)
              .mul(new Scalar(0.25))
              .add(new Scalar(0.5))
              .clamp(new ScalarOptional(new Scalar(0)), new ScalarOptional(new Scalar(1)));
      case CONSTANT -> rng.uniform(n, c, 1, 1).expand(n, c, h, w);
      case SALT -> {
        Tensor share = between(rng, 0.02, 0.3, n);
        Tensor hit = rng.uniform(n, 1, h, w).lt(share.unsqueeze(1));
        Tensor grain = rng.uniform(n, 1, h, w).round().expand(n, c, h, w);
        yield torch.where(hit, grain, rng.uniform(n, c, 1, 1).expand(n, c, h, w));
      }
      default -> coloured(rng, pattern(kind, rng, n, h, w), c);
    };
  }

  /** A pattern [N, H, W] between 0 and 1. */
  private static Tensor pattern(Kind kind, Rng rng, int n, long h, long w) {
    if (kind == Kind.PLASMA) {
      return plasma(rng, n, h, w);
    }
    TensorOptions floats = new TensorOptions(ScalarType.Float);
    double longest = Math.max(h, w);
    Tensor y = torch.arange(new Scalar(h), floats).view(1, h, 1).div(new Scalar(longest));
    Tensor x = torch.arange(new Scalar(w), floats).view(1, 1, w).div(new Scalar(longest));
    Tensor angle = between(rng, 0, Math.PI, n);
    Tensor u = x.mul(angle.cos()).add(y.mul(angle.sin()));
    Tensor v = y.mul(angle.cos()).sub(x.mul(angle.sin()));
    // From two periods an image to half of what the pixels can show.
    Tensor pace = between(rng, 2, Math.max(3, longest / 4), n).mul(new Scalar(2 * Math.PI));
    Tensor a = u.mul(pace).add(between(rng, 0, 2 * Math.PI, n));
    Tensor b = v.mul(pace).add(between(rng, 0, 2 * Math.PI, n));
    return switch (kind) {
      case STRIPES -> a.sin().gt(new Scalar(0)).to(ScalarType.Float);
      case CHECKERS -> a.sin().mul(b.sin()).gt(new Scalar(0)).to(ScalarType.Float);
      case DOTS -> a.cos().add(b.cos()).gt(new Scalar(0.8)).to(ScalarType.Float);
      default -> {
        Tensor dx = x.sub(between(rng, 0.3, 0.7, n));
        Tensor dy = y.sub(between(rng, 0.3, 0.7, n));
        Tensor width = between(rng, 0.15, 0.5, n);
        Tensor window =
            dx.mul(dx).add(dy.mul(dy)).div(width.mul(width)).mul(new Scalar(-0.5)).exp();
        yield a.sin().mul(window).add(new Scalar(1.0)).div(new Scalar(2.0));
      }
    };
  }

  /** Random grids of 2, 4, 8, ... cells, drawn large, each with half the weight of the last. */
  private static Tensor plasma(Rng rng, int n, long h, long w) {
    Tensor sum = torch.zeros(new long[] {n, h, w}, new TensorOptions(ScalarType.Float));
    double weight = 1;
    for (long cells = 2; cells <= Math.max(4, Math.max(h, w) / 2); cells *= 2) {
      Tensor grid = rng.uniform(n, 1, cells + 1, cells + 1);
      Tensor large =
          torch.upsample_bilinear2d(
              grid,
              new long[] {h, w},
              true,
              new org.bytedeco.pytorch.DoubleOptional(),
              new org.bytedeco.pytorch.DoubleOptional());
      sum = sum.add(large.squeeze(1), new Scalar(weight));
      weight /= 2;
    }
    Tensor low = sum.amin(new long[] {1, 2}, true);
    Tensor range = sum.amax(new long[] {1, 2}, true).sub(low);
    return sum.sub(low).div(range.clamp_min(new Scalar(1e-6)));
  }

  /** From one dark to one light colour, which way round is drawn for each image. */
  private static Tensor coloured(Rng rng, Tensor pattern, long channels) {
    long n = pattern.size(0);
    Tensor turn = rng.uniform(n, 1, 1).round();
    Tensor mixed = pattern.sub(turn).abs().unsqueeze(1);
    Tensor dark = rng.uniform(n, channels, 1, 1).mul(new Scalar(0.4));
    Tensor light = rng.uniform(n, channels, 1, 1).mul(new Scalar(0.4)).add(new Scalar(0.6));
    return dark.add(light.sub(dark).mul(mixed));
  }

  private static Tensor between(Rng rng, double low, double high, long n) {
    return rng.uniform(n, 1, 1).mul(new Scalar(high - low)).add(new Scalar(low));
  }
}
