package org.outrigger.adapt.edge;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Where a visual prompt is. The first three are added to inputs: a table of values [C, K], a column
 * for each place, and places numbered row by row over the H W pixels of an image, or the D values
 * of a row (then C is 1).
 */
public enum VisualPrompt {
  /** Everywhere. */
  DENSE,
  /** At the most uncertain pixels, as SVDP has it (Yang et al., AAAI 2024). */
  SPARSE,
  /** At the pixels along the border. */
  BORDER,
  /** Further tokens of a vision transformer, after its own. */
  TOKENS;

  /**
   * Places values; everything else is 0.
   *
   * @param values [C, K]
   * @param places int64 [K], each once
   * @param shape of an input: [C, H, W], or [D] with C = 1
   * @return of that shape; gradients flow to the values
   */
  public static Tensor place(Tensor values, Tensor places, long... shape) {
    Shapes.check().tensor("The prompt", values, "C", "K").tensor("The places", places, "K");
    long channels = channels(shape);
    long all = size(shape) / channels;
    if (values.size(0) != channels) {
      throw new OutriggerException(
          "The prompt has "
              + values.size(0)
              + " channels, but inputs have "
              + channels
              + ": make it for this model.");
    }
    if (places.numel() > 0) {
      long[] range =
          Scopes.scoped(() -> new long[] {places.min().item_long(), places.max().item_long()});
      if (range[0] < 0 || range[1] >= all) {
        throw new OutriggerException(
            "The prompt's places run from "
                + range[0]
                + " to "
                + range[1]
                + ", but an input has 0 to "
                + (all - 1)
                + ".");
      }
    }
    return Scopes.tensor(
        () ->
            torch
                .zeros(new long[] {channels, all}, new TensorOptions(values.scalar_type()))
                .index_copy(1, places, values)
                .view(shape));
  }

  /**
   * The most uncertain places: {@code floor(share size)} of them.
   *
   * @param map the uncertainty of each place, of any shape
   * @param share in (0, 1]
   * @return int64 [K], the least uncertain of them first, as SVDP pairs values with places
   * @throws OutriggerException if the share of so few places is none
   */
  public static Tensor mostUncertain(Tensor map, double share) {
    Shapes.finite("The uncertainty of the places", map);
    long wanted = count(map.numel(), share);
    return Scopes.tensor(
        () -> torch.argsort(map.flatten(), true, 0, false).narrow(0, map.numel() - wanted, wanted));
  }

  /** How many of {@code all} places a sparse prompt has. */
  static long count(long all, double share) {
    HyperParameter.require(share > 0 && share <= 1, "rho", share, "above 0 and at most 1");
    long wanted = (long) Math.floor(share * all);
    if (wanted < 1) {
      throw new OutriggerException(
          "A share rho = "
              + share
              + " of "
              + all
              + " pixels is less than one: raise rho to "
              + (Math.ceil(1e5 / all) / 1e5)
              + " or more.");
    }
    return wanted;
  }

  /**
   * The places along the border of an image.
   *
   * @param width of the border in pixels, 1 or more
   * @return int64 [K], ascending
   */
  public static Tensor border(long height, long width, int border) {
    HyperParameter.atLeast("border", border, 1);
    return Scopes.tensor(
        () -> {
          Tensor ring = torch.ones(new long[] {height, width}, new TensorOptions(ScalarType.Bool));
          if (2L * border < Math.min(height, width)) {
            ring.narrow(0, border, height - 2L * border)
                .narrow(1, border, width - 2L * border)
                .zero_();
          }
          return ring.flatten().nonzero().flatten();
        });
  }

  static long channels(long... shape) {
    return shape.length == 3 ? shape[0] : 1;
  }

  static long size(long... shape) {
    long size = 1;
    for (long each : shape) {
      size = Math.multiplyExact(size, each);
    }
    return size;
  }
}
