package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.OfflineAdapter.Listener;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The baseline STN, a soft transfer network: source and target each have a projector of two layers
 * into a common space (leaky ReLU after each, then rows of length 1), and share a classifier with a
 * leaky ReLU on its logits.
 *
 * <p>{@code L = CE(source and labelled target rows) + beta (marginal + sum of conditional) + tau /
 * 2 ||all matrices||^2}, with the terms of {@link MomentMatching}; the soft labels of unlabelled
 * rows count t / T in iteration t of T. Yao et al., ACM Multimedia 2019.
 */
public final class SoftTransfer implements HeterogeneousClassifier {
  /**
   * @param beta the weight of the distance between means, 0 or more
   * @param tau the weight of the squared matrices, 0 or more
   * @param rate the learning rate of Adam, above 0
   * @param iterations T, 1 or more
   * @param width of the common space, 1 or more
   * @param seed of the initial weights
   */
  public record Settings(
      double beta, double tau, double rate, int iterations, int width, long seed) {
    public Settings {
      HyperParameter.notNegative("beta", beta);
      HyperParameter.notNegative("tau", tau);
      HyperParameter.positive("rate", rate);
      HyperParameter.atLeast("iterations", iterations, 1);
      HyperParameter.atLeast("width", width, 1);
    }

    public static Settings defaults() {
      return new Settings(0.001, 0.001, 0.001, 300, 256, 0);
    }

    public Settings withSeed(long value) {
      return new Settings(beta, tau, rate, iterations, width, value);
    }
  }

  /** The parts of the loss, scalars. */
  public record Losses(
      Tensor total, Tensor crossEntropy, Tensor marginal, Tensor conditional, Tensor decay) {}

  private final Map<String, Tensor> weights;

  private SoftTransfer(Map<String, Tensor> weights) {
    this.weights = weights;
  }

  /**
   * Rows in the common space.
   *
   * @param side {@code s} for the source, {@code t} for the target
   * @param weights {@code s_w1}, {@code s_b1}, {@code s_w2}, ... and the same of {@code t}
   */
  private static Tensor project(Tensor x, String side, Map<String, Tensor> weights) {
    Tensor hidden = FullBatch.leaky(FullBatch.affine(x, weights, side + "_w1", side + "_b1"));
    return FullBatch.unit(
        FullBatch.leaky(FullBatch.affine(hidden, weights, side + "_w2", side + "_b2")));
  }

  private static Tensor classify(Tensor codes, Map<String, Tensor> weights) {
    return FullBatch.leaky(FullBatch.affine(codes, weights, "f_w", "f_b"));
  }

  /**
   * The loss and its parts, in the enclosing scope.
   *
   * @param data as it is; bring rows to length 1 first
   * @param weights those of the projectors, and {@code f_w} and {@code f_b} of the classifier
   * @param share t / T, how much soft labels count, in [0, 1]
   */
  public static Losses losses(
      HeterogeneousData data, Map<String, Tensor> weights, double share, Settings settings) {
    Tensor source = project(data.source(), "s", weights);
    Tensor labelled = project(data.labelled(), "t", weights);
    Tensor unlabelled = project(data.unlabelled(), "t", weights);
    Tensor known = torch.cat(new TensorVector(source, labelled), 0);
    Tensor knownLabels = torch.cat(new TensorVector(data.sourceLabels(), data.labels()), 0);
    Tensor crossEntropy = CrossEntropy.loss(classify(known, weights), knownLabels, 0);
    Tensor soft = torch.softmax(classify(unlabelled, weights), 1).mul(new Scalar(share));
    Tensor marginal = MomentMatching.marginal(source, labelled, unlabelled);
    Tensor conditional =
        MomentMatching.conditional(
            source, data.sourceLabels(), labelled, data.labels(), unlabelled, soft);
    Tensor decay = FullBatch.decay(weights, settings.tau);
    Tensor total =
        crossEntropy.add(marginal.add(conditional), new Scalar(settings.beta)).add(decay);
    return new Losses(total, crossEntropy, marginal, conditional, decay);
  }

  /** Learns; rows are brought to length 1. */
  public static SoftTransfer fit(HeterogeneousData data, Settings settings, Listener listener) {
    try (PointerScope scope = new PointerScope()) {
      HeterogeneousData rows = Ktf.floats(data).normalised();
      Map<String, Tensor> weights = new LinkedHashMap<>();
      try (Rng rng = Rng.named(settings.seed, "soft transfer")) {
        projector("s", rows.source().size(1), settings.width, weights, rng);
        projector("t", rows.labelled().size(1), settings.width, weights, rng);
        weights.put("f_w", FullBatch.draw(rng, settings.width, rows.classes()));
        weights.put("f_b", FullBatch.draw(rng, rows.classes()));
      }
      SoftTransfer made = new SoftTransfer(weights);
      try {
        FullBatch.train(
            weights,
            settings.iterations,
            settings.rate,
            t -> losses(rows, weights, (double) t / settings.iterations, settings).total(),
            listener);
        return made;
      } catch (RuntimeException e) {
        made.close();
        throw e;
      }
    }
  }

  private static void projector(
      String side, long in, long width, Map<String, Tensor> weights, Rng rng) {
    long middle = (in + width) / 2;
    weights.put(side + "_w1", FullBatch.draw(rng, in, middle));
    weights.put(side + "_b1", FullBatch.draw(rng, middle));
    weights.put(side + "_w2", FullBatch.draw(rng, middle, width));
    weights.put(side + "_b2", FullBatch.draw(rng, width));
  }

  @Override
  public Tensor probabilities(Tensor x) {
    HeterogeneousData.requireWidth(x, FullBatch.get(weights, "t_w1").size(0));
    return Scopes.noGrad(
        () -> {
          Tensor codes = project(HeterogeneousData.unit(x.to(ScalarType.Float)), "t", weights);
          return torch.softmax(classify(codes, weights), 1);
        });
  }

  @Override
  public void close() {
    weights.values().forEach(Scopes::release);
  }
}
