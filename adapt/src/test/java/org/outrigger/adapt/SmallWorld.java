package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.TensorDataset;
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
import org.outrigger.core.torch.Tensors;

/** A small network with drawn weights, a drifting stream for it, and labelled source data. */
final class SmallWorld {
  static final int CLASSES = 4;

  private SmallWorld() {}

  /** Images [1, 6, 6] to four classes, through two batch normalisations that are called n1, n2. */
  static NeuralModel model() {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(7)) {
            Map<String, Layer> layers = new LinkedHashMap<>();
            layers.put("c1", new Conv2d(Conv2d.Options.of(1, 6, 3).padding(1), rng));
            layers.put("n1", new BatchNorm2d(6));
            layers.put("r1", Activation.relu());
            layers.put("c2", new Conv2d(Conv2d.Options.of(6, 8, 3).stride(2), rng));
            layers.put("n2", new BatchNorm2d(8));
            layers.put("r2", Activation.relu());
            layers.put("pool", new GlobalAvgPool());
            layers.put("drop", new Dropout(0.2, 5));
            layers.put("fc", new Linear(8, CLASSES, rng));
            NeuralModel model =
                NeuralModel.of(
                    "small", new Sequential(layers), "fc", new long[] {1, 6, 6}, List.of());
            Scopes.grad(false, () -> model.head().weight().mul_(new Scalar(12.0)));
            // Running statistics as training would leave them.
            model.train(true);
            for (int i = 0; i < 30; i++) {
              Scopes.run(() -> Scopes.grad(false, () -> model.forward(images(rng, 32, 0))));
            }
            model.train(false);
            // Every class is to be as likely as any other.
            Scopes.run(
                () -> {
                  Tensor mean = model.predict(images(rng, 256, 0)).logits().mean(0);
                  Scopes.grad(false, () -> model.head().bias().sub_(mean));
                });
            return model;
          }
        });
  }

  private static Tensor images(Rng rng, long rows, double shift) {
    return rng.normal(rows, 1, 6, 6).add(new Scalar(shift));
  }

  /** Batches of a stream whose images grow brighter; they belong to the enclosing scope. */
  static List<Tensor> stream(int batches, int rows) {
    return stream(batches, rows, 0.4, 0.1);
  }

  /**
   * The same, with how bright the first batch is and how much brighter each is than the one before.
   */
  static List<Tensor> stream(int batches, int rows, double first, double brighter) {
    List<Tensor> stream = new ArrayList<>();
    try (Rng rng = new Rng(11)) {
      for (int i = 0; i < batches; i++) {
        stream.add(images(rng, rows, first + brighter * i));
      }
    }
    return stream;
  }

  /** 80 rows with the labels that the model itself gives them, every class among them. */
  static TensorDataset source(NeuralModel model) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(13)) {
            Tensor inputs = images(rng, 80, 0);
            Tensor labels = model.predict(inputs).logits().argmax(new LongOptional(1), false);
            labels.narrow(0, 0, CLASSES).copy_(Tensors.labels(0, 1, 2, 3));
            return TensorDataset.builder(inputs.clone())
                .labels(labels)
                .classNames(List.of("a", "b", "c", "d"))
                .name("source")
                .build();
          }
        });
  }

  /** The sum of all parameters and buffers, to see whether a model was changed. */
  static double sum(NeuralModel model) {
    return Scopes.scoped(
        () ->
            model.root().stateDict().values().stream()
                .mapToDouble(t -> t.to(torch.ScalarType.Double).sum().item_double())
                .sum());
  }
}
