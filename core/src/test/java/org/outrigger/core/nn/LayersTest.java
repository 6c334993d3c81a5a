package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

/** Each layer against libtorch's own function or values worked out by hand. */
class LayersTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    org.outrigger.core.torch.Torch.start();
    scope = new PointerScope();
    rng = new Rng(11);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private static void assertClose(Tensor actual, Tensor expected) {
    assertThat(actual.shape()).containsExactly(expected.shape());
    double gap = actual.sub(expected).abs().max().item_double();
    assertThat(gap).isLessThan(1e-5);
  }

  @Test
  void linearIsTheProductPlusBias() {
    Linear layer = new Linear(2, 1, rng);
    layer.loadStateDict(
        java.util.Map.of(
            "weight",
            Tensors.of(new float[] {2, -1}, 1, 2),
            "bias",
            Tensors.of(new float[] {5}, 1)),
        true);
    Tensor y = layer.forward(Tensors.of(new float[] {1, 2, 3, 4}, 2, 2));
    assertThat(Tensors.floats(y)).containsExactly(5, 7);
    assertThat(y.shape()).containsExactly(2, 1);
    assertThat(new Linear(2, 1, false, rng).parameters()).containsOnlyKeys("weight");
  }

  @Test
  void convolutionsEqualExplicitSums() {
    Conv2d conv =
        new Conv2d(Conv2d.Options.of(4, 6, 3).stride(2).padding(1).dilation(2).groups(2), rng);
    Tensor x = rng.normal(2, 4, 9, 9);
    // Unfolding to columns and multiplying is the definition of the convolution.
    Tensor columns =
        torch.im2col(x, new long[] {3, 3}, new long[] {2, 2}, new long[] {1, 1}, new long[] {2, 2});
    Tensor first = conv.tensor("weight").narrow(0, 0, 3).reshape(3, 18);
    Tensor second = conv.tensor("weight").narrow(0, 3, 3).reshape(3, 18);
    Tensor expected =
        torch
            .cat(
                new org.bytedeco.pytorch.TensorVector(
                    torch.matmul(first, columns.narrow(1, 0, 18)),
                    torch.matmul(second, columns.narrow(1, 18, 18))),
                1)
            .reshape(2, 6, 4, 4)
            .add(conv.tensor("bias").reshape(1, 6, 1, 1));
    assertClose(conv.forward(x), expected);
  }

  @Test
  void oneDimensionalConvolutionByHand() {
    Conv1d conv = new Conv1d(Conv1d.Options.of(1, 1, 2).stride(2).padding(1).dilation(2), rng);
    conv.loadStateDict(
        java.util.Map.of(
            "weight",
            Tensors.of(new float[] {1, 10}, 1, 1, 2),
            "bias",
            Tensors.of(new float[] {0.5f}, 1)),
        true);
    // Padded: 0 1 2 3 4 0; taps two apart, step two.
    Tensor y = conv.forward(Tensors.of(new float[] {1, 2, 3, 4}, 1, 1, 4));
    assertThat(Tensors.floats(y)).containsExactly(20.5f, 42.5f);
  }

  @ParameterizedTest
  @CsvSource({"0, 2, groups", "3, 2, groups", "2, 0, kernel"})
  void convolutionsRefuseImpossibleSettings(int groups, int kernel, String named) {
    assertThatThrownBy(() -> new Conv2d(Conv2d.Options.of(4, 6, kernel).groups(groups), rng))
        .isInstanceOf(OutriggerException.class)
        .hasMessageStartingWith("Hyper-parameter " + named);
  }

  @Test
  void batchNormUsesAndMovesStatisticsInTrainingOnly() {
    BatchNorm1d norm = new BatchNorm1d(1, 0.25, 0, true, true);
    Tensor x = Tensors.of(new float[] {1, 3, 5, 7}, 4, 1);
    Tensor y = norm.forward(x);
    float s = (float) Math.sqrt(5);
    assertThat(Tensors.floats(y))
        .usingComparatorWithPrecision(1e-5f)
        .containsExactly(-3 / s, -1 / s, 1 / s, 3 / s);
    // Running: 0.75 * 0 + 0.25 * 4, and 0.75 * 1 + 0.25 * 20/3 (unbiased).
    assertThat(norm.tensor("running_mean").item_float()).isCloseTo(1f, within(1e-6f));
    assertThat(norm.tensor("running_var").item_float())
        .isCloseTo(0.75f + 0.25f * 20 / 3, within(1e-5f));
    assertThat(norm.tensor("num_batches_tracked").item_long()).isEqualTo(1);
    norm.eval();
    Tensor z = norm.forward(x);
    double std = Math.sqrt(0.75 + 0.25 * 20 / 3);
    assertThat((double) z.select(0, 3).item_float()).isCloseTo((7 - 1) / std, within(1e-5));
    assertThat(norm.tensor("num_batches_tracked").item_long()).isEqualTo(1);
  }

  @Test
  void batchNormWithoutStatisticsAlwaysUsesTheBatch() {
    BatchNorm2d norm = new BatchNorm2d(3, 0.1, 1e-5, false, false);
    assertThat(norm.stateDict()).isEmpty();
    norm.eval();
    Tensor y = norm.forward(rng.normal(4, 3, 5, 5).mul(new Scalar(3)));
    assertThat(y.mean().item_float()).isCloseTo(0f, within(1e-5f));
    assertThat(y.std().item_float()).isCloseTo(1f, within(1e-2f));
  }

  @Test
  void batchNormRefusesABatchWithoutSpread() {
    assertThatThrownBy(() -> new BatchNorm1d(3).forward(rng.normal(1, 3)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("more than one value");
    assertThatThrownBy(() -> new BatchNorm2d(3).forward(rng.normal(2, 3)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("dimensions");
  }

  @Test
  void layerAndGroupNormEqualTheirFormulas() {
    Tensor x = rng.normal(2, 6, 4);
    Tensor mean = x.mean(new long[] {2}, true, new org.bytedeco.pytorch.ScalarTypeOptional());
    Tensor centred = x.sub(mean);
    Tensor var =
        centred
            .mul(centred)
            .mean(new long[] {2}, true, new org.bytedeco.pytorch.ScalarTypeOptional());
    assertClose(new LayerNorm(4).forward(x), centred.div(var.add(new Scalar(1e-5)).sqrt()));
    Tensor grouped = new LayerNorm(12, 1e-5, false).forward(x.reshape(2, 2, 12)).reshape(2, 6, 4);
    assertClose(new GroupNorm(2, 6).forward(x), grouped);
    assertThat(new LayerNorm(4).parameters()).containsOnlyKeys("weight", "bias");
  }

  @Test
  void embeddingLooksRowsUp() {
    Embedding layer = new Embedding(3, 2, rng);
    Tensor y = layer.forward(Tensors.labels(2, 0));
    assertClose(y.select(0, 0), layer.tensor("weight").select(0, 2));
    assertClose(y.select(0, 1), layer.tensor("weight").select(0, 0));
    assertThatThrownBy(() -> layer.forward(Tensors.labels(3)))
        .isInstanceOf(OutriggerException.class)
        .extracting(e -> ((OutriggerException) e).firstLine())
        .isEqualTo("The layer Embedding(3, 2) cannot take an input of shape [1].");
  }

  @Test
  void poolingByHand() {
    Tensor x =
        Tensors.of(new float[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 1, 1, 4, 4);
    assertThat(Tensors.floats(new MaxPool2d(2).forward(x))).containsExactly(6, 8, 14, 16);
    assertThat(Tensors.floats(new AvgPool2d(2).forward(x)))
        .containsExactly(3.5f, 5.5f, 11.5f, 13.5f);
    assertThat(Tensors.floats(new AdaptiveAvgPool2d(1, 2).forward(x))).containsExactly(7.5f, 9.5f);
    assertThat(Tensors.floats(new GlobalAvgPool().forward(x))).containsExactly(8.5f);
    assertThat(new GlobalAvgPool().forward(x).shape()).containsExactly(1, 1);
    assertThat(new Flatten().forward(x).shape()).containsExactly(1, 16);
  }

  @Test
  void activationsEqualTheirFormulas() {
    double v = 0.7;
    double[] in = {-v, v};
    java.util.Map<Activation.Kind, java.util.function.DoubleUnaryOperator> formulas =
        java.util.Map.of(
            Activation.Kind.RELU, x -> Math.max(x, 0),
            Activation.Kind.RELU6, x -> Math.min(Math.max(x, 0), 6),
            Activation.Kind.LEAKY_RELU, x -> x > 0 ? x : 0.01 * x,
            Activation.Kind.ELU, x -> x > 0 ? x : Math.expm1(x),
            Activation.Kind.SILU, x -> x / (1 + Math.exp(-x)),
            Activation.Kind.TANH, Math::tanh,
            Activation.Kind.SIGMOID, x -> 1 / (1 + Math.exp(-x)),
            Activation.Kind.SOFTPLUS, x -> Math.log1p(Math.exp(x)),
            Activation.Kind.MISH, x -> x * Math.tanh(Math.log1p(Math.exp(x))),
            Activation.Kind.HARDSWISH, x -> x * Math.min(Math.max(x + 3, 0), 6) / 6);
    formulas.forEach(
        (kind, formula) ->
            assertThat(Tensors.doubles(new Activation(kind).forward(Tensors.of(in, 2))))
                .as(kind.name())
                .usingComparatorWithPrecision(1e-12)
                .containsExactly(formula.applyAsDouble(-v), formula.applyAsDouble(v)));
    // erf(0.7 / sqrt 2) = 0.5160726955...
    assertThat(Tensors.doubles(Activation.gelu().forward(Tensors.of(in, 2)))[1])
        .isCloseTo(0.35 * (1 + 0.5160726955538561), within(1e-9));
    assertThat(new Activation(Activation.Kind.GELU_TANH).forward(Tensors.of(in, 2)).size(0))
        .isEqualTo(2);
    assertThat(Activation.Kind.of("leaky_relu")).isEqualTo(Activation.Kind.LEAKY_RELU);
    assertThatThrownBy(() -> Activation.Kind.of("rely"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("relu, relu6");
  }

  @Test
  void dropoutKeepsTheMeanAndIsOffInEvaluation() {
    Dropout layer = new Dropout(0.25, 5);
    Tensor x = Init.ones(100, 100);
    Tensor y = layer.forward(x);
    assertThat(y.mean().item_float()).isCloseTo(1f, within(0.03f));
    assertThat(y.max().item_float()).isCloseTo(1 / 0.75f, within(1e-6f));
    assertThat(y.eq(new Scalar(0)).sum().item_long()).isBetween(2300L, 2700L);
    assertThat(Tensors.floats(new Dropout(0.25, 5).forward(x))).isEqualTo(Tensors.floats(y));
    assertThat(Tensors.floats(layer.forward(x))).isNotEqualTo(Tensors.floats(y));
    layer.eval();
    assertThat(layer.forward(x)).isSameAs(x);
    assertThatThrownBy(() -> new Dropout(1, 0)).isInstanceOf(OutriggerException.class);
  }

  @Test
  void startingWeightsFollowPyTorchsDefaults() {
    Tensor w = new Linear(400, 100, rng).tensor("weight");
    assertThat(w.abs().max().item_float()).isLessThanOrEqualTo(1 / 20f).isGreaterThan(0.049f);
    assertThat(w.std().item_float()).isCloseTo((float) (1 / 20d / Math.sqrt(3)), within(5e-4f));
    Tensor b = new Conv2d(16, 64, 5, rng).tensor("bias");
    assertThat(b.abs().max().item_float()).isLessThanOrEqualTo(1 / 20f);
    Tensor he = ResidualConvs.conv3(32, 64, 1, rng).tensor("weight");
    assertThat(he.std().item_float()).isCloseTo((float) Math.sqrt(2.0 / (64 * 9)), within(2e-3f));
    Tensor cut = Init.truncatedNormal(rng, 0.5, 10_000);
    assertThat(cut.abs().max().item_float()).isLessThanOrEqualTo(1.0001f).isGreaterThan(0.9f);
    // The standard deviation of a normal cut at two sigma is 0.8796 sigma.
    assertThat(cut.std().item_float()).isCloseTo(0.8796f * 0.5f, within(0.01f));
  }

  @Test
  void basicBlockIsTheResidualFormula() {
    BasicBlock block = new BasicBlock(3, 4, 2, rng);
    block.eval();
    Tensor x = rng.normal(2, 3, 6, 6);
    Tensor inner =
        block
            .get("bn2")
            .forward(
                block
                    .get("conv2")
                    .forward(torch.relu(block.get("bn1").forward(block.get("conv1").forward(x)))));
    assertClose(block.forward(x), torch.relu(inner.add(block.get("downsample").forward(x))));
    BasicBlock plain = new BasicBlock(3, 3, 1, rng);
    assertThat(plain.children()).doesNotContainKey("downsample");
    assertThat(plain.forward(x).shape()).containsExactly(x.shape());
  }

  @Test
  void wideBlockIsThePreActivationFormula() {
    WideBlock block = new WideBlock(3, 4, 2, 0, rng, 0);
    block.eval();
    Tensor x = rng.normal(2, 3, 6, 6);
    Tensor active = torch.relu(block.get("bn1").forward(x));
    Tensor inner =
        block
            .get("conv2")
            .forward(torch.relu(block.get("bn2").forward(block.get("conv1").forward(active))));
    assertClose(block.forward(x), inner.add(block.get("convShortcut").forward(active)));
    WideBlock plain = new WideBlock(3, 3, 1, 0, rng, 0);
    plain.eval();
    Tensor straight =
        plain
            .get("conv2")
            .forward(
                torch.relu(
                    plain
                        .get("bn2")
                        .forward(
                            plain.get("conv1").forward(torch.relu(plain.get("bn1").forward(x))))));
    assertClose(plain.forward(x), straight.add(x));
  }

  @Test
  void batchNormEqualsLibtorchsOwnInBothModes() {
    BatchNorm2d norm = new BatchNorm2d(3);
    norm.tensor("weight").detach().copy_(rng.normal(3));
    norm.tensor("bias").detach().copy_(rng.normal(3));
    Tensor mean = norm.tensor("running_mean").clone();
    Tensor var = norm.tensor("running_var").clone();
    Tensor x = rng.normal(4, 3, 5, 5);
    for (boolean training : new boolean[] {true, false}) {
      norm.train(training);
      Tensor expected =
          torch.batch_norm(
              x,
              new TensorOptional(norm.tensor("weight")),
              new TensorOptional(norm.tensor("bias")),
              new TensorOptional(mean),
              new TensorOptional(var),
              training,
              0.1,
              1e-5,
              true);
      assertClose(norm.forward(x), expected);
      assertClose(norm.tensor("running_mean"), mean);
      assertClose(norm.tensor("running_var"), var);
    }
  }
}
