package org.outrigger.detect;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Unknown inputs that are made from known ones, for choosing a detector without touching anyone's
 * test data. They keep simple statistics of the known inputs, so that a detector cannot win by
 * looking at brightness alone.
 */
public enum GeneratedUnknowns {
  /** Each image's pixels in an order of its own; channels stay together. */
  SHUFFLED_PIXELS {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      long pixels = inputs.size(2) * inputs.size(3);
      Tensor order =
          torch.argsort(rng.uniform(ScalarType.Double, inputs.size(0), pixels), 1, false);
      Tensor index = order.unsqueeze(1).expand(inputs.size(0), inputs.size(1), pixels);
      return inputs.flatten(2, -1).gather(2, index).view_as(inputs);
    }
  },

  /** Each image's cells of a 4 x 4 grid in an order of its own: real details, no real shape. */
  SHUFFLED_CELLS {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      long n = inputs.size(0);
      long channels = inputs.size(1);
      long height = inputs.size(2) / GRID;
      long width = inputs.size(3) / GRID;
      Tensor order = torch.argsort(rng.uniform(ScalarType.Double, n, GRID * GRID), 1, false);
      Tensor inner = inputs.narrow(2, 0, GRID * height).narrow(3, 0, GRID * width);
      Tensor cells =
          inner
              .reshape(n, channels, GRID, height, GRID, width)
              .permute(0, 2, 4, 1, 3, 5)
              .reshape(n, GRID * GRID, channels * height * width);
      Tensor index = order.unsqueeze(2).expand(n, GRID * GRID, channels * height * width);
      Tensor shuffled =
          cells
              .gather(1, index)
              .reshape(n, GRID, GRID, channels, height, width)
              .permute(0, 3, 1, 4, 2, 5)
              .reshape(inner.shape());
      // Rows and columns that do not fill a cell stay where they are.
      Tensor made = inputs.clone();
      made.narrow(2, 0, GRID * height).narrow(3, 0, GRID * width).copy_(shuffled);
      return made;
    }
  },

  /** Each column of a table in an order of its own: every value is real, no row is. */
  PERMUTED_COLUMNS {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      Tensor order =
          torch.argsort(rng.uniform(ScalarType.Double, inputs.size(0), inputs.size(1)), 0, false);
      return inputs.gather(0, order);
    }
  },

  /** Normal noise with the mean and deviation of each channel or column. */
  GAUSSIAN_NOISE {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      return matched(inputs, rng.normal(inputs.scalar_type().intern(), inputs.shape()));
    }
  },

  /** Uniform noise with the mean and deviation of each channel or column. */
  UNIFORM_NOISE {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      Tensor centred =
          rng.uniform(inputs.scalar_type().intern(), inputs.shape()).sub(new Scalar(0.5));
      return matched(inputs, centred.mul(new Scalar(Math.sqrt(12))));
    }
  },

  /** The mean of two different rows. */
  BLENDS {
    @Override
    Tensor from(Tensor inputs, Rng rng) {
      Tensor order = rng.permutation(inputs.size(0));
      Tensor first = inputs.index_select(0, order);
      Tensor second = inputs.index_select(0, order.roll(1));
      return first.add(second).mul(new Scalar(0.5));
    }
  };

  private static final long GRID = 4;

  abstract Tensor from(Tensor inputs, Rng rng);

  /**
   * The kinds that fit inputs of that shape: noise and blends always, shuffled pixels for images
   * and shuffled cells for images of 8 x 8 pixels or more, permuted columns for tables.
   *
   * @param inputs [N, C, H, W] or [N, D]
   */
  public static Set<GeneratedUnknowns> kinds(Tensor inputs) {
    return switch ((int) inputs.dim()) {
      case 4 ->
          Math.min(inputs.size(2), inputs.size(3)) < 2 * GRID
              ? EnumSet.of(SHUFFLED_PIXELS, GAUSSIAN_NOISE, UNIFORM_NOISE, BLENDS)
              : EnumSet.of(SHUFFLED_PIXELS, SHUFFLED_CELLS, GAUSSIAN_NOISE, UNIFORM_NOISE, BLENDS);
      case 2 -> EnumSet.of(PERMUTED_COLUMNS, GAUSSIAN_NOISE, UNIFORM_NOISE, BLENDS);
      default ->
          throw new OutriggerException(
              "Unknown inputs are made from images [N, C, H, W] or rows [N, D], not from shape "
                  + Arrays.toString(inputs.shape())
                  + ".");
    };
  }

  /**
   * Makes unknown inputs.
   *
   * @param inputs [N, C, H, W] or [N, D], at least two rows, finite
   * @param seed same seed, same result
   * @return of the same shape and type
   */
  public Tensor make(Tensor inputs, long seed) {
    if (!kinds(inputs).contains(this)) {
      throw new OutriggerException(
          "The kind "
              + name()
              + " does not fit inputs of shape "
              + Arrays.toString(inputs.shape()));
    }
    if (inputs.size(0) < 2 || inputs.numel() == 0) {
      throw new OutriggerException(
          "Unknown inputs are made from at least two known rows, not from shape "
              + Arrays.toString(inputs.shape())
              + ".");
    }
    Shapes.finite("The inputs", inputs);
    return Scopes.noGrad(
        () -> {
          try (Rng rng = Rng.named(seed, name())) {
            return from(inputs.detach().contiguous(), rng);
          }
        });
  }

  /** All kinds that fit, by name in lower case with hyphens. */
  public static Map<String, Tensor> all(Tensor inputs, long seed) {
    Map<String, Tensor> made = new LinkedHashMap<>();
    kinds(inputs).forEach(kind -> made.put(kind.label(), kind.make(inputs, seed)));
    return made;
  }

  /** The name in lower case with hyphens. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Standard noise with each channel's mean and deviation. */
  private static Tensor matched(Tensor inputs, Tensor noise) {
    long[] all = inputs.dim() == 4 ? new long[] {0, 2, 3} : new long[] {0};
    Tensor exact = inputs.to(ScalarType.Double);
    Tensor mean = exact.mean(all, true, null);
    Tensor deviation = exact.sub(mean).square().mean(all, true, null).sqrt();
    ScalarType type = inputs.scalar_type().intern();
    return noise.mul(deviation.to(type)).add(mean.to(type));
  }
}
