package org.outrigger.adapt;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;

/** Which parameters of a model a method trains. */
public enum Trainable {
  /** The scales and shifts of all normalisation layers. */
  NORM,
  /** The last linear layer alone. */
  HEAD,
  /** All but the last linear layer. */
  FEATURES,
  /** Everything. */
  ALL;

  /**
   * Their names.
   *
   * @throws OutriggerException if the model shows no last linear layer and it matters
   */
  public List<String> names(Model model) {
    Map<String, Tensor> all =
        model
            .as(Capabilities.Differentiable.class)
            .map(Capabilities.Differentiable::parameters)
            .orElse(Map.of());
    return switch (this) {
      case NORM -> GradientAdapter.normParameters(model);
      case ALL -> List.copyOf(all.keySet());
      case HEAD -> List.copyOf(head(model, all));
      case FEATURES -> {
        Set<String> head = head(model, all);
        yield all.keySet().stream().filter(name -> !head.contains(name)).toList();
      }
    };
  }

  private static Set<String> head(Model model, Map<String, Tensor> all) {
    return Scopes.scoped(
        () -> {
          Collection<Tensor> own = headTensors(model);
          return all.entrySet().stream()
              .filter(e -> own.stream().anyMatch(tensor -> shares(e.getValue(), tensor)))
              .map(e -> Objects.requireNonNull(e.getKey()))
              .collect(Collectors.toUnmodifiableSet());
        });
  }

  /** A last layer may keep its weight in another form than the linear head shows it. */
  private static Collection<Tensor> headTensors(Model model) {
    LinearHead head =
        model
            .as(Capabilities.HasLinearHead.class)
            .map(Capabilities.HasLinearHead::head)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The model "
                            + model.name()
                            + " shows no last linear layer: train NORM or ALL."));
    return model
        .as(Capabilities.HasLastLayer.class)
        .map(owner -> owner.lastLayer().parameters().values())
        .orElse(List.of(head.weight(), head.bias()));
  }

  private static boolean shares(Tensor a, Tensor b) {
    return a.is_same(b) || a.data_ptr().address() == b.data_ptr().address();
  }
}
