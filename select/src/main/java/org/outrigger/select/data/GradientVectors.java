package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The gradient of each sample's own loss with respect to the trainable parameters of one layer:
 * what the sample would teach the layer, and so which skill it belongs to. The model runs in
 * evaluation mode and is not changed. Gradients are flattened in the order of the layer's
 * parameters.
 */
public final class GradientVectors {
  private static final long SUM_EACH = 0;
  private static final long NO_CLASS = -100;

  private GradientVectors() {}

  /**
   * The gradients of a linear layer without a backward pass for each sample: each is the outer
   * product of the error that came back to the layer's output and the layer's input, summed over
   * positions if there are any.
   *
   * @param errors gradient of the sample's loss at the layer's output, [N, O] or [N, T, O]
   * @param inputs the layer's input, [N, I] or [N, T, I]
   * @param weight whether the weight is trained
   * @param bias whether there is a bias that is trained
   * @return [N, O I + O], [N, O I] or [N, O]
   */
  public static Tensor outerProducts(Tensor errors, Tensor inputs, boolean weight, boolean bias) {
    return Scopes.tensor(
        () -> {
          Tensor e = errors.dim() == 2 ? errors.unsqueeze(1) : errors;
          Tensor x = inputs.dim() == 2 ? inputs.unsqueeze(1) : inputs;
          Shapes.check().tensor("errors", e, "N", "T", "O").tensor("inputs", x, "N", "T", "I");
          TensorVector parts = new TensorVector();
          if (weight) {
            parts.push_back(torch.bmm(e.transpose(1, 2), x).flatten(1, -1));
          }
          if (bias) {
            parts.push_back(e.sum(1));
          }
          return torch.cat(parts, 1);
        });
  }

  /**
   * The gradient of each sample, by the shortcut for a linear layer of a network of layers, by one
   * backward pass a sample otherwise.
   *
   * @param layer the path of the layer
   * @param inputs [N, ...]
   * @param labels int64 [N], 0 or more
   * @return [N, D], NaN and infinite entries as 0
   */
  public static Tensor of(Model model, String layer, Tensor inputs, Tensor labels) {
    labelled(labels);
    if (model instanceof NeuralModel network
        && network.root().get(layer) instanceof Linear linear) {
      return shortcut(network, linear, layer, inputs, labels);
    }
    return bySample(model, layer, inputs, labels);
  }

  /** As {@link #of}, always by one backward pass a sample. */
  public static Tensor bySample(Model model, String layer, Tensor inputs, Tensor labels) {
    labelled(labels);
    Capabilities.Differentiable network = differentiable(model);
    List<Tensor> weights = new ArrayList<>(trainable(network, layer).values());
    return Scopes.tensor(
        () -> {
          TensorVector rows = new TensorVector();
          for (long i = 0; i < inputs.size(0); i++) {
            long row = i;
            rows.push_back(
                Scopes.tensor(
                    () ->
                        clean(
                            gradient(
                                model,
                                network,
                                weights,
                                inputs.narrow(0, row, 1),
                                labels.narrow(0, row, 1)))));
          }
          return torch.stack(rows, 0);
        });
  }

  private static Tensor gradient(
      Model model,
      Capabilities.Differentiable network,
      List<Tensor> weights,
      Tensor input,
      Tensor label) {
    return Scopes.grad(
        true,
        () -> {
          TensorVector flat = new TensorVector();
          Tensor loss = losses(logits(model, network, input), label).sum();
          Gradients.of(loss, weights, false).forEach(g -> flat.push_back(g.flatten()));
          return torch.cat(flat, 0);
        });
  }

  private static Tensor shortcut(
      NeuralModel network, Linear linear, String layer, Tensor inputs, Tensor labels) {
    boolean weight = linear.tensor("weight").requires_grad();
    boolean bias = linear.has("bias") && linear.tensor("bias").requires_grad();
    if (!weight && !bias) {
      throw frozen(layer);
    }
    return Scopes.tensor(
        () ->
            Scopes.grad(
                true,
                () -> {
                  ForwardContext watching =
                      ForwardContext.EVALUATION
                          .watchInput("input", linear)
                          .watchOutput("output", linear);
                  try {
                    Layer root = network.root();
                    Tensor logits = root.forward(inputs, watching);
                    Tensor output = Objects.requireNonNull(watching.take("output"));
                    Tensor input = Objects.requireNonNull(watching.take("input"));
                    Tensor errors = Gradients.of(losses(logits, labels).sum(), output);
                    return clean(outerProducts(errors, input.detach(), weight, bias));
                  } finally {
                    watching.discard();
                  }
                }));
  }

  /**
   * An estimate of the projected gradient from forward passes alone: along each direction r of the
   * projection, {@code (L(w + e r) - L(w - e r)) / (2 e)}, over sqrt(p).
   *
   * @param epsilon e, above 0
   * @return [N, p]: what {@code projection.project} would give of the gradients, up to e^2
   */
  public static Tensor zeroOrder(
      Model model,
      String layer,
      Tensor inputs,
      Tensor labels,
      RademacherProjection projection,
      double epsilon) {
    labelled(labels);
    HyperParameter.positive("epsilon", epsilon);
    Capabilities.Functional functional =
        model
            .as(Capabilities.Functional.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The zero-order estimate runs "
                            + model.name()
                            + " with other weights, which it does not offer: use a network of"
                            + " layers."));
    Map<String, Tensor> weights = trainable(differentiable(model), layer);
    long width = weights.values().stream().mapToLong(Tensor::numel).sum();
    differentiable(model).train(false);
    return Scopes.noGrad(
        () -> {
          TensorVector columns = new TensorVector();
          for (int j = 0; j < projection.dimensions(); j++) {
            int direction = j;
            columns.push_back(
                Scopes.tensor(
                    () -> {
                      Tensor r = projection.directions(direction, 1, width).squeeze(0);
                      Tensor up = moved(functional, weights, r, epsilon, inputs, labels);
                      Tensor down = moved(functional, weights, r, -epsilon, inputs, labels);
                      return up.sub(down).div(new Scalar(2 * epsilon));
                    }));
          }
          return clean(torch.stack(columns, 1).div(new Scalar(Math.sqrt(projection.dimensions()))));
        });
  }

  private static Tensor moved(
      Capabilities.Functional model,
      Map<String, Tensor> weights,
      Tensor direction,
      double by,
      Tensor inputs,
      Tensor labels) {
    Map<String, Tensor> others = new LinkedHashMap<>();
    long at = 0;
    for (Map.Entry<String, Tensor> entry : weights.entrySet()) {
      Tensor weight = entry.getValue();
      Tensor part = direction.narrow(0, at, weight.numel()).view(weight.shape());
      others.put(entry.getKey(), weight.add(part.to(weight.scalar_type()), new Scalar(by)));
      at += weight.numel();
    }
    return losses(model.forward(inputs, others).logits(), labels);
  }

  private static Tensor logits(Model model, Capabilities.Differentiable network, Tensor input) {
    if (model instanceof NeuralModel layers) {
      return layers.root().forward(input, ForwardContext.EVALUATION);
    }
    network.train(false);
    return network.forward(input).logits();
  }

  private static Tensor losses(Tensor logits, Tensor labels) {
    return torch.cross_entropy_loss(logits, labels, new TensorOptional(), SUM_EACH, NO_CLASS, 0);
  }

  /** NaN and infinite entries as 0. */
  static Tensor clean(Tensor vectors) {
    return torch.where(vectors.isfinite(), vectors, new Scalar(0.0));
  }

  private static Capabilities.Differentiable differentiable(Model model) {
    return model
        .as(Capabilities.Differentiable.class)
        .orElseThrow(
            () ->
                new OutriggerException(
                    "Sample vectors are gradients of the model "
                        + model.name()
                        + ", which it does not offer: use a .safetensors or .pt model."));
  }

  /** The trainable parameters of a layer and of all below it, by full name. */
  static Map<String, Tensor> trainable(Capabilities.Differentiable network, String layer) {
    Map<String, Tensor> all = new LinkedHashMap<>(network.parameters());
    all.keySet().removeIf(name -> !name.startsWith(layer + "."));
    if (all.isEmpty()) {
      throw new OutriggerException(
          "There is no layer '"
              + layer
              + "' with parameters. These have some: "
              + String.join(", ", layers(network))
              + ".");
    }
    all.values().removeIf(weight -> !weight.requires_grad());
    if (all.isEmpty()) {
      throw frozen(layer);
    }
    return all;
  }

  /** How many trainable values a layer has. */
  static long width(Model model, String layer) {
    return trainable(differentiable(model), layer).values().stream().mapToLong(Tensor::numel).sum();
  }

  /** The layers that have parameters of their own, in the model's order. */
  static List<String> layers(Capabilities.Differentiable network) {
    return network.parameters().keySet().stream()
        .map(name -> name.substring(0, Math.max(0, name.lastIndexOf('.'))))
        .distinct()
        .toList();
  }

  /**
   * The layer that is taken where none is named: the last one before the head that can be trained.
   */
  static String usual(Model model) {
    try (PointerScope scope = new PointerScope()) {
      List<String> layers = layers(differentiable(model));
      return layers.get(Math.max(0, layers.size() - 2));
    }
  }

  private static OutriggerException frozen(String layer) {
    return new OutriggerException(
        "The layer '" + layer + "' has no trainable parameters: unfreeze it or name another.");
  }

  private static void labelled(Tensor labels) {
    boolean missing =
        Scopes.scoped(() -> labels.numel() == 0 || labels.lt(new Scalar(0)).any().item_bool());
    if (missing) {
      throw new OutriggerException(
          "Samples without a label have no loss and so no gradient: label them or leave them out.");
    }
  }
}
