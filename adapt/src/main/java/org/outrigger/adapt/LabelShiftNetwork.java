package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.nn.Init;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The small network of {@link LabelShiftAdapter}: from the degree of imbalance s to changes of a
 * linear head, {@code o = A2 relu(A1 s + c1) + c2}, split into gamma - 1 [D], beta [D], dW [C, D]
 * by rows, and db [C]. Of low rank r, dW is P Q^T with P [C, r] and Q [D, r] in its place.
 *
 * @param a1 [H, 1]
 * @param c1 [H]
 * @param a2 [2 D + C D + C, H], or [2 D + (C + D) r + C, H]
 * @param c2 as long as {@code a2}
 * @param rank r; 0 for a full dW
 */
public record LabelShiftNetwork(Tensor a1, Tensor c1, Tensor a2, Tensor c2, int rank) {
  /**
   * What is done to a head: {@code logits = (W + dW) (gamma h + beta) + b + db}.
   *
   * @param gamma [D]
   * @param beta [D]
   * @param weight dW, [C, D]
   * @param bias db, [C]
   */
  public record Change(Tensor gamma, Tensor beta, Tensor weight, Tensor bias) {
    /** The changed head's logits [N, C] of features [N, D]; gradients flow through the features. */
    public Tensor apply(Tensor features, LinearHead head) {
      return Scopes.tensor(
          () ->
              new LinearHead(head.weight().add(weight), head.bias().add(bias))
                  .apply(features.mul(gamma).add(beta)));
    }
  }

  /**
   * A network that changes nothing yet: A2 and c2 are zero, but for what makes Q, which is random
   * so that P can learn.
   *
   * @param classes C
   * @param width D
   * @param hidden H
   * @param rank r; 0 for a full dW
   */
  static LabelShiftNetwork identity(long classes, long width, int hidden, int rank, Rng rng) {
    long change = rank == 0 ? classes * width : (classes + width) * rank;
    long outputs = 2 * width + change + classes;
    Tensor c2 = Init.zeros(outputs);
    if (rank > 0) {
      c2.narrow(0, 2 * width + classes * rank, width * rank)
          .copy_(Init.fanIn(rng, width, width * rank));
    }
    return new LabelShiftNetwork(
        Init.fanIn(rng, 1, hidden, 1),
        Init.fanIn(rng, 1, hidden),
        Init.zeros(outputs, hidden),
        c2,
        rank);
  }

  /** The four tensors by name. */
  Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("A1", a1);
    tensors.put("c1", c1);
    tensors.put("A2", a2);
    tensors.put("c2", c2);
    return tensors;
  }

  /**
   * The change for a degree of imbalance, in the scope of the caller.
   *
   * @param degree s, a scalar
   * @param classes C
   * @param width D
   */
  public Change change(Tensor degree, long classes, long width) {
    Tensor hidden = torch.relu(a1.squeeze(1).mul(degree.to(a1.scalar_type())).add(c1)).unsqueeze(1);
    Tensor o = a2.mm(hidden).squeeze(1).add(c2);
    Tensor gamma = o.narrow(0, 0, width).add(new Scalar(1.0));
    Tensor beta = o.narrow(0, width, width);
    long middle = o.size(0) - 2 * width - classes;
    Tensor inner = o.narrow(0, 2 * width, middle);
    Tensor weight =
        rank == 0
            ? inner.view(classes, width)
            : inner
                .narrow(0, 0, classes * rank)
                .view(classes, rank)
                .mm(inner.narrow(0, classes * rank, width * rank).view(width, rank).t());
    return new Change(gamma, beta, weight, o.narrow(0, 2 * width + middle, classes));
  }

  /**
   * The loss of logits that are adapted to a class mix, on data of another: cross-entropy of {@code
   * logits + tau (log p_s - log pi)}.
   *
   * @param logits [N, C]
   * @param labels int64 [N]
   * @param prior p_s, [C]
   * @param mix pi, [C]; zeros are smoothed
   */
  public static Tensor loss(Tensor logits, Tensor labels, Tensor prior, Tensor mix, double tau) {
    return Scopes.tensor(
        () ->
            CrossEntropy.loss(
                logits.add(adjustment(prior, mix, tau).to(logits.scalar_type())), labels, 0));
  }

  private static Tensor adjustment(Tensor prior, Tensor mix, double tau) {
    return prior.log().sub(LabelShiftAdapter.withoutZeros(mix).log()).mul(new Scalar(tau));
  }

  /**
   * Trains the network in place on features of the source, whose model stays as it is.
   *
   * @param features [N, D]
   * @param labels int64 [N]
   * @param mixes the class mixes to adapt to, which take turns, each [C]
   * @param direction m, [C]
   */
  void train(
      Tensor features,
      Tensor labels,
      LinearHead head,
      Tensor prior,
      List<Tensor> mixes,
      Tensor direction,
      LabelShiftAdapter.Settings settings,
      Rng rng) {
    tensors().values().forEach(t -> t.requires_grad_(true));
    LinearHead frozen = new LinearHead(head.weight().detach(), head.bias().detach());
    long rows = features.size(0);
    long batch = Math.min(settings.batch(), rows);
    List<Tensor> degrees =
        mixes.stream().map(mix -> LabelShiftAdapter.degree(direction, mix)).toList();
    List<Tensor> adjustments =
        mixes.stream()
            .map(mix -> adjustment(prior, mix, settings.tau()).to(features.scalar_type()))
            .toList();
    try (Adam adam = new Adam(tensors(), Adam.Settings.of(settings.lr()))) {
      Tensor order = rng.permutation(rows);
      long from = 0;
      for (int i = 0; i < settings.steps(); i++) {
        if (from + batch > rows) {
          order.copy_(Scopes.tensor(() -> rng.permutation(rows)));
          from = 0;
        }
        int turn = i % mixes.size();
        try (PointerScope scope = new PointerScope()) {
          Tensor chosen = order.narrow(0, from, batch);
          Tensor inputs = features.index_select(0, chosen);
          Tensor targets = labels.index_select(0, chosen);
          Scopes.grad(
                  true,
                  () -> {
                    Change change =
                        change(degrees.get(turn), frozen.weight().size(0), features.size(1));
                    Tensor logits = change.apply(inputs, frozen).add(adjustments.get(turn));
                    return CrossEntropy.loss(logits, targets, 0);
                  })
              .backward();
          adam.step();
          adam.clearGradients();
        }
        from += batch;
      }
    }
    tensors().values().forEach(t -> Objects.requireNonNull(t).requires_grad_(false));
  }
}
