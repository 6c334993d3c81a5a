package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;

/**
 * Batch-norm adaptation (BN-1): every batch normalisation uses the statistics of the test batch in
 * place of those of the training data. Nothing is remembered from batch to batch. Nado et al.,
 * Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift, 2020;
 * Schneider et al., NeurIPS 2020.
 */
@Card(
    slug = "bn-adapt",
    name = "Batch-norm adaptation",
    summary = "Normalises each batch by its own statistics.",
    paper =
        "Schneider et al., Improving robustness against common corruptions by covariate shift"
            + " adaptation, NeurIPS 2020",
    year = 2020,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS},
    state = "none")
public final class BatchNormAdaptation extends ModelAdapter<BatchNormAdaptation.Settings> {
  /** There is nothing to set. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public BatchNormAdaptation() {
    this(Settings.defaults());
  }

  public BatchNormAdaptation(Settings settings) {
    super(settings);
  }

  @Override
  protected Output step(Tensor inputs) {
    return forward(inputs);
  }
}
