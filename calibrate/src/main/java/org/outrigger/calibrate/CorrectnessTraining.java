package org.outrigger.calibrate;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.CorrectnessCalibration.Settings;
import org.outrigger.core.nn.Init;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Trains the network of {@link CorrectnessCalibration}: Adam on all rows at once, from a network
 * that gives about the plain temperature to every row, since one that starts outside of the range
 * of temperatures has no gradient. The weights with the least loss on a held-out part stay.
 */
final class CorrectnessTraining {
  /** How much smaller than usual the last layer starts. */
  private static final double SMALL = 0.1;

  private CorrectnessTraining() {}

  /** A network that gives every row the same temperature. */
  static Map<String, Tensor> constant(Settings settings, int views, double temperature) {
    Map<String, Tensor> network = new LinkedHashMap<>();
    network.put("W1", zeros(settings.hidden(), (long) views * settings.k()));
    network.put("b1", zeros(settings.hidden()));
    network.put("W2", zeros(1, settings.hidden()));
    network.put("b2", Tensors.of(new double[] {temperature}, 1));
    return network;
  }

  private static Tensor zeros(long... shape) {
    return Init.zeros(shape).to(ScalarType.Double);
  }

  /**
   * Trains.
   *
   * @param logits float64 [N, C]
   * @param features float64 [N, F]
   * @param correct float64 [N], some 0 and some 1
   * @param start the temperature to start from
   * @return W1, b1, W2 and b2
   */
  static Map<String, Tensor> train(
      Settings settings, Tensor logits, Tensor features, Tensor correct, double start) {
    Map<String, Tensor> network = initial(settings, features.size(1), start);
    Map<String, Tensor> best = copy(network);
    Tensor[] split = split(settings, correct);
    Rows fitting = new Rows(logits, features, correct).pick(split[0]);
    Rows held = new Rows(logits, features, correct).pick(split[1]);
    double least = held.loss(settings, network).item_double();
    List<String> names = List.copyOf(network.keySet());
    try (Adam adam = new Adam(network, Adam.Settings.of(settings.lr(), settings.weightDecay()))) {
      for (int step = 0; step < settings.steps(); step++) {
        try (PointerScope scope = new PointerScope()) {
          Tensor loss = Scopes.grad(true, () -> fitting.loss(settings, network));
          List<Tensor> gradients = Gradients.of(loss, List.copyOf(network.values()), false);
          Map<String, Tensor> byName = new LinkedHashMap<>();
          for (int i = 0; i < names.size(); i++) {
            byName.put(names.get(i), gradients.get(i));
          }
          adam.step(byName);
          double now = held.loss(settings, network).item_double();
          if (now < least) {
            least = now;
            Scopes.grad(
                false,
                () -> {
                  best.forEach((name, tensor) -> tensor.copy_(network.get(name)));
                  return true;
                });
          }
        }
      }
    }
    return best;
  }

  private static Map<String, Tensor> initial(Settings settings, long inputs, double start) {
    Map<String, Tensor> network = new LinkedHashMap<>();
    long hidden = settings.hidden();
    try (Rng rng = Rng.named(settings.seed(), "correctness-calibration")) {
      network.put("W1", leaf(Init.fanIn(rng, inputs, hidden, inputs)));
      network.put("b1", leaf(Init.fanIn(rng, inputs, hidden)));
      network.put("W2", leaf(Init.fanIn(rng, hidden, 1, hidden).mul(new Scalar(SMALL))));
    }
    network.put("b2", leaf(Tensors.of(new double[] {start}, 1)));
    return network;
  }

  private static Tensor leaf(Tensor values) {
    return values.to(ScalarType.Double).detach().clone().requires_grad_(true);
  }

  private static Map<String, Tensor> copy(Map<String, Tensor> network) {
    Map<String, Tensor> copy = new LinkedHashMap<>();
    network.forEach((name, tensor) -> copy.put(name, tensor.detach().clone()));
    return copy;
  }

  /** The rows to fit and the held-out ones, both with the same share of right ones. */
  private static Tensor[] split(Settings settings, Tensor correct) {
    Tensor[] fitting = new Tensor[2];
    Tensor[] held = new Tensor[2];
    try (Rng rng = Rng.named(settings.seed(), "correctness-calibration held out")) {
      for (int group = 0; group < 2; group++) {
        Tensor rows = correct.eq(new Scalar((double) group)).nonzero().squeeze(1);
        long count = rows.size(0);
        long out = Math.min(count - 1, Math.round(settings.heldOut() * count));
        Tensor order = rows.index_select(0, rng.permutation(count));
        held[group] = order.narrow(0, 0, out);
        fitting[group] = order.narrow(0, out, count - out);
      }
    }
    return new Tensor[] {
      torch.cat(new TensorVector(fitting), 0), torch.cat(new TensorVector(held), 0)
    };
  }

  private record Rows(Tensor logits, Tensor features, Tensor correct) {
    Rows pick(Tensor index) {
      return new Rows(
          logits.index_select(0, index),
          features.index_select(0, index),
          correct.index_select(0, index));
    }

    Tensor loss(Settings settings, Map<String, Tensor> network) {
      return Scopes.tensor(
          () -> {
            Tensor[] w = network.values().toArray(new Tensor[0]);
            Tensor t =
                AdaptiveTemperature.temperatures(
                    features, w[0], w[1], w[2], w[3], settings.lowest(), settings.highest());
            Tensor p = AdaptiveTemperature.confidence(logits, t);
            return AdaptiveTemperature.loss(p, correct, settings.weighting());
          });
    }
  }
}
