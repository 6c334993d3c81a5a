package org.outrigger.calibrate.nngp;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Networks of finite width whose last layer has a drawn scale, {@code w ~ N(0, s s_last^2 / width)}
 * with one s a network. The wider they are, the closer their outputs over many draws come to the
 * scale mixture of {@link NngpKernel}'s process.
 */
public final class FiniteNetworks {
  private FiniteNetworks() {}

  /**
   * The outputs of networks with weights of their own.
   *
   * @param at deviations of weights and biases
   * @param x [N, D], or images [N, C, H, W] for a CNN
   * @param width of each hidden layer, 1 or more
   * @param scales s of each network, [R]
   * @return float64 [R, N]
   */
  public static Tensor outputs(
      NngpKernel kernel, HyperParameters at, Tensor x, int width, Tensor scales, Rng rng) {
    HyperParameter.atLeast("width", width, 1);
    return Scopes.noGrad(
        () -> {
          Tensor inputs = x.to(ScalarType.Double);
          List<Tensor> rows = new ArrayList<>();
          for (double s : Tensors.doubles(scales)) {
            try (PointerScope scope = new PointerScope()) {
              rows.add(Scopes.keep(output(kernel, at, inputs, width, Math.sqrt(s), rng)));
            }
          }
          return torch.stack(new TensorVector(rows.toArray(new Tensor[0])), 0);
        });
  }

  /** Scales from the inverse gamma distribution of shape a and scale b, [count]. */
  public static Tensor inverseGamma(double a, double b, int count, long seed) {
    return Scopes.tensor(
        () ->
            new ChiSquared(seed, "inverse gamma")
                .draw(a, count, 1)
                .squeeze(1)
                .reciprocal()
                .mul(new Scalar(2 * b)));
  }

  private static Tensor output(
      NngpKernel kernel, HyperParameters at, Tensor x, int width, double root, Rng rng) {
    Tensor h = x;
    if (kernel.network() == Network.RESNET) {
      h = layer(kernel, at, h, width, rng);
      for (int i = 0; i < kernel.hiddenLayers(); i++) {
        h = h.add(layer(kernel, at, activated(kernel, h), width, rng));
      }
      h = activated(kernel, h);
    } else {
      for (int i = 0; i < kernel.hiddenLayers(); i++) {
        h = activated(kernel, layer(kernel, at, h, width, rng));
      }
    }
    Tensor flat = h.flatten(1, -1);
    double deviation = at.lastWStd() * root / Math.sqrt((double) flat.size(1));
    return flat.mv(rng.normal(ScalarType.Double, flat.size(1))).mul(new Scalar(deviation));
  }

  private static Tensor layer(NngpKernel kernel, HyperParameters at, Tensor h, int width, Rng rng) {
    Tensor bias = rng.normal(ScalarType.Double, width).mul(new Scalar(at.bStd()));
    long in = h.size(1);
    if (kernel.network() != Network.CNN) {
      Tensor weight = rng.normal(ScalarType.Double, in, width);
      return h.mm(weight.mul(new Scalar(at.wStd() / Math.sqrt((double) in)))).add(bias);
    }
    long[] one = {1, 1};
    Tensor weight =
        rng.normal(ScalarType.Double, width, in, 3, 3)
            .mul(new Scalar(at.wStd() / Math.sqrt(9.0 * in)));
    return torch.conv2d(h, weight, new TensorOptional(bias), one, one, one, 1);
  }

  private static Tensor activated(NngpKernel kernel, Tensor h) {
    return kernel.activation() == Activation.RELU ? h.relu() : h.erf();
  }
}
