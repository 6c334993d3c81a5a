package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/** Fully connected layers fc1, act1, fc2, act2, ... and head. */
final class Mlp {
  private Mlp() {}

  static Layer build(Settings settings, long[] inputShape, int classes, long seed, Rng rng) {
    Activation.Kind kind = Activation.Kind.of(settings.text("activation"));
    double dropout = settings.number("dropout");
    HyperParameter.require(dropout >= 0 && dropout < 1, "dropout", dropout, "0 to below 1");
    Map<String, Layer> layers = new LinkedHashMap<>();
    long in = 1;
    for (long size : inputShape) {
      in = Math.multiplyExact(in, size);
    }
    layers.put("flatten", new Flatten());
    int index = 1;
    for (int width : settings.integers("hidden")) {
      HyperParameter.atLeast("hidden", width, 1);
      layers.put("fc" + index, new Linear(in, width, rng));
      layers.put("act" + index, new Activation(kind));
      if (dropout > 0) {
        layers.put("drop" + index, new Dropout(dropout, Rng.derive(seed, "dropout " + index)));
      }
      in = width;
      index++;
    }
    layers.put("head", new Linear(in, classes, rng));
    return new Sequential(layers);
  }
}
