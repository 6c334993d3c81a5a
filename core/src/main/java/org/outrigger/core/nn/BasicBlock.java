package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Rng;

/**
 * The two-convolution residual block of ResNets: relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut).
 * Where the shape changes the shortcut is {@code downsample.0} (1x1 convolution) and {@code
 * downsample.1} (batch norm). He et al., CVPR 2016.
 */
public final class BasicBlock extends Layer {
  private final boolean downsamples;

  public BasicBlock(int in, int out, int stride, Rng rng) {
    child("conv1", ResidualConvs.conv3(in, out, stride, rng));
    child("bn1", new BatchNorm2d(out));
    child("relu", Activation.relu());
    child("conv2", ResidualConvs.conv3(out, out, 1, rng));
    child("bn2", new BatchNorm2d(out));
    downsamples = stride != 1 || in != out;
    if (downsamples) {
      child(
          "downsample",
          new Sequential(ResidualConvs.conv1(in, out, stride, rng), new BatchNorm2d(out)));
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor value = then("conv1", x, x, context);
    value = then("bn1", value, x, context);
    value = then("relu", value, x, context);
    value = then("conv2", value, x, context);
    value = then("bn2", value, x, context);
    Tensor shortcut = downsamples ? get("downsample").forward(x, context) : x;
    Tensor sum = value.add(shortcut);
    release(value, x, sum);
    release(shortcut, x, sum);
    return then("relu", sum, x, context);
  }

  private Tensor then(String name, Tensor value, Tensor x, ForwardContext context) {
    Tensor next = get(name).forward(value, context);
    release(value, x, next);
    return next;
  }
}
