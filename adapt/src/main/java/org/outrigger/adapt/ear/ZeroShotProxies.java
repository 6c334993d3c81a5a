package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * How well a network will learn, judged at its first weights on one batch, without training it:
 *
 * <ul>
 *   <li>linear regions, the number of distinct patterns of its ReLUs (Chen et al., ICLR 2021);
 *   <li>NASWOT, {@code log det(K + ridge I)} with K_ij the number of units on which rows i and j
 *       agree (Mellor et al., ICML 2021);
 *   <li>the condition number of the empirical neural tangent kernel {@code Theta_ij = <df(x_i) /
 *       dw, df(x_j) / dw>} with f the sum of the outputs; smaller is better (Chen et al., ICLR
 *       2021);
 *   <li>SynFlow, {@code sum w dR / dw} with weights replaced by their absolute values, an input of
 *       ones, and R the sum of the outputs (Tanaka et al., NeurIPS 2020);
 *   <li>the norm of the gradient of the cross-entropy, if there are labels (Abdelfattah et al.,
 *       ICLR 2021).
 * </ul>
 *
 * @param linearRegions 1 or more; larger is better
 * @param naswot larger is better
 * @param ntkCondition 1 or more; smaller is better
 * @param synflow larger is better
 * @param gradientNorm larger is better; NaN without labels
 */
public record ZeroShotProxies(
    double linearRegions, double naswot, double ntkCondition, double synflow, double gradientNorm) {
  /** What is added to the diagonal of the agreement of ReLU patterns. */
  public static final double RIDGE = 1e-6;

  /** The least eigenvalue of a tangent kernel counts as this at least. */
  static final double LEAST_EIGENVALUE = 1e-12;

  /**
   * All of them.
   *
   * @param network from [N, F] to logits [N, C]; its ReLUs are found by themselves, each must run
   *     once
   * @param inputs [N, F] of the network's type, N at least 2
   * @param labels int64 [N], or null
   */
  public static ZeroShotProxies of(Layer network, Tensor inputs, @Nullable Tensor labels) {
    return Scopes.scoped(
        () -> {
          Tensor code = activationCode(network, inputs);
          return new ZeroShotProxies(
              linearRegions(code),
              naswot(hammingKernel(code), RIDGE),
              condition(ntk(network, inputs)),
              synflow(network, inputs.size(1)),
              labels == null ? Double.NaN : gradientNorm(network, inputs, labels));
        });
  }

  /**
   * Which ReLUs are on.
   *
   * @return float64 [N, U] of 0 and 1, the units of all ReLUs in their order; U may be 0
   */
  public static Tensor activationCode(Layer network, Tensor inputs) {
    check(inputs);
    return Scopes.noGrad(
        () -> {
          List<String> names = new ArrayList<>();
          ForwardContext context = ForwardContext.EVALUATION;
          for (Map.Entry<String, Layer> entry : network.layers().entrySet()) {
            if (entry.getValue() instanceof Activation relu
                && relu.kind() == Activation.Kind.RELU) {
              names.add(entry.getKey());
              context = context.watchOutput(entry.getKey(), relu);
            }
          }
          TensorVector parts = new TensorVector();
          parts.push_back(
              torch.zeros(new long[] {inputs.size(0), 0}, new TensorOptions(ScalarType.Double)));
          try {
            network.forward(inputs, context);
            for (String name : names) {
              Tensor on = context.take(name);
              if (on == null) {
                throw new OutriggerException(
                    "The ReLU '" + name + "' does not run in this network.");
              }
              parts.push_back(on.gt(new Scalar(0.0)).to(ScalarType.Double).flatten(1, -1));
            }
            return torch.cat(parts, 1);
          } finally {
            context.discard();
          }
        });
  }

  /** The number of distinct rows of a code [N, U]. */
  public static long linearRegions(Tensor code) {
    Shapes.check().tensor("The code", code, "N", "U");
    return code.size(1) == 0 ? 1 : Scopes.scoped(() -> torch.unique_dim(code, 0).get0().size(0));
  }

  /** On how many units each pair of rows agrees, [N, N], of a code [N, U]. */
  public static Tensor hammingKernel(Tensor code) {
    Shapes.check().tensor("The code", code, "N", "U");
    return Scopes.tensor(
        () -> {
          Tensor off = code.neg().add(new Scalar(1.0));
          return code.mm(code.t()).add(off.mm(off.t()));
        });
  }

  /** The logarithm of the determinant of a kernel [N, N] with {@code ridge} on its diagonal. */
  public static double naswot(Tensor kernel, double ridge) {
    return Scopes.scoped(
        () ->
            torch
                .linalg_slogdet(
                    kernel.add(
                        torch
                            .eye(kernel.size(0), new TensorOptions(ScalarType.Double))
                            .mul(new Scalar(ridge))))
                .get1()
                .item_double());
  }

  /**
   * The empirical neural tangent kernel of the sum of the outputs over all trainable parameters.
   *
   * @return float64 [N, N]
   */
  public static Tensor ntk(Layer network, Tensor inputs) {
    check(inputs);
    return Scopes.tensor(
        () ->
            Scopes.grad(
                true,
                () -> {
                  List<Tensor> weights = List.copyOf(network.trainable().values());
                  TensorVector rows = new TensorVector();
                  for (long i = 0; i < inputs.size(0); i++) {
                    long row = i;
                    rows.push_back(
                        Scopes.tensor(
                            () ->
                                flat(
                                    Gradients.of(
                                        network
                                            .forward(
                                                inputs.narrow(0, row, 1), ForwardContext.EVALUATION)
                                            .sum(),
                                        weights,
                                        false))));
                  }
                  Tensor jacobian = torch.stack(rows, 0).to(ScalarType.Double);
                  return jacobian.mm(jacobian.t());
                }));
  }

  private static Tensor flat(List<Tensor> gradients) {
    TensorVector parts = new TensorVector();
    gradients.forEach(gradient -> parts.push_back(gradient.reshape(-1)));
    return torch.cat(parts, 0);
  }

  /**
   * The largest eigenvalue of a kernel [N, N] over the least. Duplicate rows make the least 0: it
   * counts as 1e-12 then, so that such a network ranks last.
   *
   * @throws OutriggerException for a single row, whose kernel has one eigenvalue
   */
  public static double condition(Tensor kernel) {
    Shapes.check().tensor("The kernel", kernel, "N", "N");
    if (kernel.size(0) < 2) {
      throw new OutriggerException(
          "The tangent kernel of a single row has no condition number: give at least two rows.");
    }
    return Scopes.scoped(
        () -> {
          Tensor values = torch.linalg_eigvalsh(kernel);
          double least = Math.max(values.min().item_double(), LEAST_EIGENVALUE);
          return Math.max(1, values.max().item_double() / least);
        });
  }

  /**
   * SynFlow.
   *
   * @param width F, the number of input features
   */
  public static double synflow(Layer network, long width) {
    return Scopes.scoped(
        () ->
            Scopes.grad(
                true,
                () -> {
                  Map<String, Tensor> positive = new LinkedHashMap<>();
                  network
                      .trainable()
                      .forEach(
                          (name, w) -> positive.put(name, w.detach().abs().requires_grad_(true)));
                  Tensor ones =
                      torch.ones(new long[] {1, width}, new TensorOptions(type(positive)));
                  Tensor outputs =
                      network.forward(ones, ForwardContext.EVALUATION.weights(network, positive));
                  List<Tensor> weights = List.copyOf(positive.values());
                  List<Tensor> gradients = Gradients.of(outputs.sum(), weights, false);
                  double sum = 0;
                  for (int i = 0; i < weights.size(); i++) {
                    sum += weights.get(i).detach().mul(gradients.get(i)).sum().item_double();
                  }
                  return sum;
                }));
  }

  private static ScalarType type(Map<String, Tensor> weights) {
    return Objects.requireNonNull(weights.values().iterator().next()).scalar_type().intern();
  }

  /**
   * The Euclidean norm of the gradient of the mean cross-entropy over all trainable parameters.
   *
   * @param labels int64 [N]
   */
  public static double gradientNorm(Layer network, Tensor inputs, Tensor labels) {
    check(inputs);
    Shapes.check().tensor("The inputs", inputs, "N", "F").tensor("The labels", labels, "N");
    return Scopes.scoped(
        () ->
            Scopes.grad(
                true,
                () -> {
                  Tensor logits = network.forward(inputs, ForwardContext.EVALUATION);
                  Shapes.labels("The labels", labels, logits.size(1), false);
                  List<Tensor> gradients =
                      Gradients.of(
                          CrossEntropy.loss(logits, labels, 0),
                          List.copyOf(network.trainable().values()),
                          false);
                  return flat(gradients).norm().item_double();
                }));
  }

  private static void check(Tensor inputs) {
    Shapes.check().tensor("The inputs", inputs, "N", "F");
    Shapes.notEmpty("The inputs", inputs);
    Shapes.finite("The inputs", inputs);
  }

  /** The mean of several, as over several drawings of the first weights. */
  static ZeroShotProxies mean(List<ZeroShotProxies> all) {
    return new ZeroShotProxies(
        all.stream().mapToDouble(ZeroShotProxies::linearRegions).average().orElse(Double.NaN),
        all.stream().mapToDouble(ZeroShotProxies::naswot).average().orElse(Double.NaN),
        all.stream().mapToDouble(ZeroShotProxies::ntkCondition).average().orElse(Double.NaN),
        all.stream().mapToDouble(ZeroShotProxies::synflow).average().orElse(Double.NaN),
        all.stream().mapToDouble(ZeroShotProxies::gradientNorm).average().orElse(Double.NaN));
  }
}
