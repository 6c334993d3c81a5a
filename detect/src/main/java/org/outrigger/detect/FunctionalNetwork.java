package org.outrigger.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;

/**
 * A copy of a network that runs with weights from outside. In adaptation batch norm uses the
 * statistics of the batch alone and dropout is off; in prediction batch norm uses statistics that
 * are given.
 */
final class FunctionalNetwork implements AutoCloseable {
  private final NeuralModel model;
  private final Map<String, Layer> norms = new LinkedHashMap<>();

  FunctionalNetwork(NeuralModel original) {
    model = original.deepCopy();
    model.train(false);
    model
        .root()
        .layers()
        .forEach(
            (path, layer) -> {
              if (layer instanceof BatchNorm) {
                layer.train(true);
                if (layer.has("running_mean")) {
                  norms.put(path, layer);
                }
              }
            });
    if (model.root().trainable().isEmpty()) {
      model.close();
      throw new OutriggerException(
          "The model "
              + original.name()
              + " has no trainable parameter: unfreeze what is to be adapted.");
    }
  }

  NeuralModel model() {
    return model;
  }

  int classes() {
    return model.classes();
  }

  List<String> classNames() {
    return model.classNames();
  }

  /** The parameters that are not frozen; borrowed. */
  Map<String, Tensor> trainable() {
    return model.root().trainable();
  }

  /** Logits [N, C] in adaptation, with gradients to {@code weights}. */
  Tensor logits(Tensor inputs, Map<String, Tensor> weights) {
    return model.forward(inputs, weights).logits();
  }

  /** Whether there are statistics of normalisation layers to keep. */
  boolean normalises() {
    return !norms.isEmpty();
  }

  /** The present running statistics of the batch norms by state-dict name; borrowed. */
  Map<String, Tensor> statistics() {
    Map<String, Tensor> statistics = new LinkedHashMap<>();
    norms.forEach(
        (path, layer) -> {
          statistics.put(path + ".running_mean", layer.tensor("running_mean"));
          statistics.put(path + ".running_var", layer.tensor("running_var"));
        });
    return statistics;
  }

  /** The statistics that the batch norms meet on these inputs, without an average of earlier. */
  Map<String, Tensor> statistics(Tensor inputs, Map<String, Tensor> weights) {
    Map<String, Tensor> statistics = new LinkedHashMap<>();
    if (norms.isEmpty()) {
      return statistics;
    }
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      ForwardContext context = ForwardContext.AS_IS.weights(model.root(), weights);
      for (Map.Entry<String, Layer> norm : norms.entrySet()) {
        context = context.watchInput(norm.getKey(), norm.getValue());
      }
      try {
        model.root().forward(inputs, context);
        for (String path : norms.keySet()) {
          Tensor met = context.take(path);
          if (met == null) {
            throw new OutriggerException("The layer '" + path + "' does not run on its own.");
          }
          Tensor channels = met.transpose(0, 1).flatten(1, -1);
          statistics.put(path + ".running_mean", Scopes.keep(channels.mean(1)));
          statistics.put(
              path + ".running_var", Scopes.keep(channels.var(new long[] {1}, true, false)));
        }
      } finally {
        context.discard();
      }
    }
    return statistics;
  }

  /** Predicts in evaluation mode with these weights and statistics. */
  Output predict(Tensor inputs, Map<String, Tensor> weights, Map<String, Tensor> statistics) {
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      ForwardContext context =
          ForwardContext.EVALUATION
              .weights(model.root(), weights)
              .weights(model.root(), statistics);
      Output output = model.forward(inputs, context, List.of());
      Scopes.keep(output.logits());
      if (output.hasFeatures()) {
        Scopes.keep(output.features());
      }
      return output;
    }
  }

  /** A model of its own with these weights and statistics; the caller closes it. */
  NeuralModel with(Map<String, Tensor> weights, Map<String, Tensor> statistics) {
    NeuralModel copy = model.deepCopy();
    copy.train(false);
    Map<String, Tensor> all = new LinkedHashMap<>(weights);
    all.putAll(statistics);
    copy.root().loadStateDict(all, false);
    return copy;
  }

  /** Demands that weights and statistics have the names and shapes of this network's. */
  void require(Map<String, Tensor> weights, Map<String, Tensor> statistics) {
    same("weights", weights, trainable());
    same("statistics", statistics, statistics());
  }

  private void same(String what, Map<String, Tensor> given, Map<String, Tensor> own) {
    own.forEach((name, tensor) -> same(what, name, given.get(name), tensor));
    given.forEach((name, tensor) -> same(what, name, tensor, own.get(name)));
  }

  private void same(String what, String name, @Nullable Tensor given, @Nullable Tensor own) {
    if (given == null || own == null || !Arrays.equals(given.shape(), own.shape())) {
      throw new OutriggerException(
          "The "
              + what
              + " of this MOL do not fit the model "
              + model.name()
              + ": '"
              + name
              + "' is "
              + shape(given)
              + " here and "
              + shape(own)
              + " there. Attach a model of the same architecture.");
    }
  }

  private static String shape(@Nullable Tensor tensor) {
    return tensor == null ? "missing" : "of shape " + Arrays.toString(tensor.shape());
  }

  @Override
  public void close() {
    model.close();
  }
}
