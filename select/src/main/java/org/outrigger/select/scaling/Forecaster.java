package org.outrigger.select.scaling;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.zoo.series.PackedSeries;
import org.outrigger.core.zoo.series.SeriesScale;
import org.outrigger.core.zoo.series.SeriesTransformer;
import org.outrigger.core.zoo.series.StudentTMixture;

/**
 * Draws forecasts. An encoder predicts all patches of the horizon at once. A decoder goes patch by
 * patch: it draws the next one, and the median of the draws, point by point, is what it then sees.
 */
public final class Forecaster {
  private Forecaster() {}

  /**
   * Draws the horizon of each sequence.
   *
   * @param network an encoder or a decoder
   * @param batch one series a sequence without padding, whose last {@code horizon} patches are to
   *     be predicted; what stands there is not looked at
   * @param horizon patches
   * @param samples draws of each point
   * @return [samples, B, horizon * P], on the scale of the data
   */
  public static Tensor sample(
      SeriesTransformer network, PackedSeries batch, int horizon, int samples, Rng rng) {
    HyperParameter.atLeast("horizon", horizon, 1);
    HyperParameter.atLeast("samples", samples, 1);
    return Scopes.noGrad(
        () -> {
          PackedSeries blind = blind(batch);
          SeriesScale scale = SeriesScale.of(blind);
          Tensor drawn =
              network.config().decoder()
                  ? walk(network, blind, scale, horizon, samples, rng)
                  : at(network.predict(blind, scale), blind.target().size(1) - horizon, horizon)
                      .sample(samples, rng);
          return drawn.flatten(-2, -1);
        });
  }

  /** The batch without the values that are to be predicted. */
  private static PackedSeries blind(PackedSeries batch) {
    Tensor given = batch.predicted().logical_not().unsqueeze(-1);
    return new PackedSeries(
        batch.target().mul(given.to(batch.target().scalar_type().intern())),
        batch.observed().logical_and(given),
        batch.sampleId(),
        batch.timeId(),
        batch.variateId(),
        batch.predicted());
  }

  /** [samples, B, horizon, P], patch by patch. */
  private static Tensor walk(
      SeriesTransformer network,
      PackedSeries batch,
      SeriesScale scale,
      int horizon,
      int samples,
      Rng rng) {
    long context = batch.target().size(1) - horizon;
    Tensor target = batch.target().clone();
    Tensor observed = batch.observed().clone();
    Tensor[] patches = new Tensor[horizon];
    for (int h = 0; h < horizon; h++) {
      try (PointerScope scope = new PointerScope()) {
        long seen = context + h;
        PackedSeries before =
            new PackedSeries(
                target.narrow(1, 0, seen),
                observed.narrow(1, 0, seen),
                batch.sampleId().narrow(1, 0, seen),
                batch.timeId().narrow(1, 0, seen),
                batch.variateId().narrow(1, 0, seen),
                batch.predicted().narrow(1, 0, seen));
        SeriesScale part =
            new SeriesScale(scale.loc().narrow(1, 0, seen), scale.scale().narrow(1, 0, seen));
        Tensor drawn = at(network.predict(before, part), seen - 1, 1).sample(samples, rng);
        Tensor median = drawn.to(ScalarType.Double).quantile(0.5, dimension(0), false, "linear");
        target.narrow(1, seen, 1).copy_(median);
        observed.narrow(1, seen, 1).copy_(torch.ones_like(median));
        patches[h] = Scopes.keep(new Tensor(drawn));
      }
    }
    return torch.cat(new TensorVector(patches), 2);
  }

  static org.bytedeco.pytorch.LongOptional dimension(long dimension) {
    return new org.bytedeco.pytorch.LongOptional(dimension);
  }

  /** The distribution of some patches. */
  private static StudentTMixture at(StudentTMixture all, long start, long patches) {
    return new StudentTMixture(
        all.raw().narrow(1, start, patches),
        all.logits().narrow(1, start, patches),
        all.loc().narrow(1, start, patches),
        all.scale().narrow(1, start, patches));
  }
}
