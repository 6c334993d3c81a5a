package org.outrigger.adapt;

import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm;

/**
 * Alpha-BN: every batch normalisation uses a mixture of the source's statistics and the batch's,
 * {@code (1 - a) source + a batch}, which also works for single images. Nothing is remembered from
 * batch to batch. Schneider et al., Improving robustness against common corruptions by covariate
 * shift adaptation, NeurIPS 2020.
 */
@Card(
    slug = "alpha-bn",
    name = "Alpha-BN",
    summary = "Mixes the batch's statistics into those of the source; also for single images.",
    paper =
        "Schneider et al., Improving robustness against common corruptions by covariate shift"
            + " adaptation, NeurIPS 2020",
    year = 2020,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS},
    state = "none")
public final class AlphaBn extends NormalisationAdapter<AlphaBn.Settings> {
  /**
   * @param a the batch's share, in [0, 1]: 0.1 for single images
   */
  public record Settings(double a) {
    public Settings {
      HyperParameter.between("a", a, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.1);
    }
  }

  public AlphaBn() {
    this(Settings.defaults());
  }

  public AlphaBn(Settings settings) {
    super(settings);
  }

  @Override
  public void install(NeuralModel network) {
    int replaced =
        ReplacedNorm.replaceAll(
            network, BatchNorm.class, norm -> new AlphaBatchNorm(norm, settings().a()));
    if (replaced == 0) {
      throw ReplacedNorm.nothingToReplace(who(), "batch normalisation", network);
    }
  }
}
