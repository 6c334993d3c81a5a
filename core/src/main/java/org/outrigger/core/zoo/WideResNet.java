package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.GlobalAvgPool;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.ResidualConvs;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.nn.WideBlock;
import org.outrigger.core.torch.Rng;

/**
 * The wide residual network WRN-depth-widen. Names are those of the usual PyTorch code: conv1,
 * block1.layer.0.bn1, .conv1, .bn2, .conv2, .convShortcut, ..., bn1, fc.
 */
final class WideResNet {
  private WideResNet() {}

  static Layer build(
      int channels, int depth, int widen, double dropout, int classes, long seed, Rng rng) {
    HyperParameter.require(dropout >= 0 && dropout < 1, "dropout", dropout, "0 to below 1");
    int blocks = (depth - 4) / 6;
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("conv1", ResidualConvs.conv3(channels, 16, 1, rng));
    int in = 16;
    for (int stage = 1; stage <= 3; stage++) {
      int out = (16 << (stage - 1)) * widen;
      Layer[] stack = new Layer[blocks];
      for (int i = 0; i < blocks; i++) {
        long own = Rng.derive(seed, "dropout " + stage + "." + i);
        stack[i] = new WideBlock(in, out, stage > 1 && i == 0 ? 2 : 1, dropout, rng, own);
        in = out;
      }
      layers.put("block" + stage, new Sequential(Map.of("layer", new Sequential(stack))));
    }
    layers.put("bn1", new BatchNorm2d(in));
    layers.put("relu", Activation.relu());
    layers.put("avgpool", new GlobalAvgPool());
    layers.put("fc", new Linear(in, classes, rng));
    return new Sequential(layers);
  }
}
