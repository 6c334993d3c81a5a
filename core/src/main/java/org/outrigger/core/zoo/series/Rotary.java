package org.outrigger.core.zoo.series;

import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Rotary positions: neighbouring pairs of the first half of each head are turned by the patch's
 * place times {@code base^(-2i / width)}, so that a product of query and key knows their distance.
 * Su et al., RoFormer, 2021.
 *
 * @param cos [..., 1, T, width / 2]
 * @param sin alike
 */
record Rotary(Tensor cos, Tensor sin) {
  static final double BASE = 10_000;

  /**
   * The turns of each place, in the enclosing scope.
   *
   * @param timeId int64 [..., T]
   * @param width values of a head that are turned, an even number
   */
  static Rotary of(Tensor timeId, long width, ScalarType type) {
    if (width < 2 || width % 2 != 0) {
      throw new OutriggerException(
          "The rotary width "
              + width
              + " is not even: choose width / heads as a multiple of 4, since half of each head is"
              + " rotated in pairs of values.");
    }
    return Scopes.scoped(
        () -> {
          double[] turns = new double[(int) (width / 2)];
          Arrays.setAll(turns, i -> Math.pow(BASE, -2.0 * i / width));
          Tensor angles =
              timeId
                  .to(ScalarType.Double)
                  .unsqueeze(-1)
                  .mul(Tensors.of(turns, turns.length))
                  .unsqueeze(-3);
          return new Rotary(Scopes.keep(angles.cos().to(type)), Scopes.keep(angles.sin().to(type)));
        });
  }

  /**
   * Turns queries or keys.
   *
   * @param x [..., heads, T, d / heads]
   */
  Tensor turn(Tensor x) {
    return Scopes.tensor(
        () -> {
          long width = 2 * cos.size(-1);
          Tensor pairs = x.narrow(-1, 0, width).unflatten(-1, width / 2, 2);
          Tensor even = pairs.select(-1, 0);
          Tensor odd = pairs.select(-1, 1);
          Tensor turned =
              torch
                  .stack(
                      new TensorVector(
                          even.mul(cos).sub(odd.mul(sin)), odd.mul(cos).add(even.mul(sin))),
                      -1)
                  .flatten(-2, -1);
          return torch.cat(new TensorVector(turned, x.narrow(-1, width, x.size(-1) - width)), -1);
        });
  }
}
