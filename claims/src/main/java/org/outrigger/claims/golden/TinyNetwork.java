package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.GlobalAvgPool;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The network of the golden cases about streams: convolution {@code conv} that keeps the size,
 * batch normalisation {@code bn}, ReLU, mean over all positions, linear head {@code fc}, in
 * float64. Sizes follow from the case's tensors, which are inputs under their state-dict names.
 */
final class TinyNetwork {
  private static final List<String> NAMES =
      List.of(
          "conv.weight",
          "conv.bias",
          "bn.weight",
          "bn.bias",
          "bn.running_mean",
          "bn.running_var",
          "fc.weight",
          "fc.bias");

  private TinyNetwork() {}

  /** Whether the case has such a network. */
  static boolean in(GoldenCase golden) {
    return golden.hasInput("conv.weight")
        && golden.hasInput("bn.weight")
        && golden.hasInput("fc.weight");
  }

  /**
   * The case's network in evaluation mode; the caller closes it.
   *
   * @throws OutriggerException if the kernel's sides are not odd, so that no padding keeps the size
   */
  static NeuralModel of(GoldenCase golden) {
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> state = new LinkedHashMap<>();
          for (String name : NAMES) {
            if (golden.hasInput(name)) {
              state.put(name, golden.input(name));
            }
          }
          NeuralModel model = build(golden, state);
          model.root().to(ScalarType.Double);
          model.loadStateDict(state, true);
          model.train(false);
          return model;
        });
  }

  private static NeuralModel build(GoldenCase golden, Map<String, Tensor> state) {
    long[] conv = golden.input("conv.weight").shape();
    long[] head = golden.input("fc.weight").shape();
    if (conv.length != 4 || conv[2] != conv[3] || conv[2] % 2 == 0) {
      throw new OutriggerException(
          golden.file() + " has a convolution that is not square with an odd side.");
    }
    try (Rng rng = new Rng(0)) {
      Map<String, Layer> layers = new LinkedHashMap<>();
      layers.put(
          "conv",
          new Conv2d(
              Conv2d.Options.of((int) conv[1], (int) conv[0], (int) conv[2])
                  .padding((int) conv[2] / 2)
                  .bias(state.containsKey("conv.bias")),
              rng));
      layers.put("bn", new BatchNorm2d((int) conv[0]));
      layers.put("relu", Activation.relu());
      layers.put("pool", new GlobalAvgPool());
      layers.put("fc", new Linear(head[1], head[0], state.containsKey("fc.bias"), rng));
      return NeuralModel.of(
          "tiny", new Sequential(layers), "fc", new long[] {conv[1], 0, 0}, List.of());
    }
  }

  /**
   * The batches of a stream, one after another.
   *
   * @param input a name such as {@code x} [T, B, ...]
   */
  static List<Tensor> batches(GoldenCase golden, String input) {
    Tensor all = golden.input(input);
    List<Tensor> batches = new ArrayList<>();
    for (long t = 0; t < all.size(0); t++) {
      batches.add(all.select(0, t));
    }
    return batches;
  }
}
