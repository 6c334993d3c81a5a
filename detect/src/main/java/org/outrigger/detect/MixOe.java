package org.outrigger.detect;

import java.util.Arrays;
import java.util.Objects;
import java.util.function.Function;
import org.apache.commons.statistics.distribution.BetaDistribution;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * MixOE: mix known images with outliers, so that confidence falls linearly from the known classes
 * to the outliers and unknown inputs in between, close to the known ones, get their share of it.
 * {@code CE(f(x), y) + beta CE(f(m), s)} with the mixture {@code m} of {@code lambda} parts of x
 * and the target {@code s = lambda onehot(y) + (1 - lambda) / C}; {@code lambda ~ Beta(alpha,
 * alpha)}, one for each batch.
 *
 * <p>Zhang et al., "Mixture Outlier Exposure: Towards Out-of-Distribution Detection in Fine-grained
 * Environments", WACV 2023. The paper fine-tunes a trained classifier for 10 epochs (SGD 1e-3,
 * Nesterov momentum 0.9, decay 1e-5, cosine, batches of 32) with as many outliers as known rows,
 * and scores with {@link Msp}. Known rows and mixtures go through the network in two passes, so
 * batch norm never sees them together. Outliers beyond the known rows of a batch are left out; if
 * there are fewer, they are used again.
 */
@Card(
    slug = "mixoe",
    name = "MixOE",
    summary = "Trains with mixtures of known images and outliers, for unknowns close to the known.",
    paper =
        "Zhang, Inkawhich, Linderman, Chen, Li. Mixture Outlier Exposure: Towards"
            + " Out-of-Distribution Detection in Fine-grained Environments. WACV 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS, Need.OUTLIERS})
public final class MixOe implements TrainingObjective, StepObjective {
  /** How a known input and an outlier become one. */
  public enum MixOp {
    /** Weighted means of the values; for inputs of any kind. */
    MIXUP,
    /** A box of the outlier is pasted into the known image; for images only. */
    CUTMIX
  }

  /**
   * @param mixOp how inputs are mixed
   * @param alpha the first parameter of lambda's distribution, above 0; the paper's scripts have 1
   *     for mixup and 2 for cutmix
   * @param alphaOutlier the second parameter, above 0, where it differs: less than alpha means more
   *     of the known input; 0 for alpha itself, as in the paper
   * @param beta the weight of the mixtures' part, above 0
   */
  public record Settings(MixOp mixOp, double alpha, double alphaOutlier, double beta) {
    public Settings {
      Objects.requireNonNull(mixOp);
      HyperParameter.positive("alpha", alpha);
      HyperParameter.notNegative("alphaOutlier", alphaOutlier);
      HyperParameter.positive("beta", beta);
    }

    /** The paper's better one for images: {@link #cutmix}. */
    public static Settings defaults() {
      return cutmix();
    }

    /** Mixup with the paper's alpha = 1 and beta = 5. */
    public static Settings mixup() {
      return new Settings(MixOp.MIXUP, 1, 0, 5);
    }

    /** Cutmix with the paper's alpha = 2 and beta = 5. */
    public static Settings cutmix() {
      return new Settings(MixOp.CUTMIX, 2, 0, 5);
    }
  }

  /**
   * The part of an image that the outlier covers: rows {@code top .. bottom - 1} of dimension 2 and
   * columns {@code left .. right - 1} of dimension 3; it may be empty or all.
   */
  public record Box(int top, int left, int bottom, int right) {
    public Box {
      if (top < 0 || left < 0 || bottom < top || right < left) {
        throw new OutriggerException(
            "No box has the rows "
                + top
                + " .. "
                + bottom
                + " and the columns "
                + left
                + " .. "
                + right
                + ": both must rise from 0 or more.");
      }
    }

    /**
     * The box of a share {@code 1 - lambda} around a centre, clipped to the image, which makes it
     * smaller: {@link #lambda} says what is left.
     *
     * @param height of the image
     * @param width of the image
     * @param lambda in [0, 1]
     * @param row of the centre, 0 .. height - 1
     * @param column of the centre, 0 .. width - 1
     */
    public static Box around(int height, int width, double lambda, int row, int column) {
      HyperParameter.between("lambda", lambda, 0, 1);
      HyperParameter.between("row", row, 0, height - 1);
      HyperParameter.between("column", column, 0, width - 1);
      double side = Math.sqrt(1 - lambda);
      int tall = (int) (height * side) / 2;
      int wide = (int) (width * side) / 2;
      return new Box(
          Math.max(0, row - tall),
          Math.max(0, column - wide),
          Math.min(height, row + tall),
          Math.min(width, column + wide));
    }

    /** The share of the image that stays known. */
    public double lambda(long height, long width) {
      return 1 - (double) (bottom - top) * (right - left) / ((double) height * width);
    }
  }

  private final Settings settings;

  public MixOe() {
    this(Settings.defaults());
  }

  public MixOe(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * Weighted means, row by row.
   *
   * @param known [N, ...]
   * @param outliers of that shape
   * @param lambda the weight of {@code known}, in [0, 1]
   * @return of that shape
   */
  public static Tensor mixup(Tensor known, Tensor outliers, double lambda) {
    HyperParameter.between("lambda", lambda, 0, 1);
    alike(known, outliers);
    return Scopes.tensor(() -> known.mul(new Scalar(lambda)).add(outliers, new Scalar(1 - lambda)));
  }

  /**
   * Known images with a box of the outliers, the same box in all.
   *
   * @param known [N, C, H, W]
   * @param outliers of that shape
   * @param box within the images
   * @return of that shape
   */
  public static Tensor cutmix(Tensor known, Tensor outliers, Box box) {
    Shapes.check().tensor("The known images", known, "N", "C", "H", "W");
    alike(known, outliers);
    HyperParameter.between("bottom", box.bottom, 0, known.size(2));
    HyperParameter.between("right", box.right, 0, known.size(3));
    return Scopes.tensor(
        () -> {
          Tensor mixed = known.clone();
          patch(mixed, box).copy_(patch(outliers, box));
          return mixed;
        });
  }

  private static void alike(Tensor known, Tensor outliers) {
    if (!Arrays.equals(known.shape(), outliers.shape())) {
      throw new OutriggerException(
          "Known inputs have shape "
              + Arrays.toString(known.shape())
              + ", but the outliers to mix them with have "
              + Arrays.toString(outliers.shape())
              + ": give outliers of the same size, prepared alike, one for each known row.");
    }
  }

  private static Tensor patch(Tensor images, Box box) {
    return images
        .narrow(2, box.top, box.bottom - box.top)
        .narrow(3, box.left, box.right - box.left);
  }

  /**
   * The targets of mixtures.
   *
   * @param labels int64 [N], each 0 .. classes-1
   * @param classes at least 2
   * @param lambda the share of the known input, in [0, 1]
   * @return float64 [N, classes]; rows sum to 1
   */
  public static Tensor targets(Tensor labels, int classes, double lambda) {
    HyperParameter.atLeast("classes", classes, 2);
    HyperParameter.between("lambda", lambda, 0, 1);
    Shapes.labels("The labels", labels, classes, false);
    return Scopes.tensor(
        () ->
            torch
                .one_hot(labels, classes)
                .to(ScalarType.Double)
                .mul(new Scalar(lambda))
                .add(new Scalar((1 - lambda) / classes)));
  }

  /**
   * Cross-entropy with soft targets, the mean over the rows.
   *
   * @param logits [N, C]
   * @param targets [N, C]
   * @return a scalar
   */
  public static Tensor softCrossEntropy(Tensor logits, Tensor targets) {
    return Scopes.tensor(
        () -> torch.log_softmax(logits, 1).mul(targets.to(logits.dtype())).sum(1).mean().neg());
  }

  /**
   * The loss.
   *
   * @param known logits [N, C] of the known rows
   * @param mixed logits [N, C] of the mixtures
   * @param labels int64 [N], each 0 .. C-1
   * @param lambda the share of the known inputs in the mixtures
   * @param beta the weight of the mixtures' part
   * @return a scalar
   */
  public static Tensor loss(Tensor known, Tensor mixed, Tensor labels, double lambda, double beta) {
    return Scopes.tensor(
        () -> {
          int classes = Math.toIntExact(known.size(1));
          Tensor soft = softCrossEntropy(mixed, targets(labels, classes, lambda));
          return torch.cross_entropy_loss(known, labels).add(soft.mul(new Scalar(beta)));
        });
  }

  @Override
  public Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng) {
    Shapes.check().size("N", inputs.size(0), "the inputs").tensor("The labels", labels, "N");
    if (settings.mixOp == MixOp.CUTMIX && inputs.dim() != 4) {
      throw new OutriggerException(
          "Cutmix pastes parts of images [N, C, H, W], but the inputs have shape "
              + Arrays.toString(inputs.shape())
              + ": use mixup (mixoe:mixOp=MIXUP:alpha=1).");
    }
    Tensor knownRows = Losses.known(labels).nonzero().flatten();
    Tensor outlierRows = Losses.outliers(labels).nonzero().flatten();
    if (knownRows.numel() == 0 || outlierRows.numel() == 0) {
      throw new OutriggerException(
          "MixOE mixes known rows with outliers, but this batch has "
              + knownRows.numel()
              + " and "
              + outlierRows.numel()
              + ": give the trainer outliers, as many as known rows (outliers(data, 1)).");
    }
    Tensor known = inputs.index_select(0, knownRows);
    Tensor label = labels.index_select(0, knownRows);
    Tensor partner =
        torch
            .arange(new Scalar(knownRows.numel()), new TensorOptions(ScalarType.Long))
            .remainder(new Scalar(outlierRows.numel()));
    Tensor outliers = inputs.index_select(0, outlierRows.index_select(0, partner));
    double lambda = drawLambda(rng);
    Tensor mixed;
    if (settings.mixOp == MixOp.MIXUP) {
      mixed = mixup(known, outliers, lambda);
    } else {
      Box box =
          drawBox(Math.toIntExact(known.size(2)), Math.toIntExact(known.size(3)), lambda, rng);
      mixed = cutmix(known, outliers, box);
      lambda = box.lambda(known.size(2), known.size(3));
    }
    Output output = network.apply(known);
    Losses.check(output.logits(), label);
    Tensor loss =
        loss(output.logits(), network.apply(mixed).logits(), label, lambda, settings.beta);
    return new Result(loss, output.logits(), label);
  }

  private double drawLambda(Rng rng) {
    double second = settings.alphaOutlier == 0 ? settings.alpha : settings.alphaOutlier;
    double uniform = rng.uniform(ScalarType.Double, 1).item_double();
    return BetaDistribution.of(settings.alpha, second).inverseCumulativeProbability(uniform);
  }

  private static Box drawBox(int height, int width, double lambda, Rng rng) {
    double[] centre = Tensors.doubles(rng.uniform(ScalarType.Double, 2));
    return Box.around(height, width, lambda, (int) (centre[0] * height), (int) (centre[1] * width));
  }

  /**
   * The loss of outputs as they are, without mixing: cross-entropy of the known rows and, for
   * outliers, beta times that to the uniform distribution, which is the limit lambda = 0. A part
   * without rows is 0.
   */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    Losses.check(output.logits(), labels);
    return Scopes.tensor(
        () ->
            OutlierExposure.loss(
                output.logits(), labels, new OutlierExposure.Settings(settings.beta, false)));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
