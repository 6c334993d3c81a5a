package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The baseline NNt that knows no source: a network with one hidden layer (leaky ReLU) on the
 * labelled target rows alone, {@code CE + tau / 2 (||W1||^2 + ||W2||^2)}.
 */
public final class TargetOnly implements HeterogeneousClassifier {
  /**
   * @param hidden units, 1 or more
   * @param tau the weight of the squared matrices, 0 or more
   * @param rate the learning rate of Adam, above 0
   * @param iterations 1 or more
   * @param seed of the initial weights
   */
  public record Settings(int hidden, double tau, double rate, int iterations, long seed) {
    public Settings {
      HyperParameter.atLeast("hidden", hidden, 1);
      HyperParameter.notNegative("tau", tau);
      HyperParameter.positive("rate", rate);
      HyperParameter.atLeast("iterations", iterations, 1);
    }

    public static Settings defaults() {
      return new Settings(256, 0.001, 0.01, 500, 0);
    }

    public Settings withSeed(long value) {
      return new Settings(hidden, tau, rate, iterations, value);
    }
  }

  private final Map<String, Tensor> weights;

  private TargetOnly(Map<String, Tensor> weights) {
    this.weights = weights;
  }

  /**
   * The loss, a scalar in the enclosing scope.
   *
   * @param x [L, T]
   * @param labels int64 [L]
   * @param weights w1 [T, H], b1, w2 [H, C], b2
   */
  public static Tensor loss(Tensor x, Tensor labels, Map<String, Tensor> weights, double tau) {
    return Scopes.tensor(
        () -> CrossEntropy.loss(logits(x, weights), labels, 0).add(FullBatch.decay(weights, tau)));
  }

  private static Tensor logits(Tensor x, Map<String, Tensor> weights) {
    Tensor hidden = FullBatch.leaky(FullBatch.affine(x, weights, "w1", "b1"));
    return FullBatch.affine(hidden, weights, "w2", "b2");
  }

  /**
   * Learns from labelled rows, which are brought to length 1.
   *
   * @param labelled [L, T]
   * @param labels int64 [L]
   * @param classes C
   */
  public static TargetOnly fit(Tensor labelled, Tensor labels, long classes, Settings settings) {
    Shapes.check()
        .tensor("The labelled target rows", labelled, "L", "T")
        .tensor("The target labels", labels, "L");
    Shapes.notEmpty("The labelled target set", labelled);
    Shapes.finite("The labelled target set", labelled);
    Shapes.labels("The target labels", labels, classes, false);
    if (classes < 2) {
      throw new OutriggerException("There is one class only: at least two are needed.");
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor x = HeterogeneousData.unit(labelled.to(ScalarType.Float));
      Map<String, Tensor> weights = new LinkedHashMap<>();
      try (Rng rng = Rng.named(settings.seed, "target only")) {
        weights.put("w1", FullBatch.draw(rng, x.size(1), settings.hidden));
        weights.put("b1", FullBatch.draw(rng, settings.hidden));
        weights.put("w2", FullBatch.draw(rng, settings.hidden, classes));
        weights.put("b2", FullBatch.draw(rng, classes));
      }
      TargetOnly made = new TargetOnly(weights);
      try {
        FullBatch.train(
            weights,
            settings.iterations,
            settings.rate,
            i -> loss(x, labels, weights, settings.tau),
            OfflineAdapter.Listener.NONE);
        return made;
      } catch (RuntimeException e) {
        made.close();
        throw e;
      }
    }
  }

  @Override
  public Tensor probabilities(Tensor x) {
    HeterogeneousData.requireWidth(x, FullBatch.get(weights, "w1").size(0));
    return Scopes.noGrad(
        () -> torch.softmax(logits(HeterogeneousData.unit(x.to(ScalarType.Float)), weights), 1));
  }

  @Override
  public void close() {
    weights.values().forEach(Scopes::release);
  }
}
