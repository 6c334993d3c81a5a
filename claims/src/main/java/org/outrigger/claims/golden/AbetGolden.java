package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Heads;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.detect.Abet;
import org.outrigger.detect.Abet.Kind;
import org.outrigger.detect.Abet.Shaping;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Msp;

/** Golden cases of AbeT: its head over rows or pixels, all scores, and one training step. */
public final class AbetGolden implements GoldenSuite {
  /** The inputs that are weights of the head, and the outputs that are their gradients. */
  private static final Map<String, String> PARAMETERS =
      ordered(
          "class_weight", "cosine.weight",
          "temp_weight", "temperature.%s.weight",
          "temp_bias", "temperature.%s.bias",
          "bn_gamma", "temperature.norm.weight",
          "bn_beta", "temperature.norm.bias");

  private static final Map<String, String> BUFFERS =
      ordered(
          "bn_running_mean", "temperature.norm.running_mean",
          "bn_running_var", "temperature.norm.running_var");

  private static Map<String, String> ordered(String... pairs) {
    Map<String, String> map = new LinkedHashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      map.put(pairs[i], pairs[i + 1]);
    }
    return map;
  }

  @Override
  public String slug() {
    return "abet";
  }

  @Override
  public void check(GoldenCase golden) {
    sameConstant(golden, "cos_eps", TemperatureHead.COSINE_EPSILON);
    sameConstant(golden, "temp_eps", TemperatureHead.TEMPERATURE_EPSILON);
    Tensor features = golden.input("features");
    try (TemperatureHead head = head(golden, features.dim() == 4)) {
      head.eval();
      Tensor logits = head.forward(features);
      Tensor temperatures = head.temperature().forward(features);
      if (head.maps()) {
        golden.expect("logits", logits);
        golden.expect("temperature", temperatures);
        golden.expect("pixel_score", Abet.score(logits));
        return;
      }
      expect(golden, "eval_logits", logits);
      expect(golden, "eval_cosines", head.cosine().forward(features));
      expect(golden, "eval_temperature", temperatures);
      scores(golden, head, new Output(logits, features));
      train(golden, head, features);
    }
  }

  private static void sameConstant(GoldenCase golden, String name, double ours) {
    if (golden.params().has(name) && golden.param(name) != ours) {
      throw new OutriggerException(
          golden.file()
              + " has "
              + name
              + " = "
              + golden.param(name)
              + " instead of "
              + ours
              + ".");
    }
  }

  private static TemperatureHead head(GoldenCase golden, boolean maps) {
    Tensor weight = golden.input("class_weight");
    try (Rng rng = new Rng(0)) {
      TemperatureHead head =
          maps
              ? TemperatureHead.ofMaps(weight.size(1), weight.size(0), rng)
              : new TemperatureHead(weight.size(1), weight.size(0), rng);
      head.to(ScalarType.Double);
      Map<String, Tensor> state = new LinkedHashMap<>();
      PARAMETERS.forEach((input, name) -> put(golden, input, name(name, maps), state));
      BUFFERS.forEach((input, name) -> put(golden, input, name, state));
      // What a case does not give is as a fresh batch norm has it.
      head.loadStateDict(state, false);
      return head;
    }
  }

  private static void put(GoldenCase golden, String input, String name, Map<String, Tensor> state) {
    if (golden.hasInput(input)) {
      state.put(name, golden.input(input));
    }
  }

  private static String name(String name, boolean maps) {
    return name.formatted(maps ? "conv" : "linear");
  }

  private static void scores(GoldenCase golden, TemperatureHead head, Output output) {
    Outputs known = Outputs.withHeads(output, null, new Heads(null, null, head));
    Abet.Settings plain = Abet.Settings.defaults();
    expect(golden, "abet_score", new Abet(), known, output);
    expect(
        golden, "energy_with_forefront", new Abet(plain.withKind(Kind.FOREFRONT)), known, output);
    expect(golden, "godin_temperature", new Abet(plain.withKind(Kind.TEMPERATURE)), known, output);
    expect(golden, "msp", new Msp(), known, output);
    if (golden.hasOutput("react_score")) {
      double percentile = golden.param("react_percentile");
      expect(
          golden,
          "react_score",
          new Abet(plain.withShaping(Shaping.REACT, percentile)),
          known,
          output);
    }
    if (golden.hasOutput("dice_score")) {
      Abet dice = new Abet(plain.withShaping(Shaping.DICE, golden.param("dice_percentile")));
      dice.fit(known);
      expect(golden, "dice_masked_weight", dice.state().tensor("weight"));
      expect(golden, "dice_score", dice, known, output);
    }
  }

  private static void expect(
      GoldenCase golden, String name, Detector detector, Outputs known, Output output) {
    try (detector) {
      if (golden.hasOutput(name)) {
        detector.fit(known);
        golden.expect(name, detector.score(output));
      }
    }
  }

  private static void expect(GoldenCase golden, String name, Tensor actual) {
    if (golden.hasOutput(name)) {
      golden.expect(name, actual);
    }
  }

  private static void train(GoldenCase golden, Layer head, Tensor rows) {
    if (!golden.hasInput("labels")) {
      return;
    }
    head.train();
    Tensor features = rows.detach().requires_grad_(true);
    Tensor labels = golden.labels("labels");
    Tensor logits = head.forward(features);
    BUFFERS.forEach(
        (input, name) ->
            expect(golden, input + "_after", Objects.requireNonNull(head.stateDict().get(name))));
    Tensor loss = new Abet().training().loss(new Output(logits, features), labels);
    expect(golden, "train_loss", loss);
    List<Tensor> sources = new ArrayList<>(List.of(features));
    PARAMETERS.values().forEach(name -> sources.add(head.parameters().get(name(name, false))));
    List<Tensor> gradients = Gradients.of(loss, sources, false);
    expect(golden, "grad_features", gradients.get(0));
    int next = 1;
    for (String input : PARAMETERS.keySet()) {
      expect(golden, "grad_" + input, gradients.get(next++));
    }
    expect(golden, "train_temperature", head.get("temperature").forward(features));
  }
}
