package org.outrigger.calibrate.nngp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.apache.commons.statistics.distribution.NormalDistribution;
import org.apache.commons.statistics.distribution.TDistribution;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class NngpKernelTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(4);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private Tensor inputs(Network network, long rows) {
    return network == Network.CNN
        ? rng.normal(ScalarType.Double, rows, 2, 4, 3)
        : rng.normal(ScalarType.Double, rows, 5);
  }

  /** Rows 0 and 1 are equal: the derivative of the arc cosine is infinite there. */
  private Tensor withTwins(Network network) {
    Tensor x = inputs(network, 4);
    return torch.cat(new TensorVector(x.narrow(0, 0, 1), x), 0);
  }

  @ParameterizedTest
  @CsvSource({"MLP,RELU", "MLP,ERF", "RESNET,RELU", "RESNET,ERF", "CNN,RELU", "CNN,ERF"})
  void gradientsInTheScalesAreThoseOfFiniteDifferences(Network network, Activation activation) {
    NngpKernel kernel = new NngpKernel(network, activation, 2);
    Tensor x = withTwins(network);
    Tensor weights = rng.normal(ScalarType.Double, 5, 5);
    double[] at = {1.3, 0.4, 0.8};
    List<Tensor> leaves =
        Arrays.stream(at).mapToObj(v -> Tensors.scalar(v).requires_grad_(true)).toList();
    Tensor loss =
        kernel
            .gram(x, new NngpKernel.Scales(leaves.get(0), leaves.get(1), leaves.get(2)))
            .mul(weights)
            .sum();
    List<Tensor> gradients = Gradients.of(loss, leaves, false);
    for (int i = 0; i < at.length; i++) {
      double[] up = at.clone();
      double[] down = at.clone();
      up[i] += 1e-5;
      down[i] -= 1e-5;
      double slope = (sum(kernel, x, weights, up) - sum(kernel, x, weights, down)) / 2e-5;
      assertThat(gradients.get(i).item_double())
          .isCloseTo(slope, within(1e-6 * (1 + Math.abs(slope))));
    }
  }

  private static double sum(NngpKernel kernel, Tensor x, Tensor weights, double[] at) {
    return kernel
        .gram(x, NngpKernel.Scales.of(at[0], at[1], at[2]))
        .mul(weights)
        .sum()
        .item_double();
  }

  @ParameterizedTest
  @CsvSource({"MLP,RELU", "RESNET,ERF", "CNN,RELU"})
  void gradientsInTheInputsAreThoseOfFiniteDifferences(Network network, Activation activation) {
    NngpKernel kernel = new NngpKernel(network, activation, 2);
    NngpKernel.Scales scales = NngpKernel.Scales.of(1.2, 0.3, 1);
    Tensor x = inputs(network, 3).requires_grad_(true);
    Tensor y = inputs(network, 2);
    Tensor gradient = Gradients.of(kernel.between(x, y, scales).sum(), x);
    Tensor direction = torch.randn_like(x.detach());
    Tensor h = direction.mul(new Scalar(1e-5));
    double up = kernel.between(x.detach().add(h), y, scales).sum().item_double();
    double down = kernel.between(x.detach().sub(h), y, scales).sum().item_double();
    assertThat(gradient.mul(direction).sum().item_double())
        .isCloseTo((up - down) / 2e-5, within(1e-6));
  }

  @ParameterizedTest
  @CsvSource({"MLP,RELU", "RESNET,ERF", "CNN,ERF"})
  void theOrderOfRowsAndFeaturesDoesNotMatter(Network network, Activation activation) {
    NngpKernel kernel = new NngpKernel(network, activation, 3);
    NngpKernel.Scales scales = NngpKernel.Scales.of(1.4, 0.2, 1);
    Tensor x = inputs(network, 6);
    Tensor k = kernel.gram(x, scales);
    Tensor order = rng.permutation(6);
    Tensor shuffled = kernel.gram(x.index_select(0, order), scales);
    assertThat(distance(shuffled, k.index_select(0, order).index_select(1, order)))
        .isLessThan(1e-12);
    Tensor features = rng.permutation(x.size(1));
    assertThat(distance(kernel.gram(x.index_select(1, features), scales), k)).isLessThan(1e-12);
    assertThat(distance(k, k.t())).isZero();
    assertThat(torch.linalg_eigvalsh(k).min().item_double()).isGreaterThan(-1e-12);
  }

  @Test
  void blocksGiveTheWholeMatrixAndItsProducts() {
    NngpKernel kernel = new NngpKernel(Network.RESNET, Activation.RELU, 2);
    NngpKernel.Scales scales = NngpKernel.Scales.of(1.1, 0.3, 0.9);
    // More rows than one block of the matrix has.
    Tensor x = rng.normal(ScalarType.Double, 1200, 3);
    Tensor whole = kernel.gram(x, scales);
    whole.diagonal().add_(new Scalar(0.25));
    assertThat(distance(KernelBlocks.lower(kernel, x, scales, 0.25), whole.tril()))
        .isLessThan(1e-12);
    assertThat(distance(KernelBlocks.between(kernel, x, x, scales).tril(-1), whole.tril(-1)))
        .isLessThan(1e-12);
    Tensor v = rng.normal(ScalarType.Double, 1200, 2);
    assertThat(distance(KernelBlocks.product(kernel, x, scales, 0.25, v), whole.mm(v)))
        .isLessThan(1e-8);
  }

  @Test
  void emptyRowsWithoutBiasHaveNoCovarianceAndNoGradientThatIsNotANumber() {
    NngpKernel kernel = new NngpKernel(Network.MLP, Activation.RELU, 2);
    Tensor x =
        torch.cat(
            new TensorVector(torch.zeros_like(inputs(Network.MLP, 1)), inputs(Network.MLP, 2)), 0);
    Tensor weight = Tensors.scalar(1.4).requires_grad_(true);
    NngpKernel.Scales scales = new NngpKernel.Scales(weight, Tensors.scalar(0), Tensors.scalar(1));
    Tensor k = kernel.gram(x, scales);
    assertThat(Tensors.doubles(k.select(0, 0))).containsExactly(0, 0, 0);
    assertThat(Gradients.of(k.sum(), weight).item_double()).isFinite().isPositive();
  }

  @ParameterizedTest
  @CsvSource({"MLP,ERF", "RESNET,RELU", "CNN,RELU"})
  void wideNetworksWithADrawnScaleFollowTheStudentT(Network network, Activation activation) {
    NngpKernel kernel = new NngpKernel(network, activation, 1);
    HyperParameters at = new HyperParameters(1.3, 0.2, 1, 0.1, 1.5, 2, 1, 1);
    Tensor x = inputs(network, 2);
    int draws = 1000;
    Tensor scales = FiniteNetworks.inverseGamma(at.alpha(), at.beta(), draws, 5);
    int width = network == Network.CNN ? 24 : 100;
    Tensor f = FiniteNetworks.outputs(kernel, at, x, width, scales, rng);
    Tensor k = kernel.gram(x, at.scales()).mul(new Scalar(at.beta() / at.alpha()));
    // A contrast of both outputs is as much of the process as each output is.
    Tensor contrast = Tensors.of(new double[] {1, -0.5}, 2);
    double variance = contrast.dot(k.mv(contrast)).item_double();
    double[] z = Tensors.doubles(f.mv(contrast).div(new Scalar(Math.sqrt(variance))));
    Arrays.sort(z);
    TDistribution t = TDistribution.of(2 * at.alpha());
    // One in a hundred samples of the true law is further from it.
    double bound = 1.63 / Math.sqrt(draws);
    assertThat(largestGap(z, t::cumulativeProbability)).isLessThan(bound);
    NormalDistribution normal = NormalDistribution.of(0, Math.sqrt(3));
    assertThat(largestGap(z, normal::cumulativeProbability)).isGreaterThan(bound);
  }

  private static double largestGap(double[] sorted, java.util.function.DoubleUnaryOperator law) {
    double most = 0;
    for (int i = 0; i < sorted.length; i++) {
      double p = law.applyAsDouble(sorted[i]);
      most = Math.max(most, Math.abs(p - (i + 0.5) / sorted.length));
    }
    return most;
  }

  @Test
  void inputsOfAnotherKindAreRefused() {
    NngpKernel cnn = new NngpKernel(Network.CNN, Activation.RELU, 1);
    NngpKernel.Scales scales = NngpKernel.Scales.of(1, 1, 1);
    assertThatThrownBy(() -> cnn.diagonal(inputs(Network.MLP, 2), scales))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("use MLP or RESNET");
    assertThatThrownBy(() -> new NngpKernel(Network.MLP, Activation.RELU, 0))
        .hasMessageContaining("hiddenLayers = 0");
  }

  private static double distance(Tensor a, Tensor b) {
    return a.sub(b).abs().max().item_double();
  }
}
