package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * UnMix-TNS: batch normalisation for streams whose neighbours share a label. Each layer keeps K
 * components that imitate an i.i.d. batch; an instance with mean a and variance q belongs to
 * component k by p_k = softmax(cos(a, mu_k) / temperature) and is normalised by
 *
 * <pre>
 * M_k = (1 - p_k) mu_k + p_k a       mean = mean_k M_k
 * V_k = (1 - p_k) var_k + p_k q      var  = mean_k V_k + mean_k M_k^2 - mean^2
 * </pre>
 *
 * after which mu_k and var_k move by rate mean_b p_bk (own_b - component_k). Batches of any size
 * will do. Components need about K / rate batches to move: on short streams it stays near the
 * source, so take K = 4 for small data. It stands alone or under other adapters, which then want a
 * much smaller learning rate (1e-5). {@code BatchNorm1d} layers keep the source's statistics. Tomar
 * et al., Un-Mixing Test-Time Normalization Statistics, ICLR 2024.
 */
@Card(
    slug = "unmix-tns",
    name = "UnMix-TNS",
    summary = "Normalises by running components that imitate an i.i.d. batch; any batch size.",
    paper =
        "Tomar et al., Un-Mixing Test-Time Normalization Statistics: Combatting Label Temporal"
            + " Correlation, ICLR 2024",
    year = 2024,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS},
    state = "means and variances of the components of each layer")
public final class UnMixTns extends NormalisationAdapter<UnMixTns.Settings> {
  /**
   * @param K components of each layer, 1 or more: 16, for mixed domains 128
   * @param temperature of the assignment, above 0
   * @param c how much of the variance lies between the components at first, in [0, 1)
   * @param maxBatch the batch size for which components move by the layer's momentum; smaller
   *     batches move them less: 64 for small images, 16 for large ones
   * @param seed of the first spread of the components
   */
  public record Settings(int K, double temperature, double c, int maxBatch, long seed) {
    public Settings {
      HyperParameter.atLeast("K", K, 1);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.require(c >= 0 && c < 1, "c", c, "0 or more and below 1");
      HyperParameter.atLeast("maxBatch", maxBatch, 1);
    }

    public static Settings defaults() {
      return new Settings(16, 0.07, 0.5, 64, 0);
    }
  }

  public UnMixTns() {
    this(Settings.defaults());
  }

  public UnMixTns(Settings settings) {
    super(settings);
  }

  @Override
  public void install(NeuralModel network) {
    Settings plan = settings();
    try (Rng rng = Rng.named(plan.seed(), "unmix-tns")) {
      int replaced =
          ReplacedNorm.replaceAll(
              network,
              BatchNorm2d.class,
              norm ->
                  Scopes.scoped(
                      () -> {
                        Tensor noise = rng.normal(plan.K(), norm.channels());
                        return new UnMixNorm(norm, plan, noise);
                      }));
      if (replaced == 0) {
        throw ReplacedNorm.nothingToReplace(who(), "BatchNorm2d layers", network);
      }
    }
    ReplacedNorm.replaceAll(network, BatchNorm1d.class, FrozenBatchNorm::new);
  }
}
