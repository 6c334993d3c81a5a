package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.MaxPool2d;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/**
 * LeNet-5 with ReLU and max pooling: conv1 (6 channels), conv2 (16), fc1 (120), fc2 (84), fc3.
 * Inputs of up to 28 rows are padded by 2 in the first convolution, as the paper pads digits to
 * 32x32.
 */
final class LeNet {
  private LeNet() {}

  static Layer build(long[] inputShape, int classes, Rng rng) {
    int padding = inputShape[1] <= 28 ? 2 : 0;
    long height = after(inputShape[1], padding);
    long width = after(inputShape[2], padding);
    if (height < 1 || width < 1) {
      throw new OutriggerException(
          "Architecture lenet needs images of at least 12x12 pixels, not "
              + inputShape[1]
              + "x"
              + inputShape[2]
              + ".");
    }
    int channels = Math.toIntExact(inputShape[0]);
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("conv1", new Conv2d(Conv2d.Options.of(channels, 6, 5).padding(padding), rng));
    layers.put("relu1", Activation.relu());
    layers.put("pool1", new MaxPool2d(2));
    layers.put("conv2", new Conv2d(6, 16, 5, rng));
    layers.put("relu2", Activation.relu());
    layers.put("pool2", new MaxPool2d(2));
    layers.put("flatten", new Flatten());
    layers.put("fc1", new Linear(16 * height * width, 120, rng));
    layers.put("relu3", Activation.relu());
    layers.put("fc2", new Linear(120, 84, rng));
    layers.put("relu4", Activation.relu());
    layers.put("fc3", new Linear(84, classes, rng));
    return new Sequential(layers);
  }

  /** The size after both convolutions and poolings. */
  private static long after(long size, int padding) {
    return ((size + 2L * padding - 4) / 2 - 4) / 2;
  }
}
