package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BasicBlock;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.GlobalAvgPool;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.ResidualConvs;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/**
 * The residual network for small images, with a 3x3 stem and no first pooling. Names are
 * torchvision's: conv1, bn1, layer1.0.conv1, ..., layer2.0.downsample.0 (1x1 convolution), .1
 * (batch norm), fc. Shortcuts that change shape have the 1x1 convolution (the paper's option B).
 */
final class ResNet {
  private ResNet() {}

  static Layer build(int channels, List<Integer> blocks, int width, int classes, Rng rng) {
    HyperParameter.atLeast("width", width, 1);
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("conv1", ResidualConvs.conv3(channels, width, 1, rng));
    layers.put("bn1", new BatchNorm2d(width));
    layers.put("relu", Activation.relu());
    int in = width;
    int out = width;
    for (int stage = 0; stage < blocks.size(); stage++) {
      Layer[] stack = new Layer[blocks.get(stage)];
      for (int i = 0; i < stack.length; i++) {
        stack[i] = new BasicBlock(in, out, stage > 0 && i == 0 ? 2 : 1, rng);
        in = out;
      }
      layers.put("layer" + (stage + 1), new Sequential(stack));
      out *= 2;
    }
    layers.put("avgpool", new GlobalAvgPool());
    layers.put("fc", new Linear(in, classes, rng));
    return new Sequential(layers);
  }
}
