package org.outrigger.core.zoo.series;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;

/**
 * Where a series lies and how wide it is, by the observed points of the patches that are given, in
 * float64: {@code loc} is their mean, {@code scale = sqrt(sum (x - loc)^2 / (n - 1) + minimum)}.
 * Padding has 0 and 1.
 *
 * @param loc [B, T, 1], the same for all patches of a series
 * @param scale [B, T, 1], above 0
 */
public record SeriesScale(Tensor loc, Tensor scale) {
  /** What keeps the scale of a constant series above 0. */
  public static final double MINIMUM = 1e-5;

  /**
   * Measures each series of a batch.
   *
   * @param target [B, T, P]
   * @param given bool [B, T, P]: observed points of patches that are not to be predicted
   * @param sampleId int64 [B, T], 0 for padding
   * @param variateId int64 [B, T]
   * @param correction what is taken from the number of points; 1 is the usual
   * @param minimum above 0
   */
  public static SeriesScale of(
      Tensor target,
      Tensor given,
      Tensor sampleId,
      Tensor variateId,
      double correction,
      double minimum) {
    return Scopes.scoped(
        () -> {
          Tensor same = PackedSeries.sameSeries(sampleId, variateId).to(ScalarType.Double);
          Tensor mask = given.to(ScalarType.Double);
          Tensor x = target.to(ScalarType.Double);
          Tensor points = same.matmul(mask.sum(-1).unsqueeze(-1));
          Tensor sum = same.matmul(x.mul(mask).sum(-1).unsqueeze(-1));
          Tensor loc = sum.div(PackedSeries.nonZero(points));
          Tensor off = x.sub(loc).mul(mask);
          Tensor squares = same.matmul(off.mul(off).sum(-1).unsqueeze(-1));
          Tensor scale =
              squares
                  .div(PackedSeries.nonZero(points.sub(new Scalar(correction))))
                  .add(new Scalar(minimum))
                  .sqrt();
          Tensor padding = sampleId.eq(new Scalar(0)).unsqueeze(-1);
          return new SeriesScale(
              Scopes.keep(torch.where(padding, torch.zeros_like(loc), loc)),
              Scopes.keep(torch.where(padding, torch.ones_like(scale), scale)));
        });
  }

  /** The scale of each series of a packed batch by what is not to be predicted. */
  public static SeriesScale of(PackedSeries batch) {
    return Scopes.scoped(
        () -> {
          Tensor given =
              batch.observed().logical_and(batch.predicted().logical_not().unsqueeze(-1));
          SeriesScale all =
              of(batch.target(), given, batch.sampleId(), batch.variateId(), 1, MINIMUM);
          return new SeriesScale(
              Scopes.keep(new Tensor(all.loc)), Scopes.keep(new Tensor(all.scale)));
        });
  }
}
