package org.outrigger.core.torch;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** Derivatives of scalars, of first and higher order, without touching {@code grad} fields. */
public final class Gradients {
  private Gradients() {}

  /**
   * The gradient of {@code loss} with respect to each input, as new tensors in the caller's scope.
   *
   * @param loss a scalar that was computed from {@code inputs} with recording on
   * @param inputs leaves or intermediate values
   * @param createGraph whether the result can be differentiated again (second order)
   * @return one gradient an input, of its shape; zeros where the loss does not depend on it
   */
  public static List<Tensor> of(Tensor loss, List<Tensor> inputs, boolean createGraph) {
    return Torch.call(
        "The gradient could not be computed: the loss must be a scalar that was computed from the"
            + " inputs with gradient recording on.",
        () -> {
          List<Tensor> result = new ArrayList<>(inputs.size());
          try (PointerScope scope = new PointerScope()) {
            TensorVector vector =
                torch.grad(
                    new TensorVector(loss),
                    new TensorVector(inputs.toArray(new Tensor[0])),
                    new TensorVector(),
                    new BoolOptional(createGraph),
                    createGraph,
                    true);
            for (int i = 0; i < inputs.size(); i++) {
              Tensor g = vector.get(i);
              result.add(
                  Scopes.keep(g.defined() ? new Tensor(g) : torch.zeros_like(inputs.get(i))));
            }
          }
          return result;
        });
  }

  /** The first-order gradient with respect to one input. */
  public static Tensor of(Tensor loss, Tensor input) {
    return of(loss, List.of(input), false).get(0);
  }
}
