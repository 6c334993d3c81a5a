package org.outrigger.adapt.ear;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Small domains: three blobs in eight dimensions, each domain with centres of its own. */
final class Domains {
  static final int WIDTH = 8;

  private Domains() {}

  /** Rows of classes 0, 1 and 2 in turn. */
  static TensorDataset blobs(int domain, int rows, long seed) {
    return blobs(domain, rows, seed, 0, 1, 2);
  }

  /** Rows of these classes in turn. */
  static TensorDataset blobs(int domain, int rows, long seed, int... classes) {
    return Scopes.scoped(
        () -> {
          try (Rng places = Rng.named(domain, "centres");
              Rng rng = Rng.named(seed, "rows " + domain)) {
            Tensor centres = places.normal(6, WIDTH).mul(new Scalar(3));
            int[] labels = IntStream.range(0, rows).map(i -> classes[i % classes.length]).toArray();
            Tensor inputs =
                centres
                    .index_select(0, Tensors.labels(labels))
                    .add(rng.normal(rows, WIDTH), new Scalar(0.5));
            return TensorDataset.builder(inputs)
                .labels(Tensors.labels(labels))
                .name("blobs " + domain)
                .build();
          }
        });
  }

  static NeuralModel encoder() {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(24, 16)), new long[] {WIDTH}, 3, 7);
  }

  /** Small and quick, with changes. */
  static Ear.Settings settings(Object... changes) {
    Map<String, Object> map =
        new LinkedHashMap<>(
            Map.of("hyperDimension", 256, "candidates", 4, "initialisations", 1, "steps", 60));
    map.put("proxyRows", 12);
    map.put("window", 16);
    map.put("learningRate", 0.02);
    for (int i = 0; i < changes.length; i += 2) {
      map.put((String) changes[i], changes[i + 1]);
    }
    try (Ear ear = Methods.create(Ear.class, "ear", map)) {
      return ear.settings();
    }
  }

  /** All rows of several data sets. */
  static Tensor inputs(TensorDataset... parts) {
    TensorVector all = new TensorVector();
    for (TensorDataset part : parts) {
      all.push_back(part.inputs());
    }
    return torch.cat(all, 0);
  }
}
