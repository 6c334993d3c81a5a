package org.outrigger.claims.setup;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/** Plain stacks of 3x3 convolution, batch norm and ReLU, for images of 14 x 14 pixels or others. */
public final class SmallConvNet {
  /**
   * One block.
   *
   * @param width output channels
   * @param stride 1, or 2 to halve the size
   */
  public record Block(int width, int stride) {}

  private SmallConvNet() {}

  /**
   * A classifier: blocks, pooling, and a linear head over the flattened result.
   *
   * @param blocks at least one
   * @param pool the last layer before the head
   * @param features how many values {@code pool} leaves of a row
   * @param seed of the weights
   */
  public static NeuralModel create(
      List<Block> blocks, Layer pool, int features, int classes, long seed) {
    return create(blocks, pool, features, classes, SmallImages.shape(), seed);
  }

  /**
   * As {@link #create(List, Layer, int, int, long)}, for images of another size.
   *
   * @param shape [C, H, W]
   */
  public static NeuralModel create(
      List<Block> blocks, Layer pool, int features, int classes, long[] shape, long seed) {
    try (Rng rng = Rng.named(seed, "weights")) {
      Map<String, Layer> layers = new LinkedHashMap<>();
      int in = (int) shape[0];
      for (int i = 0; i < blocks.size(); i++) {
        Block block = blocks.get(i);
        // The shift of the batch norm takes the place of the bias.
        Conv2d.Options options =
            Conv2d.Options.of(in, block.width(), 3).stride(block.stride()).padding(1).bias(false);
        layers.put("conv" + (i + 1), new Conv2d(options, rng));
        layers.put("bn" + (i + 1), new BatchNorm2d(block.width()));
        layers.put("relu" + (i + 1), Activation.relu());
        in = block.width();
      }
      layers.put("pool", pool);
      layers.put("flatten", new Flatten());
      layers.put("fc", new Linear(features, classes, rng));
      return NeuralModel.of("small-conv-net", new Sequential(layers), "fc", shape, List.of());
    }
  }
}
