package org.outrigger.detect;

import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Exact percentiles of any number of values in fixed memory. The bits of a floating-point number,
 * read as an integer, sort as the numbers do; each pass over the values fixes 16 more bits of the
 * wanted ones by a histogram, so that float32 takes two passes and float64 four.
 */
public final class Percentile {
  private static final int DIGIT = 16;
  private static final int BINS = 1 << DIGIT;

  private Percentile() {}

  /**
   * The percentile by linear interpolation between the order statistics around {@code (n - 1)
   * percent / 100}.
   *
   * @param percent from 0 to 100
   * @param values hands all parts, float32 or float64 of any shape and all of one type, to its
   *     argument; called several times with the same values
   */
  public static double of(double percent, Consumer<Consumer<Tensor>> values) {
    int[] bits = {0};
    long[] first =
        count(
            values,
            part -> {
              int width = part.scalar_type().intern() == ScalarType.Double ? 64 : 32;
              if (bits[0] != 0 && bits[0] != width) {
                throw new OutriggerException("The parts of one percentile have different types.");
              }
              bits[0] = width;
              return shift(keys(part), width - DIGIT).add(new Scalar(BINS / 2L));
            });
    long n = 0;
    for (long c : first) {
      n += c;
    }
    if (n == 0) {
      throw new OutriggerException("There is no value to take a percentile of.");
    }
    double position = (n - 1) * percent / 100;
    long low = (long) Math.floor(position);
    Search below = new Search(low);
    Search above = new Search(Math.min(low + 1, n - 1));
    below.descend(first, -BINS / 2);
    above.descend(first, -BINS / 2);
    for (int rest = bits[0] - DIGIT; rest > 0; rest -= DIGIT) {
      long[] counts = refine(values, below.prefix, rest);
      long[] others = above.prefix == below.prefix ? counts : refine(values, above.prefix, rest);
      below.descend(counts, 0);
      above.descend(others, 0);
    }
    double a = below.value(bits[0]);
    double b = above.value(bits[0]);
    return a + (b - a) * (position - low);
  }

  /**
   * The search for one order statistic: the bits that are known and the rank among what is left.
   */
  private static final class Search {
    private long rank;
    private long prefix;

    Search(long rank) {
      this.rank = rank;
    }

    void descend(long[] counts, int least) {
      int bin = 0;
      while (rank >= counts[bin]) {
        rank -= counts[bin];
        bin++;
      }
      prefix = (prefix << DIGIT) + bin + least;
    }

    double value(int bits) {
      return bits == 64
          ? Double.longBitsToDouble(prefix < 0 ? prefix ^ Long.MAX_VALUE : prefix)
          : Float.intBitsToFloat((int) (prefix < 0 ? prefix ^ Integer.MAX_VALUE : prefix));
    }
  }

  private interface Digits {
    Tensor of(Tensor part);
  }

  /** How often each digit occurs among the values that begin with {@code prefix}. */
  private static long[] refine(Consumer<Consumer<Tensor>> values, long prefix, int rest) {
    return count(
        values,
        part -> {
          Tensor keys = keys(part);
          Tensor inside = shift(keys, rest).eq(new Scalar(prefix)).nonzero().flatten();
          Tensor left = shift(keys.index_select(0, inside), rest - DIGIT);
          return left.bitwise_and(new Scalar((long) (BINS - 1)));
        });
  }

  private static long[] count(Consumer<Consumer<Tensor>> values, Digits digits) {
    long[] counts = new long[BINS];
    values.accept(
        part -> {
          long[] here =
              Tensors.longs(
                  Scopes.tensor(
                      () ->
                          torch.bincount(
                              digits.of(part).to(ScalarType.Long), new TensorOptional(), BINS)));
          for (int i = 0; i < BINS; i++) {
            counts[i] += here[i];
          }
        });
    return counts;
  }

  /** Integers that sort as the values do, int32 or int64 [n]. */
  private static Tensor keys(Tensor part) {
    boolean wide = part.scalar_type().intern() == ScalarType.Double;
    Tensor raw = part.detach().contiguous().flatten().view(wide ? ScalarType.Long : ScalarType.Int);
    // A negative number's bits below the sign sort backwards: turn them round.
    Tensor negative = shift(raw, wide ? 63 : 31);
    Tensor mask =
        negative.bitwise_and(new Scalar(wide ? Long.MAX_VALUE : (long) Integer.MAX_VALUE));
    return raw.bitwise_xor(mask);
  }

  private static Tensor shift(Tensor integers, int bits) {
    return torch.bitwise_right_shift(integers, new Scalar((long) bits));
  }
}
