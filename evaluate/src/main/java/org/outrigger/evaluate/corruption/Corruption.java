package org.outrigger.evaluate.corruption;

import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * Ways to damage images, each with severities 1 to 5: the corruptions of CIFAR-C and ImageNet-C
 * (Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
 * Perturbations", ICLR 2019) and of MNIST-C (Mu and Gilmer, "MNIST-C: A Robustness Benchmark for
 * Computer Vision", 2019).
 *
 * <pre>{@code
 * Tensor foggy = Corruption.FOG.apply(images, 3, 0L); // images [N, C, H, W] in [0, 1]
 * Corruption same = Corruption.named("fog");
 * }</pre>
 *
 * <p>What is random about an image depends on the seed, the image's index, the corruption and the
 * severity; never on the other images of a batch. Results equal the published benchmarks in
 * definition and strength, not number by number, since those used another random generator. {@link
 * #FROST} draws its ice (see {@link Weather#frost}); {@link #MOTION_BLUR} and {@link #SNOW} use a
 * streak of whole pixels where the benchmark called ImageMagick; {@link #ELASTIC_TRANSFORM} mirrors
 * the border at every size. {@link #STRIPE}, {@link #INVERSE} and {@link #CANNY_EDGES} have one
 * strength and take any severity.
 */
// The tables are arrays that nothing writes to and nothing hands out uncopied.
@SuppressWarnings("ImmutableEnumChecker")
public enum Corruption {
  GAUSSIAN_NOISE(
      each(.04, .06, .08, .09, .10),
      each(.08, .12, .18, .26, .38),
      (x, p, scale, draws) -> Noise.gaussian(x, p[0], draws.normals(x.data().length))),
  SHOT_NOISE(
      each(500, 250, 100, 75, 50),
      each(60, 25, 12, 5, 3),
      (x, p, scale, draws) -> Noise.shot(x, p[0], draws.poisson(x.map(v -> v * p[0]).data()))),
  IMPULSE_NOISE(
      each(.01, .02, .03, .05, .07),
      each(.03, .06, .09, .17, .27),
      (x, p, scale, draws) ->
          Noise.impulse(
              x,
              p[0],
              draws.uniforms(x.data().length, 0, 1),
              draws.uniforms(x.data().length, 0, 1))),
  DEFOCUS_BLUR(
      rows(2, .3, .4, .4, .5, .5, .6, 1, .2, 1.5, .1),
      rows(2, 3, .1, 4, .5, 6, .5, 8, .5, 10, .5),
      (x, p, scale, draws) -> Blur.defocus(x, p[0], p[1]).clip()),
  GLASS_BLUR(
      rows(3, .05, 1, 1, .25, 1, 1, .4, 1, 1, .25, 1, 2, .4, 1, 2),
      rows(3, .7, 1, 2, .9, 2, 1, 1, 2, 3, 1.1, 3, 2, 1.5, 4, 2),
      (x, p, scale, draws) -> {
        int delta = (int) p[1];
        int[] offsets = new int[2 * Blur.glassOffsets(x, delta, (int) p[2])];
        Arrays.setAll(offsets, i -> draws.integer(-delta, delta));
        return Blur.glass(x, p[0], delta, (int) p[2], offsets);
      }),
  MOTION_BLUR(
      rows(2, 6, 1, 6, 1.5, 6, 2, 8, 2, 9, 2.5),
      rows(2, 10, 3, 15, 5, 15, 8, 15, 12, 20, 15),
      (x, p, scale, draws) -> Blur.motion(x, (int) p[0], p[1], draws.uniform(-45, 45)).clip()),
  ZOOM_BLUR(
      rows(2, .01, 7, .01, 12, .01, 16, .01, 21, .01, 26),
      rows(2, .01, 12, .01, 16, .02, 11, .02, 13, .03, 11),
      (x, p, scale, draws) -> Blur.zoom(x, Blur.zoomFactors(p[0], (int) p[1])).clip()),
  SNOW(
      rows(
          7, .1, .2, 1, .6, 8, 3, .95, .1, .2, 1, .5, 10, 4, .9, .15, .3, 1.75, .55, 10, 4, .9, .25,
          .3, 2.25, .6, 12, 6, .85, .3, .3, 1.25, .65, 14, 12, .8),
      rows(
          7, .1, .3, 3, .5, 10, 4, .8, .2, .3, 2, .5, 12, 4, .7, .55, .3, 4, .9, 12, 8, .7, .55, .3,
          4.5, .85, 12, 8, .65, .55, .3, 2.5, .85, 12, 12, .55),
      (x, p, scale, draws) ->
          Weather.snow(
              x,
              normalLayer(x, p[0], p[1], draws),
              p[2],
              p[3],
              (int) p[4],
              p[5],
              p[6],
              draws.uniform(-135, -45))),
  FROST(
      rows(2, 1, .2, 1, .3, .9, .4, .85, .4, .75, .45),
      rows(2, 1, .4, .8, .6, .7, .7, .65, .7, .6, .75),
      (x, p, scale, draws) ->
          Weather.frost(x, p[0], p[1], plasma(x, scale, 2.2, draws), plasma(x, scale, 1.3, draws))),
  FOG(
      rows(2, .2, 3, .5, 3, .75, 2.5, 1, 2, 1.5, 1.75),
      rows(2, 1.5, 2, 2, 2, 2.5, 1.7, 2.5, 1.5, 3, 1.4),
      (x, p, scale, draws) -> Weather.fog(x, p[0], plasma(x, scale, p[1], draws))),
  BRIGHTNESS(
      each(.05, .1, .15, .2, .3),
      each(.1, .2, .3, .4, .5),
      (x, p, scale, draws) -> Digital.brightness(x, p[0])),
  CONTRAST(
      each(.75, .5, .4, .3, .15),
      each(.4, .3, .2, .1, .05),
      (x, p, scale, draws) -> Digital.contrast(x, p[0])),
  ELASTIC_TRANSFORM(
      rows(3, 0, 0, .08, .05, .2, .07, .08, .06, .06, .1, .04, .05, .1, .03, .03),
      rows(3, 2, .7, .1, 2, .08, .2, .05, .01, .02, .07, .01, .02, .12, .01, .02),
      (x, p, scale, draws) -> {
        square(x, "elastic_transform");
        int side = x.side();
        Image jittered = Geometry.jitterAffine(x, draws.uniforms(6, -p[2] * side, p[2] * side));
        return Geometry.displace(jittered, elastic(x, p, draws), elastic(x, p, draws), true).clip();
      }),
  PIXELATE(
      each(.95, .9, .85, .75, .65),
      each(.6, .5, .4, .3, .25),
      (x, p, scale, draws) -> Digital.pixelate(x, p[0])),
  JPEG_COMPRESSION(
      each(80, 65, 58, 50, 40),
      each(25, 18, 15, 10, 7),
      (x, p, scale, draws) -> Jpeg.compress(x, (int) p[0])),

  SPECKLE_NOISE(
      each(.06, .1, .12, .16, .2),
      each(.15, .2, .35, .45, .6),
      (x, p, scale, draws) -> Noise.speckle(x, p[0], draws.normals(x.data().length))),
  GAUSSIAN_BLUR(
      each(.4, .6, .7, .8, 1),
      each(1, 2, 3, 4, 6),
      (x, p, scale, draws) -> Blur.gaussian(x, p[0]).clip()),
  SPATTER(
      rows(
          6, .62, .1, .7, .7, .5, 0, .65, .1, .8, .7, .5, 0, .65, .3, 1, .69, .5, 0, .65, .1, .7,
          .69, .6, 1, .65, .1, .5, .68, .6, 1),
      rows(
          6, .65, .3, 4, .69, .6, 0, .65, .3, 3, .68, .6, 0, .65, .3, 2, .68, .5, 0, .65, .3, 1,
          .65, 1.5, 1, .67, .4, 1, .65, 1.5, 1),
      (x, p, scale, draws) -> {
        Image liquid = Spatter.liquid(x, normalLayer(x, p[0], p[1], draws), p[2], p[3]);
        return p[5] == 0 ? Spatter.water(x, liquid, p[4]) : Spatter.mud(x, liquid, p[3], p[4]);
      }),
  SATURATE(
      rows(2, .3, 0, .1, 0, 1.5, 0, 2, .1, 2.5, .2),
      rows(2, .3, 0, .1, 0, 2, 0, 5, .1, 20, .2),
      (x, p, scale, draws) -> Digital.saturate(x, p[0], p[1])),

  SHEAR(
      each(.2, .4, .6, .8, 1),
      (x, p, scale, draws) ->
          Geometry.warp(x, Geometry.shear(x.height(), x.width(), p[0] * draws.sign()))),
  SCALE(
      each(1 / .9, 1 / .8, 1 / .7, 1 / .6, 1 / .5),
      (x, p, scale, draws) -> Geometry.warp(x, Geometry.scale(x.height(), x.width(), p[0]))),
  ROTATE(
      each(.2, .4, .6, .8, 1),
      (x, p, scale, draws) ->
          Geometry.warp(x, Geometry.rotation(x.height(), x.width(), p[0] * draws.sign()))),
  TRANSLATE(
      each(1, 2, 3, 4, 5),
      (x, p, scale, draws) ->
          Geometry.warp(x, Geometry.translation(p[0] * draws.sign(), p[0] * draws.sign()))),
  STRIPE(each(1, 1, 1, 1, 1), (x, p, scale, draws) -> Digital.stripe(x)),
  DOTTED_LINE(
      each(1, 2, 3, 4, 5),
      (x, p, scale, draws) -> {
        Image out = x;
        for (int i = 0; i < p[0]; i++) {
          out = Strokes.dottedLine(out, draws.uniforms(4, 0, 1));
        }
        return out;
      }),
  ZIGZAG(
      each(1, 2, 3, 4, 5),
      (x, p, scale, draws) -> {
        Image out = x;
        for (int i = 0; i < p[0]; i++) {
          out = Strokes.zigzag(out, draws.uniforms(4, 0, 1));
        }
        return out;
      }),
  CANNY_EDGES(each(1, 1, 1, 1, 1), (x, p, scale, draws) -> Strokes.cannyEdges(x)),
  QUANTIZE(each(5, 4, 3, 2, 1), (x, p, scale, draws) -> Digital.quantize(x, (int) p[0])),
  INVERSE(each(1, 1, 1, 1, 1), (x, p, scale, draws) -> Digital.inverse(x));

  /** The fifteen of the benchmarks' main tables, in their fixed order. */
  public static final List<Corruption> CLASSIC =
      List.copyOf(EnumSet.range(GAUSSIAN_NOISE, JPEG_COMPRESSION));

  /** The fifteen of MNIST-C. */
  public static final List<Corruption> MNIST_C =
      List.of(
          SHOT_NOISE,
          IMPULSE_NOISE,
          GLASS_BLUR,
          MOTION_BLUR,
          SHEAR,
          SCALE,
          ROTATE,
          BRIGHTNESS,
          TRANSLATE,
          STRIPE,
          FOG,
          SPATTER,
          DOTTED_LINE,
          ZIGZAG,
          CANNY_EDGES);

  /** The largest severity. */
  public static final int SEVERITIES = 5;

  private final double[][] cifar;
  private final double[][] imagenet;
  private final Recipe recipe;

  Corruption(double[][] both, Recipe recipe) {
    this(both, both, recipe);
  }

  Corruption(double[][] cifar, double[][] imagenet, Recipe recipe) {
    this.cifar = cifar;
    this.imagenet = imagenet;
    this.recipe = recipe;
  }

  @FunctionalInterface
  private interface Recipe {
    Image apply(Image image, double[] parameters, Scale scale, Draws draws);
  }

  /**
   * How a batch is corrupted.
   *
   * @param seed of all that is random
   * @param scale the table of strengths; null: by the size of the images
   * @param eightBit whether results are truncated to steps of 1/255 as the published data are
   * @param parallel whether the images of a batch are worked on by several threads; same result
   */
  public record Settings(long seed, @Nullable Scale scale, boolean eightBit, boolean parallel) {
    /** Truncated to 8 bits, scale by size, one thread. */
    public static Settings seeded(long seed) {
      return new Settings(seed, null, true, false);
    }

    public Settings withScale(Scale wanted) {
      return new Settings(seed, wanted, eightBit, parallel);
    }

    public Settings withEightBit(boolean wanted) {
      return new Settings(seed, scale, wanted, parallel);
    }

    public Settings withParallel(boolean wanted) {
      return new Settings(seed, scale, eightBit, wanted);
    }
  }

  /** Its name as the benchmarks spell it, such as {@code gaussian_noise}. */
  public String slug() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The corruption of that name; hyphens count as underscores.
   *
   * @throws OutriggerException that suggests the nearest name
   */
  public static Corruption named(String name) {
    String wanted = name.strip().toLowerCase(Locale.ROOT).replace('-', '_');
    for (Corruption corruption : values()) {
      if (corruption.slug().equals(wanted)) {
        return corruption;
      }
    }
    Corruption nearest =
        Arrays.stream(values())
            .min(Comparator.comparingInt(c -> editDistance(c.slug(), wanted)))
            .orElseThrow();
    throw new OutriggerException(
        "Unknown corruption '"
            + name
            + "': did you mean "
            + nearest.slug()
            + "? Known are "
            + Arrays.stream(values()).map(Corruption::slug).collect(Collectors.joining(", "))
            + ".");
  }

  private static int editDistance(String a, String b) {
    int[] row = IntStream.rangeClosed(0, b.length()).toArray();
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(change, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }

  /** The severity that MNIST-C uses; 1 for what has one strength there or is not part of it. */
  public int mnistSeverity() {
    return switch (this) {
      case SHOT_NOISE, BRIGHTNESS, FOG -> 5;
      case IMPULSE_NOISE, SPATTER -> 4;
      case SCALE, TRANSLATE -> 3;
      case SHEAR, ROTATE -> 2;
      default -> 1;
    };
  }

  /** The strengths of a severity, in the order of the benchmark's table. */
  public double[] parameters(Scale scale, int severity) {
    check(severity);
    return (scale == Scale.CIFAR ? cifar : imagenet)[severity - 1].clone();
  }

  /** {@link #apply(Tensor, int, Settings)} with {@link Settings#seeded}. */
  public Tensor apply(Tensor images, int severity, long seed) {
    return apply(images, severity, Settings.seeded(seed));
  }

  /** Corrupts a batch whose images have the indices 0 .. N-1. */
  public Tensor apply(Tensor images, int severity, Settings settings) {
    return apply(images, severity, settings, LongStream.range(0, images.size(0)).toArray());
  }

  /**
   * Corrupts a batch.
   *
   * @param images float [N, C, H, W] in [0, 1], C 1 or 3
   * @param severity 1 to 5
   * @param indices of the images in their data set, [N]: the same index gives the same noise in any
   *     batch
   * @return float32 [N, C, H, W] in [0, 1] that the caller owns
   * @throws OutriggerException if an argument is out of range, or the images are too small or of
   *     the wrong shape for this corruption
   */
  public Tensor apply(Tensor images, int severity, Settings settings, long... indices) {
    Torch.start();
    check(severity);
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    Shapes.notEmpty("images", images);
    long[] shape = images.shape();
    if (shape[1] != 1 && shape[1] != 3) {
      throw new OutriggerException(
          "images have " + shape[1] + " channels: corruptions work on 1 (gray) or 3 (RGB).");
    }
    if (indices.length != shape[0]) {
      throw new OutriggerException(
          indices.length + " indices were given for " + shape[0] + " images.");
    }
    ScalarType type = images.scalar_type().intern();
    if (type != ScalarType.Float && type != ScalarType.Double) {
      throw new OutriggerException(
          "images have type " + type + ": float values in [0, 1] are needed.");
    }
    Shapes.finite("images", images);
    int h = Math.toIntExact(shape[2]);
    int w = Math.toIntExact(shape[3]);
    int channels = (int) shape[1];
    Scale scale = settings.scale() == null ? Scale.of(h, w) : settings.scale();
    float[] in = Tensors.floats(images);
    for (float value : in) {
      if (value < -1e-5f || value > 1 + 1e-5f) {
        throw new OutriggerException(
            "images hold the value "
                + value
                + ", outside [0, 1]: corrupt before normalising, and divide 8-bit values by 255.");
      }
    }
    float[] out = new float[in.length];
    int size = channels * h * w;
    IntStream each = IntStream.range(0, indices.length);
    (settings.parallel() ? each.parallel() : each)
        .forEach(
            i -> {
              double[] data = new double[size];
              for (int k = 0; k < size; k++) {
                data[k] = exact(in[i * size + k]);
              }
              Image image = new Image(channels, h, w, data);
              double[] result = apply(image, severity, scale, settings.seed(), indices[i]).data();
              for (int k = 0; k < size; k++) {
                double value = result[k];
                // The margin keeps rounding errors from costing a whole step.
                out[i * size + k] =
                    (float) (settings.eightBit() ? Math.floor(value * 255 + 1e-9) / 255 : value);
              }
            });
    return Tensors.of(out, shape);
  }

  /**
   * Corrupts one image; the result is in [0, 1] and not truncated to 8 bits.
   *
   * @param image values in [0, 1]
   * @param index of the image in its data set
   */
  public Image apply(Image image, int severity, Scale scale, long seed, long index) {
    double[] parameters = parameters(scale, severity);
    Draws draws = new Draws(Rng.derive(seed, slug() + '/' + severity + '/' + index));
    return recipe.apply(image, parameters, scale, draws);
  }

  /** A float32 multiple of 1/255 as the float64 one, so that truncation does not lose a step. */
  private static double exact(float value) {
    double scaled = Image.clip(value) * 255;
    double step = Math.rint(scaled);
    return (Math.abs(scaled - step) < 1e-4 ? step : scaled) / 255;
  }

  private static void check(int severity) {
    if (severity < 1 || severity > SEVERITIES) {
      throw new OutriggerException("severity = " + severity + " is out of range: use 1 to 5.");
    }
  }

  private static void square(Image image, String what) {
    if (image.height() != image.width()) {
      throw new OutriggerException(
          what
              + " needs square images, but these are "
              + image.height()
              + " x "
              + image.width()
              + ": crop or resize them first.");
    }
  }

  private static double[] normalLayer(Image image, double loc, double scale, Draws draws) {
    double[] layer = draws.normals(image.area());
    for (int i = 0; i < layer.length; i++) {
      layer[i] = loc + scale * layer[i];
    }
    return layer;
  }

  /** CIFAR-C makes its plasma as large as the image, ImageNet-C and MNIST-C crop it from 256. */
  private static double[] plasma(Image image, Scale scale, double decay, Draws draws) {
    int longer = Math.max(2, Math.max(image.height(), image.width()));
    int size = Math.max(scale == Scale.CIFAR ? 2 : 256, Integer.highestOneBit(2 * longer - 1));
    return Weather.plasma(size, decay, draws.uniforms(Weather.plasmaDraws(size), -1, 1));
  }

  private static double[] elastic(Image image, double[] p, Draws draws) {
    int side = image.side();
    return Geometry.displacement(
        side, side, p[0] * side, p[1] * side, 3, draws.uniforms(image.area(), -1, 1));
  }

  private static double[][] each(double... values) {
    return rows(1, values);
  }

  private static double[][] rows(int columns, double... values) {
    double[][] rows = new double[values.length / columns][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(values, i * columns, (i + 1) * columns);
    }
    return rows;
  }
}
