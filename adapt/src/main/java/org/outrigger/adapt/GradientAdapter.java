package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Scopes;

/**
 * An adapter that takes gradient steps on each batch, by default on the scales and shifts of all
 * normalisation layers, and gives the logits from before the last step. A method adds its {@link
 * #loss}. A batch without a loss (no row was kept, or the loss is not a number) makes no step and
 * leaves the optimiser alone.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class GradientAdapter<S extends Record & Descent> extends ModelAdapter<S> {
  private @Nullable Optimiser optimiser;
  private @Nullable SampleFilter filter;
  private List<String> trained = List.of();

  protected GradientAdapter(S settings) {
    super(settings);
  }

  /**
   * The loss of a batch, in a scope and recording gradients.
   *
   * @param inputs [N, ...]
   * @param output of the adapted network, through which gradients flow
   * @return a scalar, or null to make no step; count rows with {@link #count}
   */
  protected abstract @Nullable Tensor loss(Tensor inputs, Output output);

  /** What follows a forward pass and its step, if one was made; in a scope, without gradients. */
  protected void after(Tensor inputs, Output output, boolean stepped) {}

  /** The names of the parameters to train. */
  protected List<String> choose(Model copy) {
    return normParameters(copy);
  }

  /** What else takes up the copy, once the trained parameters are known; in a scope. */
  protected void ready(Model copy) {}

  /** The scales and shifts of all normalisation layers. */
  static List<String> normParameters(Model model) {
    Map<String, Tensor> all =
        model
            .as(Capabilities.Differentiable.class)
            .map(Capabilities.Differentiable::parameters)
            .orElse(Map.of());
    return model
        .as(Capabilities.HasNormLayers.class)
        .map(Capabilities.HasNormLayers::normLayers)
        .orElse(List.of())
        .stream()
        .flatMap(layer -> List.of(layer.name() + ".weight", layer.name() + ".bias").stream())
        .filter(all::containsKey)
        .toList();
  }

  @Override
  protected final void prepare(Model copy) {
    List<String> names = choose(copy);
    if (names.isEmpty()) {
      throw new OutriggerException(
          who()
              + " trains scales and shifts of normalisation layers, but "
              + copy.name()
              + " has none: use lame, t3a or adanpc, which train nothing.");
    }
    trained = names;
    Map<String, Tensor> all = as(copy, Capabilities.Differentiable.class).parameters();
    Map<String, Tensor> chosen = new LinkedHashMap<>();
    for (String name : names) {
      Tensor parameter = Objects.requireNonNull(all.get(name), name);
      parameter.requires_grad_(true);
      chosen.put(name, parameter);
    }
    optimiser = settings().make(chosen);
    ready(copy);
  }

  /** The trained parameters by name; borrowed. */
  protected final Map<String, Tensor> parameters() {
    return optimiser().parameters();
  }

  /** The optimiser of the trained parameters. */
  protected final Optimiser optimiser() {
    return Objects.requireNonNull(optimiser);
  }

  /** Lets {@code filter} have a say in which rows are learned from. */
  final void filter(SampleFilter chosen) {
    filter = chosen;
  }

  /**
   * The rows that are learned from: those of {@code mask} that a filter, if there is one, keeps.
   *
   * @param mask bool [N]; null for all
   * @return bool [N]
   */
  protected final Tensor select(Tensor inputs, Tensor logits, @Nullable Tensor mask) {
    return Scopes.noGrad(
        () -> {
          Tensor own =
              mask != null ? mask : torch.ones_like(logits.select(1, 0)).to(ScalarType.Bool);
          return filter == null ? own : own.logical_and(filter.keep(inputs, logits.detach()));
        });
  }

  @Override
  protected final Output step(Tensor inputs) {
    Output output = null;
    for (int i = 0; i < settings().steps(); i++) {
      Output last = output;
      try (PointerScope scope = new PointerScope()) {
        output = kept(update(inputs));
      }
      if (last != null) {
        last.close();
      }
    }
    return Objects.requireNonNull(output);
  }

  /** One forward pass and, if the batch has a loss, one step; in a scope, without gradients. */
  protected Output update(Tensor inputs) {
    Output output = Scopes.grad(true, () -> forward(inputs));
    follow(inputs, output);
    return output;
  }

  /** What a forward pass is followed by: one step, if the batch has a loss. */
  protected void follow(Tensor inputs, Output output) {
    Tensor loss = Scopes.grad(true, () -> penalised(loss(inputs, output), output));
    boolean stepped = loss != null && descend(loss);
    after(inputs, output, stepped);
  }

  /** The loss with what a filter adds to it; null if there is none. */
  protected final @Nullable Tensor penalised(@Nullable Tensor loss, Output output) {
    Tensor penalty = loss == null || filter == null ? null : filter.penalty(output.logits());
    return loss == null || penalty == null ? loss : loss.add(penalty);
  }

  /** A step down the gradient of {@code loss}, unless that is not finite. */
  protected final boolean descend(Tensor loss) {
    if (!Double.isFinite(loss.item().toDouble())) {
      return false;
    }
    loss.backward();
    optimiser().step();
    optimiser().clearGradients();
    count(0, 0, 1);
    return true;
  }

  @Override
  public final List<String> trained() {
    return trained;
  }

  @Override
  protected Map<String, Stateful> parts() {
    return Map.of("optimiser", optimiser());
  }

  @Override
  protected void release() {
    Optimiser old = optimiser;
    optimiser = null;
    trained = List.of();
    if (old != null) {
      old.close();
    }
    super.release();
  }
}
