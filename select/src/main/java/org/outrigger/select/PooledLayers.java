package org.outrigger.select;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * A model whose inner outputs are pooled to one row of numbers each, so that every layer can be
 * scored like a model: pictures [N, C, H, W] and all with more dimensions to the mean of each
 * channel, sequences [N, T, D] to the mean over T. It borrows the model, and closing it does
 * nothing.
 */
public final class PooledLayers implements Model {
  private final Model model;

  public PooledLayers(Model model) {
    this.model = model;
  }

  /** [N, ...] to [N, D]. */
  static Tensor pool(Tensor map) {
    return Scopes.tensor(
        () ->
            switch ((int) map.dim()) {
              case 0 ->
                  throw new OutriggerException("The output of this layer has no row an input.");
              case 1 -> map.unsqueeze(1);
              case 2 -> map;
              case 3 -> map.mean(new long[] {1}, false, null);
              default -> map.flatten(2, -1).mean(new long[] {2}, false, null);
            });
  }

  /**
   * The inner layers that give numbers for these inputs, in the model's order.
   *
   * @param inputs a few, [N, ...]
   */
  public List<String> usable(Tensor inputs) {
    return model.featurePoints().stream().filter(layer -> works(layer, inputs)).toList();
  }

  private boolean works(String layer, Tensor inputs) {
    return Scopes.scoped(
        () -> {
          try {
            Tensor map = predict(inputs, List.of(layer)).maps().get(layer);
            return map != null
                && map.dim() == 2
                && map.size(0) == inputs.size(0)
                && map.is_floating_point();
          } catch (OutriggerException e) {
            return false;
          }
        });
  }

  @Override
  public String name() {
    return model.name();
  }

  @Override
  public int classes() {
    return model.classes();
  }

  @Override
  public Output predict(Tensor inputs, List<String> maps) {
    Output output = model.predict(inputs, maps);
    Map<String, Tensor> pooled = new LinkedHashMap<>();
    output.maps().forEach((layer, map) -> pooled.put(layer, pool(map)));
    return new Output(output.logits(), output.hasFeatures() ? output.features() : null, pooled);
  }

  @Override
  public List<String> featurePoints() {
    return model.featurePoints();
  }

  @Override
  public Set<Need> offers() {
    return model.offers();
  }

  /** Nothing: the model belongs to the caller. */
  @Override
  public void close() {}
}
