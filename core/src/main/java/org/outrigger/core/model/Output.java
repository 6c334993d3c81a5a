package org.outrigger.core.model;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * What a model says about a batch. Whoever received it closes it, unless a scope owns its tensors.
 */
public final class Output implements AutoCloseable {
  private final Tensor logits;
  private final @Nullable Tensor features;
  private final Map<String, Tensor> maps;

  /**
   * @param logits [N, C]
   * @param features [N, D], the input of the last linear layer; null if the model does not give it
   * @param maps outputs of inner layers by layer name, each [N, ...]; in the order of the layers
   */
  public Output(Tensor logits, @Nullable Tensor features, Map<String, Tensor> maps) {
    this.logits = logits;
    this.features = features;
    this.maps = new LinkedHashMap<>(maps);
  }

  public Output(Tensor logits, @Nullable Tensor features) {
    this(logits, features, Map.of());
  }

  /** Class scores before softmax, [N, C]. */
  public Tensor logits() {
    return logits;
  }

  /** Penultimate features [N, D]. */
  public Tensor features() {
    if (features == null) {
      throw new OutriggerException(
          "This model gives no features. Name a feature point when you load it, or use a method that"
              + " needs logits only (energy, msp, maxlogit, entropy, gen).");
    }
    return features;
  }

  public boolean hasFeatures() {
    return features != null;
  }

  /** Outputs of the inner layers that were asked for, by name, in layer order. */
  public Map<String, Tensor> maps() {
    return maps;
  }

  /** The number of rows. */
  public long size() {
    return logits.size(0);
  }

  @Override
  public void close() {
    logits.close();
    if (features != null) {
      features.close();
    }
    maps.values().forEach(Tensor::close);
  }
}
