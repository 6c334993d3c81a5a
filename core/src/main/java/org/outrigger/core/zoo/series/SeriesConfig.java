package org.outrigger.core.zoo.series;

import java.util.Map;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;

/**
 * The sizes of a time-series transformer.
 *
 * @param decoder whether a patch sees only the earlier ones and predicts the next; otherwise all
 *     patches are seen, and a learned vector stands where one is to be predicted
 * @param patch points a patch, P
 * @param width of a patch's vector, d
 * @param layers of the stack, L
 * @param heads of the attention; the width of a head, d / heads, is a multiple of 4, since half of
 *     it is rotated in pairs
 * @param components of the mixture of Student-t distributions, K
 * @param maxTokens patches that one sequence may have
 */
public record SeriesConfig(
    boolean decoder, int patch, int width, int layers, int heads, int components, int maxTokens) {
  public SeriesConfig {
    HyperParameter.atLeast("patch", patch, 1);
    HyperParameter.atLeast("width", width, 1);
    HyperParameter.atLeast("layers", layers, 1);
    HyperParameter.require(
        heads >= 1 && width % heads == 0, "heads", heads, "a divisor of width = " + width);
    HyperParameter.require(
        width / heads % 4 == 0,
        "width / heads",
        width / heads,
        "a multiple of 4: half of each head is rotated in pairs of values");
    HyperParameter.atLeast("components", components, 1);
    HyperParameter.atLeast("maxTokens", maxTokens, 2);
  }

  /** Patches of 32 points, at most 512 of them, a mixture of 4: the authors' sizes. */
  public static SeriesConfig of(boolean decoder, int width, int layers, int heads) {
    return new SeriesConfig(decoder, 32, width, layers, heads, 4, 512);
  }

  /** The inner width of the feed-forward part: two thirds of 4 d, rounded up to a multiple of 8. */
  public int hidden() {
    return 8 * ((8 * width / 3 + 7) / 8);
  }

  /** The parameters of the layers and the last norm; N of the scaling laws. */
  public long stackParameters() {
    long d = width;
    long layer = 4 * d * d + 2 * d + 3 * d * hidden() + 2L * (width / heads);
    return layers * layer + d;
  }

  /** By name, for saved files. */
  public Map<String, Object> values() {
    return Methods.values(this);
  }
}
