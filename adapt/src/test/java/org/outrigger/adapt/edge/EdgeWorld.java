package org.outrigger.adapt.edge;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.GlobalAvgPool;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Small networks with drawn weights and a stream that drifts. */
final class EdgeWorld {
  static final int CLASSES = 4;

  private EdgeWorld() {}

  /** Images [1, 6, 6] to four classes through a batch normalisation and dropout. */
  static NeuralModel model(int width, long seed) {
    try (Rng rng = new Rng(seed)) {
      Map<String, Layer> layers = new LinkedHashMap<>();
      layers.put("conv", new Conv2d(Conv2d.Options.of(1, width, 3).padding(1), rng));
      layers.put("norm", new BatchNorm2d(width));
      layers.put("relu", Activation.relu());
      layers.put("pool", new GlobalAvgPool());
      layers.put("drop", new Dropout(0.3, seed));
      layers.put("fc", new Linear(width, CLASSES, rng));
      NeuralModel model =
          NeuralModel.of(
              "edge-" + width, new Sequential(layers), "fc", new long[] {1, 6, 6}, List.of());
      Scopes.run(() -> Scopes.grad(false, () -> model.head().weight().mul_(new Scalar(4.0))));
      return model;
    }
  }

  /** Batches that belong to the enclosing scope. */
  static List<Tensor> stream(int batches, int rows) {
    List<Tensor> stream = new ArrayList<>();
    try (Rng rng = new Rng(17)) {
      for (int i = 0; i < batches; i++) {
        stream.add(rng.normal(rows, 1, 6, 6).add(new Scalar(0.1 * i)));
      }
    }
    return stream;
  }
}
