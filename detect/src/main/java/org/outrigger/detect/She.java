package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Simplified Hopfield energy: how well a feature agrees with the stored pattern of the class that
 * the model predicts. The score is {@code -<z, S_y>} (or a distance, or minus the cosine), where
 * S_y is the mean feature of the correctly classified known rows of the predicted class y.
 *
 * <p>Zhang et al., "Out-of-Distribution Detection based on In-Distribution Data Patterns
 * Memorization with Modern Hopfield Energy", ICLR 2023.
 */
@Card(
    slug = "she",
    name = "SHE",
    summary = "Little agreement with the mean feature of the predicted class means unknown.",
    paper =
        "Zhang et al. Out-of-Distribution Detection based on In-Distribution Data "
            + "Patterns Memorization with Modern Hopfield Energy. ICLR 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.FEATURES, Need.LABELS},
    state = "a pattern for each class")
public final class She extends FittedDetector<She.Settings> {
  /** How a feature is compared with a pattern. */
  public enum Metric {
    INNER_PRODUCT,
    EUCLIDEAN,
    COSINE
  }

  /**
   * @param metric the comparison; the inner product in the paper
   */
  public record Settings(Metric metric) {
    public Settings {
      HyperParameter.require(metric != null, "metric", metric, "one of its names");
    }

    public static Settings defaults() {
      return new Settings(Metric.INNER_PRODUCT);
    }
  }

  public She() {
    this(Settings.defaults());
  }

  public She(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @param patterns [C, D]
   * @return float64 [N]
   */
  public static Tensor score(Tensor features, Tensor logits, Tensor patterns, Metric metric) {
    return Scopes.tensor(
        () -> {
          Tensor z = features.to(ScalarType.Double);
          Tensor pattern = patterns.index_select(0, predicted(logits));
          return switch (metric) {
            case INNER_PRODUCT -> z.mul(pattern).sum(1).neg();
            case EUCLIDEAN -> z.sub(pattern).norm(new ScalarOptional(new Scalar(2.0)), 1);
            case COSINE -> Knn.unit(z).mul(Knn.unit(pattern)).sum(1).neg();
          };
        });
  }

  private static Tensor predicted(Tensor logits) {
    return logits.argmax(new LongOptional(1), false);
  }

  @Override
  protected Fitted learn(Outputs known) {
    @Nullable ClassMoments[] moments = {null};
    try {
      Rows.forEach(
          who(),
          known,
          rows -> {
            Tensor labels = rows.labels();
            Tensor features = rows.features();
            if (moments[0] == null) {
              moments[0] = ClassMoments.ofMeans(known.classes(), features.size(1));
            }
            Tensor right = predicted(rows.logits()).eq(labels).nonzero().flatten();
            moments[0].add(features.index_select(0, right), labels.index_select(0, right));
          });
      ClassMoments all = Objects.requireNonNull(moments[0]);
      requireCorrect(all);
      return new Fitted(all.classes(), all.dimension()).with("patterns", all.means());
    } finally {
      if (moments[0] != null) {
        moments[0].close();
      }
    }
  }

  private static void requireCorrect(ClassMoments moments) {
    double[] counts = Tensors.doubles(moments.counts());
    for (int c = 0; c < counts.length; c++) {
      if (counts[c] == 0) {
        throw new OutriggerException(
            "SHE cannot be fitted: no row of class "
                + c
                + " is classified correctly, so that it has no pattern. Give more known data or a"
                + " better model.");
      }
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("The saved patterns", fitted.tensor("patterns"), "C", "D");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor logits = rows.logits();
    Shapes.check()
        .size("C", fitted.classes(), "the data that SHE was fitted on")
        .tensor("The logits", logits, "N", "C");
    return score(rows.features(), logits, fitted.tensor("patterns"), settings().metric());
  }
}
