package org.outrigger.core.torch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Random numbers that a row's content and a seed determine: the same row gets the same numbers in
 * every batch, every process and at every time, so that randomised methods need no state and no
 * order. The numbers are a 64-bit hash of the row's bits (a random linear form, finished by
 * SplitMix64); rows that differ in any bit get unrelated ones.
 */
public final class RowDraws {
  private static final long GOLDEN = 0x9e3779b97f4a7c15L;

  /** Values hashed at a time, which bounds the memory. */
  private static final long BLOCK = 1 << 22;

  private RowDraws() {}

  /**
   * Uniform numbers in (0, 1), both ends excluded.
   *
   * @param rows [N, ...], of a floating-point or an integer type
   * @param draws how many a row
   * @return float64 [N, draws]
   */
  public static Tensor uniform(Tensor rows, long seed, int draws) {
    return Scopes.noGrad(
        () -> {
          long[] steps = new long[draws];
          Arrays.setAll(steps, d -> (d + 1) * GOLDEN);
          Tensor mixed = mix(hash(rows, seed).unsqueeze(1).add(Tensors.of(steps, 1, draws)));
          // The upper 53 bits, moved by half a step off zero.
          return shift(mixed, 11)
              .to(ScalarType.Double)
              .add(new Scalar(0.5))
              .mul(new Scalar(0x1p-53))
              .clamp_max(new Scalar(Math.nextDown(1.0)));
        });
  }

  /**
   * Standard normal numbers.
   *
   * @param rows [N, ...], of a floating-point or an integer type
   * @param draws how many a row
   * @return float64 [N, draws]
   */
  public static Tensor normal(Tensor rows, long seed, int draws) {
    return Scopes.noGrad(
        () ->
            uniform(rows, seed, draws)
                .mul(new Scalar(2.0))
                .sub(new Scalar(1.0))
                .erfinv()
                .mul(new Scalar(Math.sqrt(2))));
  }

  /** int64 [N]. */
  private static Tensor hash(Tensor rows, long seed) {
    Tensor flat = rows.detach().flatten(1, -1);
    int columns = Math.toIntExact(flat.size(1));
    SplittableRandom random = new SplittableRandom(seed);
    long start = random.nextLong();
    long[] factors = new long[columns];
    Arrays.setAll(factors, j -> random.nextLong() | 1);
    Tensor factor = Tensors.of(factors, columns, 1);
    long block = Math.max(1, BLOCK / Math.max(1, columns));
    List<Tensor> parts = new ArrayList<>();
    for (long from = 0; from < Math.max(1, flat.size(0)); from += block) {
      Tensor part = flat.narrow(0, from, Math.min(block, flat.size(0) - from));
      parts.add(Scopes.tensor(() -> bits(part).mm(factor).squeeze(1)));
    }
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0).add(new Scalar(start));
  }

  /** The bits of each value as int64; minus zero counts as zero. */
  private static Tensor bits(Tensor values) {
    ScalarType type = values.scalar_type().intern();
    if (type == ScalarType.Double) {
      return values.add(new Scalar(0.0)).contiguous().view(ScalarType.Long);
    }
    return values.is_floating_point()
        ? values
            .to(ScalarType.Float)
            .add(new Scalar(0.0))
            .contiguous()
            .view(ScalarType.Int)
            .to(ScalarType.Long)
        : values.to(ScalarType.Long);
  }

  private static Tensor mix(Tensor z) {
    Tensor one = z.bitwise_xor(shift(z, 30)).mul(new Scalar(0xbf58476d1ce4e5b9L));
    Tensor two = one.bitwise_xor(shift(one, 27)).mul(new Scalar(0x94d049bb133111ebL));
    return two.bitwise_xor(shift(two, 31));
  }

  /** A shift to the right that fills with zeros. */
  private static Tensor shift(Tensor z, int by) {
    return torch
        .bitwise_right_shift(z, new Scalar((long) by))
        .bitwise_and(new Scalar((1L << (64 - by)) - 1));
  }
}
