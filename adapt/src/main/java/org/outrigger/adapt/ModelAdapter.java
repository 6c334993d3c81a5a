package org.outrigger.adapt;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;

/**
 * An adapter that runs a network of its own: a copy of the model, with batch statistics or with the
 * normalisation layers of another method that it was put over. All buffers of the copy, and the
 * parameters that a method trains, belong to its state.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class ModelAdapter<S extends Record> extends BaseAdapter<S> {
  private @Nullable Model original;
  private @Nullable Model copy;
  private @Nullable NormalisationAdapter<?> normalisation;
  private @Nullable UnaryOperator<Output> correction;

  protected ModelAdapter(S settings) {
    super(settings);
  }

  /** Takes up the copy, in a scope: chooses what is trained and replaces layers. */
  protected void prepare(Model copy) {}

  /** Whether {@link #forward} normalises with the batch's statistics if it is over nothing. */
  protected boolean onBatchStatistics() {
    return true;
  }

  /**
   * A forward pass of the copy, which records gradients where they are switched on. Tensors belong
   * to the enclosing scope.
   */
  protected Output forward(Tensor inputs) {
    return forward(model(), inputs);
  }

  /** As {@link #forward(Tensor)}, of a copy of the copy, such as a student. */
  protected final Output forward(Model network, Tensor inputs) {
    return corrected(run(network, inputs));
  }

  /** The output of a forward pass as a correction over this adapter, if there is one, wants it. */
  protected final Output corrected(Output output) {
    return correction == null ? output : correction.apply(output);
  }

  private Output run(Model network, Tensor inputs) {
    if (normalisation == null && onBatchStatistics()) {
      return as(network, Capabilities.HasBatchStatistics.class).forwardOnBatchStatistics(inputs);
    }
    return as(network, Capabilities.Differentiable.class).forward(inputs);
  }

  /**
   * Runs {@code work}, whose forward passes are not to count for normalisation layers that learn
   * from every batch: their buffers are put back afterwards.
   */
  protected final void undisturbed(Runnable work) {
    if (normalisation == null) {
      work.run();
      return;
    }
    Map<String, Tensor> buffers = as(model(), Capabilities.Differentiable.class).buffers();
    Map<String, Tensor> before = new LinkedHashMap<>();
    buffers.forEach((name, buffer) -> before.put(name, buffer.detach().clone()));
    try {
      work.run();
    } finally {
      try (AutoGradMode off = new AutoGradMode(false)) {
        before.forEach((name, value) -> Objects.requireNonNull(buffers.get(name)).copy_(value));
      }
    }
  }

  /** Lets {@code change} recompute the logits of every forward pass, gradients included. */
  final void correct(UnaryOperator<Output> change) {
    correction = change;
  }

  /** The capability, or an error that names this method. */
  protected final <T> T as(Model model, Class<T> capability) {
    return model
        .as(capability)
        .orElseThrow(
            () ->
                new OutriggerException(
                    who()
                        + " needs a model that can be differentiated and copied, but "
                        + model.name()
                        + " can not: load it as TorchScript or as a network of the zoo."));
  }

  /** The copy as a network whose layers can be replaced. */
  protected final NeuralModel network() {
    return network(model());
  }

  private NeuralModel network(Model model) {
    if (!(model instanceof NeuralModel network)) {
      throw new OutriggerException(
          stack()
              + " replaces normalisation layers, which "
              + model.name()
              + " does not allow: use a network of layers, such as one of the zoo.");
    }
    return network;
  }

  /** The layers of the method that this one is over, or null. */
  protected final @Nullable NormalisationAdapter<?> normalisation() {
    return normalisation;
  }

  @Override
  protected final void configure(
      Model model, @Nullable IndexedDataset source, @Nullable State saved) {
    original = model;
    Model made = configured(model);
    copy = made;
    prepare(made);
  }

  /** A copy in evaluation mode with all parameters frozen and with the layers of this stack. */
  final Model configured(Model model) {
    Model made = as(model, Capabilities.Copyable.class).deepCopy();
    try {
      Capabilities.Differentiable network = as(made, Capabilities.Differentiable.class);
      network.train(false);
      network.parameters().values().forEach(p -> p.requires_grad_(false));
      if (normalisation != null) {
        normalisation.install(network(made));
      }
      return made;
    } catch (RuntimeException e) {
      made.close();
      throw e;
    }
  }

  /** The model it was started on, borrowed; only while it is started and learns from the source. */
  protected final Model original() {
    return Objects.requireNonNull(original);
  }

  @Override
  protected Map<String, Tensor> moving() {
    Map<String, Tensor> moving = new LinkedHashMap<>();
    Capabilities.Differentiable network = as(model(), Capabilities.Differentiable.class);
    Map<String, Tensor> parameters = network.parameters();
    trained().forEach(name -> moving.put(name, Objects.requireNonNull(parameters.get(name))));
    moving.putAll(network.buffers());
    return moving;
  }

  @Override
  public final Model model() {
    if (copy == null) {
      throw new OutriggerException(
          stack() + " has not been started: call start with a model first.");
    }
    return copy;
  }

  @Override
  public Adapter over(Adapter inner) {
    if (!(inner instanceof NormalisationAdapter<?> layers) || inner == this) {
      return super.over(inner);
    }
    normalisation = layers;
    return this;
  }

  @Override
  public final String stack() {
    return normalisation == null
        ? card().slug()
        : card().slug() + "/" + normalisation.card().slug();
  }

  @Override
  public Set<Need> needs() {
    if (normalisation == null) {
      return super.needs();
    }
    Set<Need> both = new HashSet<>(super.needs());
    both.addAll(normalisation.needs());
    return both;
  }

  @Override
  public int minimumBatch() {
    return copy != null && normalisation == null && onBatchStatistics() && batchNormalised(copy)
        ? 2
        : 1;
  }

  /** Whether there is a batch normalisation in the model. */
  static boolean batchNormalised(Model model) {
    return model.as(Capabilities.HasNormLayers.class).stream()
        .flatMap(layers -> layers.normLayers().stream())
        .anyMatch(layer -> layer.kind().startsWith("BatchNorm"));
  }

  @Override
  protected void release() {
    Model old = copy;
    copy = null;
    original = null;
    if (old != null) {
      old.close();
    }
  }

  @Override
  public void close() {
    super.close();
    if (normalisation != null) {
      normalisation.close();
    }
  }
}
