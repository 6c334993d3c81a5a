package org.outrigger.guard;

import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

/** Three blobs in the plane, a small model that knows them, and points far away from them. */
final class Blobs {
  private static final double[][] CENTRES = {{0, 3}, {3, -2}, {-3, -2}};

  private Blobs() {}

  static TensorDataset known(int n, long seed) {
    long[] labels = new long[n];
    double[] flat = new double[2 * n];
    for (int i = 0; i < n; i++) {
      labels[i] = i % 3;
      flat[2 * i] = CENTRES[i % 3][0];
      flat[2 * i + 1] = CENTRES[i % 3][1];
    }
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor inputs = Tensors.of(flat, n, 2).to(torch.ScalarType.Float).add(rng.normal(n, 2));
      return TensorDataset.builder(inputs)
          .labels(Tensors.of(labels, n))
          .name("blobs")
          .classNames(List.of("north", "east", "west"))
          .build();
    }
  }

  static TensorDataset oneClass(int n) {
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      return TensorDataset.of(rng.normal(n, 2), Tensors.of(new long[n], n));
    }
  }

  static TensorDataset far(int n) {
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(77)) {
      Tensor inputs = rng.normal(n, 2).add(Tensors.of(new float[] {9, 9}, 2));
      return TensorDataset.builder(inputs).name("far").build();
    }
  }

  static NeuralModel model() {
    NeuralModel model = NeuralModel.create("mlp", Map.of(), new long[] {2}, 3, 1);
    try (TensorDataset train = known(600, 1)) {
      Trainer.of(model).settings(Trainer.Settings.defaults().withEpochs(8).withSeed(1)).fit(train);
    }
    return model;
  }
}
