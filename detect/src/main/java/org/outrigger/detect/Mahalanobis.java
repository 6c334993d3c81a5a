package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Mahalanobis distance to the nearest class, measured in the spread that all classes share. The
 * score is {@code min_c (z - mu_c)^T S^+ (z - mu_c)}, where S is the covariance of the features
 * about their class means.
 *
 * <p>The features are whitened once by a factor of S^+, so that the distances to all classes are
 * one matrix product.
 *
 * <p>Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
 * Adversarial Attacks", NeurIPS 2018.
 */
@Card(
    slug = "mahalanobis",
    name = "Mahalanobis",
    summary = "Features far from every class, in units of the classes' spread, mean unknown.",
    paper =
        "Lee, Lee, Lee, Shin. A Simple Unified Framework for Detecting Out-of-Distribution Samples"
            + " and Adversarial Attacks. NeurIPS 2018",
    year = 2018,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LABELS},
    state = "class means, whitening factor of the shared covariance")
public final class Mahalanobis extends FittedDetector<Mahalanobis.Settings> {
  /** Rows that are scored at once: bounds memory, and on a busy machine threads meet rarely. */
  private static final long BLOCK = 8192;

  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public Mahalanobis() {
    this(Settings.defaults());
  }

  public Mahalanobis(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param means class means [C, D]
   * @param factor L [D, R] with L L^T = S^+
   * @return [N], 0 or more
   */
  public static Tensor score(Tensor features, Tensor means, Tensor factor) {
    return Scopes.tensor(
        () -> {
          Tensor origin = means.mean(0);
          return nearest(
              features,
              features.scalar_type().intern(),
              factor,
              offset(origin, factor),
              means.sub(origin).mm(factor));
        });
  }

  /**
   * A factor of the precision S^+.
   *
   * @param covariance S, symmetric [D, D]
   * @return L [D, R] with L L^T = S^+
   */
  public static Tensor factor(Tensor covariance) {
    return Whitening.factor(covariance.to(ScalarType.Double), 0, "Mahalanobis");
  }

  /** What whitened rows lose so that {@code origin} becomes 0: -origin L, [R]. */
  static Tensor offset(Tensor origin, Tensor factor) {
    return Scopes.tensor(() -> origin.unsqueeze(0).mm(factor).neg().squeeze(0));
  }

  /**
   * The squared distance of {@code features L + offset} to the nearest centre, block by block.
   *
   * @param type what is computed in: that of the other tensors
   * @param offset [R]
   * @param centres whitened class means [C, R]
   */
  static Tensor nearest(
      Tensor features, ScalarType type, Tensor factor, Tensor offset, Tensor centres) {
    return Scopes.tensor(
        () -> {
          Tensor lengths = centres.square().sum(1);
          Tensor transposed = centres.t();
          Scalar one = new Scalar(1.0);
          Scalar minusTwo = new Scalar(-2.0);
          TensorVector parts = new TensorVector();
          long rows = features.size(0);
          for (long from = 0; from < rows; from += BLOCK) {
            Tensor block = features.narrow(0, from, Math.min(BLOCK, rows - from));
            parts.push_back(
                Scopes.tensor(
                    () -> {
                      Tensor white = torch.addmm(offset, block.to(type), factor);
                      return torch
                          .addmm(lengths, white, transposed, one, minusTwo)
                          .amin(new long[] {1}, false)
                          .add_(white.square().sum(1))
                          .clamp_min_(new Scalar(0));
                    }));
          }
          return torch.cat(parts, 0);
        });
  }

  /**
   * The moments of the known features by class.
   *
   * @throws OutriggerException if there are no labels, or a class has no row
   */
  static ClassMoments moments(Outputs known, String who) {
    @Nullable ClassMoments[] moments = {null};
    try {
      Rows.forEach(
          who,
          known,
          rows -> {
            Tensor labels = rows.labels();
            Tensor features = rows.features();
            if (moments[0] == null) {
              moments[0] = new ClassMoments(known.classes(), features.size(1));
            }
            moments[0].add(features, labels);
          });
      ClassMoments all = Objects.requireNonNull(moments[0]);
      requireEveryClass(all, who);
      return all;
    } catch (RuntimeException e) {
      if (moments[0] != null) {
        moments[0].close();
      }
      throw e;
    }
  }

  private static void requireEveryClass(ClassMoments moments, String who) {
    double[] counts = Tensors.doubles(moments.counts());
    for (int c = 0; c < counts.length; c++) {
      if (counts[c] == 0) {
        throw new OutriggerException(
            who
                + " cannot be fitted: class "
                + c
                + " of 0 to "
                + (counts.length - 1)
                + " has no row. Give known data of every class.");
      }
    }
  }

  @Override
  protected Fitted learn(Outputs known) {
    try (ClassMoments moments = moments(known, who())) {
      Tensor means = moments.means();
      Tensor within = moments.within();
      Tensor factor = Whitening.factor(within, moments.scale(), who());
      Tensor origin = moments.mean();
      return new Fitted(moments.classes(), moments.dimension())
          .with("means", means)
          .with("factor", factor)
          .with("offset", offset(origin, factor))
          .with("centres", means.sub(origin).mm(factor))
          .with("single", Whitening.fitsFloat(factor, means, within) ? 1 : 0);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved means", fitted.tensor("means"), "C", "D")
        .tensor("The saved factor", fitted.tensor("factor"), "D", "R")
        .tensor("The saved offset", fitted.tensor("offset"), "R")
        .tensor("The saved centres", fitted.tensor("centres"), "C", "R");
    fitted.number("single");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    ScalarType type = Whitening.type(features, fitted.number("single"));
    return nearest(
        features,
        type,
        fitted.tensor("factor", type),
        fitted.tensor("offset", type),
        fitted.tensor("centres", type));
  }
}
