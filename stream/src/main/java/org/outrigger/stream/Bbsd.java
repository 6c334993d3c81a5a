package org.outrigger.stream;

import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.KolmogorovSmirnov.Side;

/**
 * Black-box shift detection: a fixed model's predictions are tested instead of the inputs. Each of
 * the C probabilities by Kolmogorov-Smirnov with Bonferroni's correction (soft), or the counts of
 * predicted labels by chi-squared (hard). Rows are probabilities [N, C].
 *
 * <p>Made for a changed mix of classes; it finds any change of inputs that the model reacts to.
 *
 * <p>Lipton, Wang, Smola, "Detecting and Correcting for Label Shift with Black Box Predictors",
 * ICML 2018; Rabanser, Günnemann, Lipton, "Failing Loudly", NeurIPS 2019.
 */
@Card(
    slug = "bbsd",
    name = "Black-box shift detection",
    summary = "Tests a model's predictions instead of its inputs.",
    paper =
        "Lipton, Wang, Smola. Detecting and Correcting for Label Shift with Black Box Predictors. ICML 2018",
    year = 2018,
    room = Room.STREAM,
    needs = Need.LOGITS,
    state = "the reference predictions")
public final class Bbsd extends ReferenceTest<Bbsd.Settings> {
  /** What of the predictions is tested. */
  public enum Form {
    /** Every probability by itself. */
    SOFT,
    /** Counts of predicted labels. */
    HARD
  }

  /**
   * @param alpha the level of the whole, in (0, 1)
   * @param form what of the predictions is tested
   */
  public record Settings(double alpha, Form form) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Objects.requireNonNull(form);
    }

    public static Settings defaults() {
      return new Settings(0.05, Form.SOFT);
    }
  }

  public Bbsd() {
    this(Settings.defaults());
  }

  public Bbsd(Settings settings) {
    super(settings);
  }

  /** Refuses rows that are no probabilities. */
  static void probabilities(String name, Tensor rows) {
    Scopes.run(
        () -> {
          boolean ok =
              rows.min().item_double() >= 0
                  && rows.sum(1).sub(new Scalar(1.0)).abs().max().item_double() < 1e-3;
          if (!ok) {
            throw new OutriggerException(
                name + " holds rows that are no probabilities: apply softmax to logits first.");
          }
        });
  }

  @Override
  protected void check(Tensor reference) {
    probabilities("The reference", reference);
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    probabilities("The batch", batch);
    Settings s = settings();
    if (s.form == Form.HARD) {
      ChiSquaredTest.Outcome outcome =
          ChiSquaredTest.outcome(
              ChiSquaredTest.table(
                  Tensors.doubles(reference.argmax(new LongOptional(1), false)),
                  Tensors.doubles(batch.argmax(new LongOptional(1), false))));
      return new DriftTestResult(
          "bbsd", outcome.pValue() < s.alpha, outcome.statistic(), outcome.pValue(), s.alpha);
    }
    double[] distances = Tensors.doubles(KsTest.distance(reference, batch));
    double[] pValues = new double[distances.length];
    for (int c = 0; c < pValues.length; c++) {
      pValues[c] =
          KolmogorovSmirnov.pValue(
              distances[c], (int) reference.size(0), (int) batch.size(0), Side.TWO_SIDED);
    }
    return byFeature(distances, pValues, s.alpha, Correction.BONFERRONI);
  }
}
