package org.outrigger.stream.memory;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/** A served model that gives the probability of a positive label, and a key for the memory. */
@FunctionalInterface
public interface Scorer {
  /**
   * Predicts rows.
   *
   * @param inputs as the model takes them
   * @return in the enclosing scope
   */
  Scored score(Tensor inputs);

  /**
   * What a model says.
   *
   * @param keys [N, D], an inner representation
   * @param base [N], in [0, 1]
   */
  record Scored(Tensor keys, Tensor base) {}

  /**
   * A classifier whose last features are the keys.
   *
   * @param positive the class whose probability counts
   */
  static Scorer of(Model model, int positive) {
    return of(model, positive, "");
  }

  /**
   * A classifier whose inner output is the key.
   *
   * @param layer the name of an inner layer with one row an input; blank: the last features
   */
  static Scorer of(Model model, int positive, String layer) {
    if (positive < 0 || positive >= model.classes()) {
      throw new OutriggerException(
          "The positive class "
              + positive
              + " is none of the model's: 0 to "
              + (model.classes() - 1)
              + ".");
    }
    return inputs ->
        Scopes.scoped(
            () -> {
              Output output =
                  layer.isBlank()
                      ? model.predict(inputs)
                      : model.predict(inputs, java.util.List.of(layer));
              Tensor keys =
                  layer.isBlank()
                      ? output.features()
                      : java.util.Objects.requireNonNull(output.maps().get(layer));
              Tensor p = torch.softmax(output.logits().to(ScalarType.Double), 1);
              return new Scored(
                  Scopes.keep(keys.to(ScalarType.Double)),
                  Scopes.keep(p.select(1, positive).clamp(scalar(0), scalar(1))));
            });
  }

  private static org.bytedeco.pytorch.ScalarOptional scalar(double value) {
    return new org.bytedeco.pytorch.ScalarOptional(new org.bytedeco.pytorch.Scalar(value));
  }
}
