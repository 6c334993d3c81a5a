package org.outrigger.adapt;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;

/**
 * EMA-BN: each batch first moves the running statistics of every batch normalisation by the layer's
 * momentum (unbiased variance), in a pass that normalises by the batch, and is then predicted with
 * the moved ones. Schneider et al., Improving robustness against common corruptions by covariate
 * shift adaptation, NeurIPS 2020.
 */
@Card(
    slug = "ema-bn",
    name = "EMA-BN",
    summary = "Lets the running statistics follow the stream, and predicts with them.",
    paper =
        "Schneider et al., Improving robustness against common corruptions by covariate shift"
            + " adaptation, NeurIPS 2020",
    year = 2020,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS},
    state = "running statistics")
public final class EmaBn extends ModelAdapter<EmaBn.Settings> {
  /** There is nothing to set. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public EmaBn() {
    this(Settings.defaults());
  }

  public EmaBn(Settings settings) {
    super(settings);
  }

  @Override
  protected void prepare(Model copy) {
    if (norms().isEmpty()) {
      throw ReplacedNorm.nothingToReplace(
          who(), "the running statistics of batch normalisation", network());
    }
    norms().stream()
        .filter(norm -> !norm.has(ReplacedNorm.MEAN))
        .findFirst()
        .ifPresent(
            norm -> {
              throw new OutriggerException(
                  who()
                      + " moves running statistics, but "
                      + norm
                      + " keeps none: use bn-adapt, which needs none.");
            });
  }

  private List<Layer> norms() {
    return network().root().layers().values().stream().filter(BatchNorm.class::isInstance).toList();
  }

  @Override
  protected boolean onBatchStatistics() {
    return false;
  }

  @Override
  public int minimumBatch() {
    return 2;
  }

  /** Stands alone: layers of another method have no running statistics to move. */
  @Override
  public Adapter over(Adapter inner) {
    throw new OutriggerException(
        who() + " moves the statistics of batch normalisation itself: it stands alone.");
  }

  @Override
  protected Output step(Tensor inputs) {
    norms().forEach(Layer::train);
    try {
      Scopes.run(() -> forward(inputs));
    } finally {
      norms().forEach(Layer::eval);
    }
    return forward(inputs);
  }
}
