package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.FineTuner;
import org.outrigger.adapt.FineTuner.Part;
import org.outrigger.adapt.FineTuner.Rule;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.nn.WeightNormLinear;
import org.outrigger.core.torch.Rng;

/** Golden cases of few-shot SFDA: steps of the last layer, then of a network in SHOT's layout. */
public final class FewShotSfdaGolden implements GoldenSuite {
  private static final List<String> NETWORK =
      List.of(
          "netF.l.weight",
          "netF.l.bias",
          "netB.bottleneck.weight",
          "netB.bottleneck.bias",
          "netB.bn.weight",
          "netB.bn.bias",
          "netB.bn.running_mean",
          "netB.bn.running_var",
          "netC.fc.weight_g",
          "netC.fc.weight_v",
          "netC.fc.bias");

  @Override
  public String slug() {
    return "few-shot-sfda";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!NETWORK.stream().allMatch(golden::hasInput)
        || !golden.hasInput("x")
        || !golden.hasInput("y")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    try (NeuralModel model = network(golden)) {
      logits(golden, "logits_before", model);
      stage(golden, model, "lp", Part.HEAD);
      stage(golden, model, "ft", Part.ALL);
    }
  }

  private static void stage(GoldenCase golden, NeuralModel model, String name, Part part) {
    int steps = (int) golden.param(name + "_steps");
    List<Double> losses = new ArrayList<>();
    if (steps > 0) {
      try (FineTuner tuner = new FineTuner(model, settings(golden, part, name))) {
        for (int step = 0; step < steps; step++) {
          losses.add(tuner.step(golden.input("x"), golden.labels("y")));
        }
      }
    }
    if (golden.hasOutput(name + "_losses")) {
      golden.expect(name + "_losses", losses.stream().mapToDouble(Double::doubleValue).toArray());
    }
    logits(golden, "logits_after_" + name, model);
    Map<String, Tensor> state = model.root().stateDict();
    for (String output : golden.outputs()) {
      Tensor tensor = state.get(output.substring(Math.min(output.length(), name.length() + 1)));
      if (output.startsWith(name + ".") && tensor != null) {
        golden.expect(output, tensor);
      }
    }
  }

  private static FineTuner.Settings settings(GoldenCase golden, Part part, String name) {
    String rule = golden.params().path("optimizer").asString("adam");
    boolean sam = golden.params().path("sam").asBoolean(false);
    return new FineTuner.Settings(
        part,
        rule.equals("sgd") ? Rule.SGD : Rule.ADAM,
        golden.param("lr_" + name),
        golden.params().path("weight_decay").asDouble(0),
        golden.params().path("label_smoothing").asDouble(0),
        sam ? golden.param("rho") : 0,
        List.of());
  }

  private static void logits(GoldenCase golden, String output, NeuralModel model) {
    if (golden.hasOutput(output)) {
      golden.expect(output, model.predict(golden.input("query")).logits());
    }
  }

  private static NeuralModel network(GoldenCase golden) {
    long[] first = golden.input("netF.l.weight").shape();
    long[] second = golden.input("netB.bottleneck.weight").shape();
    long classes = golden.input("netC.fc.weight_v").size(0);
    double momentum = golden.params().path("bn_momentum").asDouble(0.1);
    double eps = golden.params().path("bn_eps").asDouble(1e-5);
    int width = Math.toIntExact(second[0]);
    try (Rng rng = new Rng(0)) {
      Map<String, Layer> bottleneck = new LinkedHashMap<>();
      bottleneck.put("bottleneck", new Linear(second[1], second[0], rng));
      bottleneck.put("bn", new BatchNorm1d(width, momentum, eps, true, true));
      Map<String, Layer> features = new LinkedHashMap<>();
      features.put("l", new Linear(first[1], first[0], rng));
      features.put("relu", Activation.relu());
      Map<String, Layer> layers = new LinkedHashMap<>();
      layers.put("netF", new Sequential(features));
      layers.put("netB", new Sequential(bottleneck));
      layers.put(
          "netC", new Sequential(Map.of("fc", new WeightNormLinear(second[0], classes, rng))));
      Sequential root = new Sequential(layers);
      root.to(ScalarType.Double);
      Map<String, Tensor> weights = new LinkedHashMap<>();
      NETWORK.forEach(name -> weights.put(name, golden.input(name)));
      root.loadStateDict(weights, true);
      return NeuralModel.of("golden", root, "netC.fc", new long[] {first[1]}, List.of());
    }
  }
}
