package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Rng;

/**
 * The pre-activation block of WideResNets: conv2(dropout(relu2(bn2(conv1(relu1(bn1(x))))))) +
 * shortcut. Where the channels change, the shortcut is a 1x1 convolution {@code convShortcut} of
 * relu1(bn1(x)); else it is x. Zagoruyko and Komodakis, BMVC 2016.
 */
public final class WideBlock extends Layer {
  private final boolean projects;

  /**
   * @param dropout the probability of dropping a value between the convolutions; 0 for none
   * @param seed of the dropout's own generator
   */
  public WideBlock(int in, int out, int stride, double dropout, Rng rng, long seed) {
    child("bn1", new BatchNorm2d(in));
    child("relu1", Activation.relu());
    child("conv1", ResidualConvs.conv3(in, out, stride, rng));
    child("bn2", new BatchNorm2d(out));
    child("relu2", Activation.relu());
    child("dropout", dropout > 0 ? new Dropout(dropout, seed) : new Identity());
    child("conv2", ResidualConvs.conv3(out, out, 1, rng));
    projects = in != out || stride != 1;
    if (projects) {
      child("convShortcut", ResidualConvs.conv1(in, out, stride, rng));
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor active = then("relu1", then("bn1", x, x, context), x, context);
    Tensor shortcut = projects ? get("convShortcut").forward(active, context) : x;
    Tensor value = get("conv1").forward(active, context);
    if (shortcut != active) {
      release(active, x, value);
    }
    value = then("bn2", value, x, context);
    value = then("relu2", value, x, context);
    value = then("dropout", value, x, context);
    value = then("conv2", value, x, context);
    Tensor sum = value.add(shortcut);
    release(value, x, sum);
    release(shortcut, x, sum);
    return sum;
  }

  private Tensor then(String name, Tensor value, Tensor x, ForwardContext context) {
    Tensor next = get(name).forward(value, context);
    release(value, x, next);
    return next;
  }
}
