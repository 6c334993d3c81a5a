package org.outrigger.adapt;

import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.Layer;

/**
 * TBR, test-time batch renormalisation: each batch is normalised by its own statistics and then
 * moved to running statistics of the stream, so that a batch of few classes does not lose what
 * tells them apart. Running mean and standard deviation start at the first batch's. Zhao et al.,
 * DELTA: Degradation-Free Fully Test-Time Adaptation, ICLR 2023.
 */
@Card(
    slug = "delta-tbr",
    name = "Test-time batch renormalisation",
    summary = "Normalises by the batch, then moves to running statistics of the stream.",
    paper = "Zhao et al., DELTA: Degradation-Free Fully Test-Time Adaptation, ICLR 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS},
    state = "running means and standard deviations")
public final class DeltaTbr extends NormalisationAdapter<DeltaTbr.Settings> {
  /**
   * @param prior how much of the running statistics stays at each batch, in [0, 1]
   */
  public record Settings(double prior) {
    public Settings {
      HyperParameter.between("prior", prior, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.95);
    }
  }

  public DeltaTbr() {
    this(Settings.defaults());
  }

  public DeltaTbr(Settings settings) {
    super(settings);
  }

  @Override
  public void install(NeuralModel network) {
    List<String> paths =
        network.root().layers().entrySet().stream()
            .filter(entry -> entry.getValue() instanceof BatchNorm)
            .map(entry -> entry.getKey())
            .toList();
    if (paths.isEmpty()) {
      throw new OutriggerException(
          "TBR replaces batch normalisations, but "
              + network.name()
              + " has none: use tent or sar, which also train other normalisations.");
    }
    for (String path : paths) {
      BatchNorm original = (BatchNorm) network.root().get(path);
      BatchRenorm layer = new BatchRenorm(original, settings().prior());
      network.root().replace(path, layer);
      original.close();
      // Passes of the adapter move the running statistics, predictions of the model do not.
      layer.train();
      frozen(layer);
    }
  }

  private static void frozen(Layer layer) {
    layer.parameters().values().forEach(p -> p.requires_grad_(false));
  }
}
