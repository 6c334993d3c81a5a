package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;

/** Gradients of input and every parameter against central differences, in float64. */
class GradientsOfLayersTest {
  private static final double STEP = 1e-5;

  static Stream<Arguments> layers() {
    long[] image = {2, 4, 5, 5};
    return Stream.of(
        layer("linear", r -> new Linear(4, 3, r), 5, 4),
        layer("conv1d", r -> new Conv1d(4, 3, 3, r), 2, 4, 6),
        layer(
            "conv2d",
            r -> new Conv2d(Conv2d.Options.of(4, 2, 3).stride(2).padding(1).groups(2), r),
            image),
        layer("batch norm 1d", r -> new BatchNorm1d(4), 6, 4),
        layer("batch norm 2d", r -> new BatchNorm2d(4), image),
        layer("layer norm", r -> new LayerNorm(4), 3, 4),
        layer("group norm", r -> new GroupNorm(2, 4), image),
        layer("attention", r -> new MultiheadAttention(4, 2, r), 2, 3, 4),
        layer("gelu", r -> Activation.gelu(), 3, 4),
        layer("softplus", r -> Activation.softplus(), 3, 4),
        layer("average pool", r -> new AvgPool2d(2), image),
        layer("max pool", r -> new MaxPool2d(3, 2, 1), image),
        layer("basic block", r -> new BasicBlock(4, 6, 2, r), image),
        layer("wide block", r -> new WideBlock(4, 6, 2, 0, r, 0), image));
  }

  private static Arguments layer(String name, Function<Rng, Layer> maker, long... shape) {
    return Arguments.of(name, maker, shape);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("layers")
  void gradientsAreRight(String name, Function<Rng, Layer> maker, long[] shape) {
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(17);
        Layer layer = maker.apply(rng)) {
      layer.to(ScalarType.Double);
      Tensor x = rng.normal(ScalarType.Double, shape).requires_grad_(true);
      // Away from the symmetric start, so that no gradient is zero by accident.
      layer.parameters().values().forEach(p -> p.detach().add_(noise(rng, p, 0.1)));
      Tensor mix = rng.normal(ScalarType.Double, layer.forward(x.detach()).shape());
      List<String> names = new ArrayList<>(layer.parameters().keySet());
      List<Tensor> inputs = new ArrayList<>(layer.parameters().values());
      inputs.add(x);
      List<Tensor> gradients = Gradients.of(layer.forward(x).mul(mix).sum(), inputs, false);
      for (int i = 0; i < inputs.size(); i++) {
        Tensor value = inputs.get(i).detach();
        Tensor direction = rng.normal(ScalarType.Double, value.shape());
        double expected = 0;
        for (int sign : new int[] {1, -1}) {
          Tensor moved = value.add(direction.mul(new Scalar(sign * STEP)));
          Tensor y =
              i < names.size()
                  ? layer.forward(x.detach(), Map.of(names.get(i), moved))
                  : layer.forward(moved);
          expected += sign * y.mul(mix).sum().item_double() / (2 * STEP);
        }
        double actual = gradients.get(i).mul(direction).sum().item_double();
        assertThat(actual)
            .as(i < names.size() ? names.get(i) : "input")
            .isCloseTo(expected, within(1e-5 * (1 + Math.abs(expected))));
      }
    }
  }

  private static Tensor noise(Rng rng, Tensor like, double scale) {
    return rng.normal(ScalarType.Double, like.shape()).mul(new Scalar(scale));
  }
}
