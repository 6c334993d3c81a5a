package org.outrigger.detect;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/**
 * The mathematics of {@link Mol}: the losses, the inner steps as a function of the weights that
 * they start from, and the gradient of the outer loss through them.
 */
public final class MolGradient {
  private static final double GROWTH = 10;

  private MolGradient() {}

  /** A network as a function of its weights. */
  @FunctionalInterface
  public interface Network {
    /** Logits [N, C] of inputs [N, ...] with these weights, by name; gradients flow to them. */
    Tensor logits(Tensor inputs, Map<String, Tensor> weights);
  }

  /**
   * What inner steps came to.
   *
   * @param weights after the steps; those given if they diverged
   * @param losses before each step
   * @param diverged whether a loss was not finite or above ten times the first
   */
  @SuppressWarnings("ArrayRecordComponent") // made for one call, and never compared
  public record Inner(Map<String, Tensor> weights, double[] losses, boolean diverged) {}

  /**
   * What an episode, one task or several in turn, came to.
   *
   * @param gradient of the outer loss with respect to the initial weights; empty if it diverged
   * @param loss the outer loss
   * @param activeIn the share of query rows with an energy above m_in
   * @param activeOut the share of outliers with an energy below m_out
   * @param diverged whether inner steps diverged or the outer loss was not finite
   */
  public record Episode(
      Map<String, Tensor> gradient,
      double loss,
      double activeIn,
      double activeOut,
      boolean diverged) {}

  /**
   * The loss of the inner steps.
   *
   * @param logits [N, C]
   * @param labels int64 [N], each 0 .. C-1
   * @return a scalar
   */
  public static Tensor innerLoss(Tensor logits, Tensor labels, double lambda, double marginIn) {
    return Scopes.tensor(
        () -> {
          Tensor above = Energy.score(logits, 1).sub(new Scalar(marginIn));
          return torch.cross_entropy_loss(logits, labels).add(hinge(above).mul(new Scalar(lambda)));
        });
  }

  /**
   * The loss of adapted weights.
   *
   * @param logits [N, C] of known rows
   * @param labels int64 [N], each 0 .. C-1
   * @param outliers logits [M, C]; null for none
   * @return a scalar
   */
  public static Tensor outerLoss(
      Tensor logits,
      Tensor labels,
      @Nullable Tensor outliers,
      double lambda,
      double marginIn,
      double marginOut) {
    return Scopes.tensor(
        () -> {
          Tensor loss = innerLoss(logits, labels, lambda, marginIn);
          if (outliers == null) {
            return loss;
          }
          Tensor below = Energy.score(outliers, 1).neg().add(new Scalar(marginOut));
          return loss.add(hinge(below).mul(new Scalar(lambda)));
        });
  }

  private static Tensor hinge(Tensor excess) {
    return torch.relu(excess).square().mean();
  }

  /**
   * Takes the inner steps.
   *
   * @param start weights that require gradients, by name
   * @param inputs [S, ...]
   * @param labels int64 [S]
   * @param differentiable whether the result can be differentiated with respect to {@code start}
   *     through the inner gradients
   * @return weights in the caller's scope
   */
  public static Inner steps(
      Network network,
      Map<String, Tensor> start,
      Tensor inputs,
      Tensor labels,
      Mol.Settings settings,
      boolean differentiable) {
    Map<String, Tensor> theta = start;
    double[] losses = new double[settings.innerSteps()];
    for (int n = 0; n < losses.length; n++) {
      try (PointerScope scope = new PointerScope()) {
        Tensor logits = network.logits(inputs, theta);
        Tensor loss = innerLoss(logits, labels, settings.lambda(), settings.marginIn());
        losses[n] = loss.item_double();
        if (diverged(losses[0], losses[n])) {
          return new Inner(start, Arrays.copyOf(losses, n + 1), true);
        }
        List<Tensor> gradients = gradients(loss, theta, differentiable);
        Map<String, Tensor> next = new LinkedHashMap<>();
        theta.forEach(
            (name, weight) -> {
              Tensor gradient = gradients.get(next.size());
              next.put(name, Scopes.keep(weight.sub(gradient, new Scalar(settings.innerRate()))));
            });
        theta = next;
      }
    }
    return new Inner(theta, losses, false);
  }

  /** Whether a support loss that began as {@code first} says that the steps diverge. */
  static boolean diverged(double first, double now) {
    return !Double.isFinite(now) || now > GROWTH * first;
  }

  private static List<Tensor> gradients(
      Tensor loss, Map<String, Tensor> weights, boolean differentiable) {
    try {
      return Gradients.of(loss, List.copyOf(weights.values()), differentiable);
    } catch (OutriggerException e) {
      throw new OutriggerException(
          "MOL could not differentiate the network. If one of its layers has no second derivative,"
              + " as fused attention has not, take first-order gradients (mol:order=FIRST).\n"
              + e.getMessage(),
          e);
    }
  }

  /**
   * The outer loss of an episode and its gradient with respect to the initial weights.
   *
   * @param start the initial weights, which require gradients, by name
   * @param tasks in turn; the weights adapted to one start the next
   */
  public static Episode episode(
      Network network, Map<String, Tensor> start, List<MetaTask> tasks, Mol.Settings settings) {
    Map<String, Tensor> gradient = new LinkedHashMap<>();
    try (PointerScope scope = new PointerScope()) {
      boolean second = settings.order() == Mol.Order.SECOND;
      Map<String, Tensor> theta = start;
      List<Tensor> losses = new ArrayList<>();
      double activeIn = 0;
      double activeOut = 0;
      for (MetaTask task : tasks) {
        Inner inner = steps(network, theta, task.support(), task.supportLabels(), settings, second);
        if (inner.diverged()) {
          return new Episode(Map.of(), Double.NaN, Double.NaN, Double.NaN, true);
        }
        theta = inner.weights();
        Tensor outliers = task.outliers();
        long known = task.query().size(0);
        Tensor all =
            outliers == null
                ? task.query()
                : torch.cat(new TensorVector(task.query(), outliers), 0);
        Tensor logits = network.logits(all, theta);
        Tensor query = logits.narrow(0, 0, known);
        Tensor strange = outliers == null ? null : logits.narrow(0, known, outliers.size(0));
        losses.add(
            outerLoss(
                query,
                task.queryLabels(),
                strange,
                settings.lambda(),
                settings.marginIn(),
                settings.marginOut()));
        activeIn += activeIn(query, settings.marginIn()) / tasks.size();
        activeOut += activeOut(strange, settings.marginOut()) / tasks.size();
      }
      Tensor sum = torch.stack(new TensorVector(losses.toArray(new Tensor[0])), 0).sum();
      double loss = sum.item_double();
      if (!Double.isFinite(loss)) {
        return new Episode(Map.of(), Double.NaN, Double.NaN, Double.NaN, true);
      }
      List<Tensor> gradients = gradients(sum, start, false);
      for (String name : start.keySet()) {
        gradient.put(name, Scopes.keep(gradients.get(gradient.size())));
      }
      return new Episode(gradient, loss, activeIn, activeOut, false);
    }
  }

  static double activeIn(Tensor logits, double marginIn) {
    return Scopes.scoped(() -> share(Energy.score(logits.detach(), 1).gt(new Scalar(marginIn))));
  }

  private static double activeOut(@Nullable Tensor logits, double marginOut) {
    return logits == null
        ? 0
        : Scopes.scoped(() -> share(Energy.score(logits.detach(), 1).lt(new Scalar(marginOut))));
  }

  private static double share(Tensor chosen) {
    return chosen.to(ScalarType.Double).mean().item_double();
  }
}
