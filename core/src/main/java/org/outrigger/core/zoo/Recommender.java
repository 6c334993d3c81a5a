package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.EmbeddingTables;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/** A vector for each categorical id, side by side, then fully connected layers. */
final class Recommender {
  private Recommender() {}

  static Layer build(Settings settings, long[] inputShape, int classes, Rng rng) {
    List<Integer> rows = settings.integers("rows");
    if (inputShape.length != 1 || inputShape[0] != rows.size()) {
      throw new OutriggerException(
          "A recommender needs one number of ids for each of its "
              + (inputShape.length == 1 ? inputShape[0] : "")
              + " columns: set rows, such as rows=60x80 for 60 users and 80 items.");
    }
    int size = settings.integer("embedding");
    HyperParameter.atLeast("embedding", size, 1);
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("embeddings", new EmbeddingTables(rows, size, rng));
    long in = Math.multiplyExact((long) size, rows.size());
    int index = 1;
    for (int width : settings.integers("hidden")) {
      HyperParameter.atLeast("hidden", width, 1);
      layers.put("fc" + index, new Linear(in, width, rng));
      layers.put("act" + index, Activation.relu());
      in = width;
      index++;
    }
    layers.put("head", new Linear(in, classes, rng));
    return new Sequential(layers);
  }
}
