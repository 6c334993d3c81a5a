package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Capabilities.HasBatchStatistics;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.torch.Scopes;

/**
 * The model in CEMA's cloud that teaches. A network of layers is copied and adapts with {@link
 * TestTimeBatchRenorm}; any other that has scales and shifts to train is copied and adapts with the
 * statistics of each batch; one that has none is borrowed and stays as it is.
 */
final class CemaTeacher implements Stateful, AutoCloseable {
  private static final String TYPE = "edge/cema-teacher";

  private final Model model;
  private final @Nullable RenormalisedCopy renormalised;
  private final @Nullable HasBatchStatistics batchwise;
  private final Map<String, Tensor> trained = new LinkedHashMap<>();
  private final @Nullable Sgd optimiser;

  CemaTeacher(Model source, Sgd.Settings rule) {
    boolean norms = !RenormalisedCopy.affineNames(source).isEmpty();
    if (norms && source instanceof NeuralModel) {
      renormalised = new RenormalisedCopy(source);
      batchwise = null;
      model = renormalised.model();
      trained.putAll(renormalised.affine());
    } else if (norms
        && source instanceof Capabilities.Copyable copyable
        && source instanceof HasBatchStatistics) {
      renormalised = null;
      model = copyable.deepCopy();
      batchwise = model.as(HasBatchStatistics.class).orElseThrow();
      trainable(model);
    } else {
      renormalised = null;
      batchwise = null;
      model = source;
    }
    optimiser = trained.isEmpty() ? null : new Sgd(trained, rule);
  }

  private void trainable(Model copy) {
    Map<String, Tensor> all =
        copy.as(Capabilities.Differentiable.class)
            .map(Capabilities.Differentiable::parameters)
            .orElse(Map.of());
    all.values().forEach(parameter -> parameter.requires_grad_(false));
    for (String name : RenormalisedCopy.affineNames(copy)) {
      Tensor parameter = all.get(name);
      if (parameter != null) {
        trained.put(name, parameter.requires_grad_(true));
      }
    }
  }

  /** Its optimiser; null if it does not adapt. */
  @Nullable Sgd optimiser() {
    return optimiser;
  }

  /** A pass that records gradients, after which its statistics move. */
  Tensor adapting(Tensor rows) {
    return renormalised != null
        ? renormalised.logits(rows, true)
        : Objects.requireNonNull(batchwise).forwardOnBatchStatistics(rows).logits();
  }

  /** What it says of rows, without gradient. */
  Tensor labels(Tensor rows) {
    HasBatchStatistics network = batchwise;
    return network == null
        ? model.predict(rows).logits()
        : Scopes.noGrad(() -> network.forwardOnBatchStatistics(rows).logits());
  }

  @Override
  public State state() {
    NestedState state = new NestedState();
    if (optimiser != null) {
      state.part("optimiser", optimiser);
    }
    if (renormalised != null) {
      state.part("normalisation", renormalised);
    } else {
      trained.forEach((name, tensor) -> state.tensor("trained/" + name, tensor));
    }
    return state.of(TYPE);
  }

  @Override
  public void restore(State state) {
    NestedState.allOrNothing(state(), state.expect(TYPE, 1), this::apply);
  }

  private void apply(State state) {
    if (optimiser != null) {
      NestedState.restore(state, "optimiser", optimiser);
    }
    if (renormalised != null) {
      NestedState.restore(state, "normalisation", renormalised);
      return;
    }
    trained.forEach(
        (name, own) -> {
          Tensor saved = state.tensor("trained/" + name);
          if (saved.numel() != own.numel() || saved.dim() != own.dim()) {
            throw new OutriggerException(
                "The saved '"
                    + name
                    + "' has another shape than the teacher's: resume with the same teacher.");
          }
          Scopes.run(() -> own.detach().copy_(saved));
        });
  }

  @Override
  public void close() {
    if (optimiser != null) {
      optimiser.close();
    }
    if (renormalised != null) {
      renormalised.close();
    } else if (batchwise != null) {
      model.close();
    }
  }
}
