package org.outrigger.adapt;

import java.util.Locale;
import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * CAFA: features f move towards the source Gaussian of their predicted class and away from the
 * others, loss = mean_i log D[i, y_i] - log mean_{c != y_i} D[i, c] with the squared Mahalanobis
 * distance D[i, c] = (f_i - mu_c)^T S_c^-1 (f_i - mu_c). Jung et al., CAFA: Class-Aware Feature
 * Alignment for Test-Time Adaptation, ICCV 2023.
 *
 * <p>There is no public code; that the two distances are combined as a ratio of logarithms, which
 * needs no weight, is this project's reading of the paper's summaries.
 */
@Card(
    slug = "cafa",
    name = "CAFA",
    summary = "Draws features to the source Gaussian of their predicted class.",
    paper =
        "Jung et al., CAFA: Class-Aware Feature Alignment for Test-Time Adaptation, ICCV 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {
      Need.NORM_LAYERS,
      Need.PARAMETER_GRADIENTS,
      Need.FEATURES,
      Need.SOURCE,
      Need.LABELS
    },
    state = "scales, shifts, the optimiser, class means and whitening factors")
public final class Cafa extends GradientAdapter<Cafa.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(Cafa.class);
  private static final String MEANS = "means";
  private static final String FACTOR = "factor";
  private static final double LEAST = 1e-12;
  private static final int BATCH = 256;

  /** Beyond so many values, one gigabyte, classes share a covariance. */
  private static final double MOST_VALUES = 1L << 27;

  private static final double ILL_CONDITIONED = 1e12;
  private static final int CHECKED_DIMENSION = 1024;

  /** What the classes' Gaussians have of their own. */
  public enum Covariance {
    /** Each its covariance. */
    PER_CLASS,
    /** The mean alone; for few rows of each class, or large features. */
    TIED
  }

  /**
   * @param covariance of the source Gaussians; tied in any case where those of all classes would
   *     take more than a gigabyte
   * @param eps what is added to the diagonal, in units of its mean, 0 or more
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      Covariance covariance, double eps, Rule optimiser, double lr, double momentum, int steps)
      implements Descent {
    public Settings {
      HyperParameter.notNegative("eps", eps);
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(Covariance.PER_CLASS, 1e-2, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public Cafa() {
    this(Settings.defaults());
  }

  public Cafa(Settings settings) {
    super(settings);
  }

  /**
   * Adds {@code eps} times the mean of the diagonal to it.
   *
   * @param covariances [C, D, D] or [D, D]
   */
  public static Tensor ridged(Tensor covariances, double eps) {
    return Scopes.tensor(
        () -> {
          Tensor level =
              covariances.diagonal(0, -2, -1).mean(-1).mul(new Scalar(eps)).unsqueeze(-1).unsqueeze(-1);
          return covariances.add(
              torch.eye(covariances.size(-1), new TensorOptions(ScalarType.Double)).mul(level));
        });
  }

  /**
   * The matrices A with {@code A^T A = S^-1}: the distance is the square of A (f - mu).
   *
   * @param covariances S, float64 [C, D, D] or [D, D]
   * @throws OutriggerException if one is singular
   */
  public static Tensor factor(Tensor covariances) {
    return Scopes.tensor(
        () -> {
          Tensor lower =
              Torch.call(
                  "The source features leave a covariance singular: raise eps of CAFA above 0, use"
                      + " covariance=tied, or give more source data.",
                  () -> torch.linalg_cholesky(covariances));
          Tensor one = torch.eye(covariances.size(-1), new TensorOptions(ScalarType.Double));
          return torch.linalg_solve_triangular(lower, one.expand_as(lower), false);
        });
  }

  /**
   * Squared Mahalanobis distances, at least 1e-12.
   *
   * @param features [N, D]; gradients flow to them
   * @param means [C, D]
   * @param factor [C, D, D] or [D, D], as {@link #factor} gives it
   * @return float64 [N, C]
   */
  public static Tensor distances(Tensor features, Tensor means, Tensor factor) {
    return Scopes.tensor(
        () -> {
          Tensor apart = features.to(ScalarType.Double).unsqueeze(0).sub(means.unsqueeze(1));
          return apart
              .matmul(factor.transpose(-2, -1))
              .square()
              .sum(2)
              .t()
              .clamp_min(new Scalar(LEAST));
        });
  }

  /**
   * Each row's distance to the class it is predicted as.
   *
   * @param distances [N, C]
   * @param predicted int64 [N]
   * @return [N]
   */
  public static Tensor intra(Tensor distances, Tensor predicted) {
    return Scopes.tensor(() -> distances.gather(1, predicted.unsqueeze(1)).squeeze(1));
  }

  /** Each row's mean distance to the other classes, [N]. */
  public static Tensor inter(Tensor distances, Tensor intra) {
    return Scopes.tensor(
        () ->
            distances.sum(1).sub(intra).div(new Scalar(distances.size(1) - 1.0)).clamp_min(
                new Scalar(LEAST)));
  }

  /**
   * The loss of each row, log intra - log inter.
   *
   * @param features [N, D]; gradients flow to them
   * @param predicted int64 [N]
   * @return float64 [N]
   */
  public static Tensor losses(Tensor features, Tensor predicted, Tensor means, Tensor factor) {
    return Scopes.tensor(
        () -> {
          Tensor distances = distances(features, means, factor);
          Tensor intra = intra(distances, predicted);
          return intra.log().sub(inter(distances, intra).log());
        });
  }

  @Override
  protected void ready(Model copy) {
    if (copy.classes() < 2) {
      throw new OutriggerException(
          "CAFA moves features away from other classes, but the model has one class only: use"
              + " tent.");
    }
  }

  @Override
  protected void learn(IndexedDataset source) {
    ClassGaussians gaussians = null;
    try (Batches walk = source.batches(BATCH)) {
      while (walk.hasNext()) {
        try (Batch batch = walk.next();
            Output output = original().predict(batch.inputs())) {
          if (gaussians == null) {
            gaussians = start(output.features().size(1));
          }
          gaussians.add(output.features(), Objects.requireNonNull(batch.labels()));
        }
      }
    }
    if (gaussians == null) {
      throw new OutriggerException("CAFA found no readable row in " + source.name() + ".");
    }
    Tensor covariances = ridged(covariances(gaussians), settings().eps());
    Tensor factor = factor(covariances);
    report(covariances);
    statistics().put(MEANS, gaussians.means());
    statistics().put(FACTOR, factor);
  }

  /** As wanted, unless a class has no spread of its own that a ridge could be measured by. */
  private static Tensor covariances(ClassGaussians gaussians) {
    Tensor each = gaussians.covariances();
    double least = each.diagonal(0, -2, -1).sum(-1).amin().item_double();
    if (each.dim() == 2 || least > 0) {
      return each;
    }
    LOG.warn(
        "CAFA uses one covariance for all classes: one of them has a single row in the source data,"
            + " or rows of equal features.");
    return gaussians.pooled();
  }

  private ClassGaussians start(long dimension) {
    int classes = original().classes();
    boolean tied = settings().covariance() == Covariance.TIED;
    if (!tied && (double) classes * dimension * dimension > MOST_VALUES) {
      LOG.warn(
          "CAFA uses one covariance for all classes: {} of {} x {} values would take more than a"
              + " gigabyte.",
          classes,
          dimension,
          dimension);
      tied = true;
    }
    return new ClassGaussians(classes, dimension, tied);
  }

  private static void report(Tensor covariances) {
    if (covariances.size(-1) > CHECKED_DIMENSION) {
      return;
    }
    double worst = condition(covariances);
    if (!(worst < ILL_CONDITIONED)) {
      LOG.warn(
          "The source covariances of CAFA are ill-conditioned (condition number {}): raise eps, use"
              + " covariance=tied, or give more source data.",
          String.format(Locale.ROOT, "%.1e", worst));
    } else {
      LOG.debug("Condition number of the source covariances: {}", worst);
    }
  }

  /** The largest ratio of the extreme eigenvalues of covariances [C, D, D] or [D, D]. */
  static double condition(Tensor covariances) {
    return Scopes.scoped(
        () -> {
          Tensor values = torch.linalg_eigvalsh(covariances);
          Tensor least = values.select(-1, 0).clamp_min(new Scalar(0.0));
          return values.select(-1, values.size(-1) - 1).div(least).max().item_double();
        });
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor kept = select(inputs, output.logits(), null);
    long rows = kept.sum().item_long();
    count(inputs.size(0), rows, 0);
    if (rows == 0) {
      return null;
    }
    Tensor predicted = output.logits().detach().argmax(new LongOptional(1), false);
    Tensor losses =
        losses(
            output.features(), predicted, statistics().tensor(MEANS), statistics().tensor(FACTOR));
    return Entropies.masked(losses, kept);
  }

  @Override
  protected void restored() {
    Tensor means = statistics().find(MEANS);
    Tensor factor = statistics().find(FACTOR);
    if (means == null
        || factor == null
        || means.dim() != 2
        || means.size(0) != original().classes()
        || factor.dim() < 2
        || factor.size(-1) != means.size(1)) {
      throw new OutriggerException(
          "The saved CAFA lacks its class means or whitening factors, or they are of another model:"
              + " the file is damaged, or it was saved of another model.");
    }
  }
}
