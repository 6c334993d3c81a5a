package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.detect.Gram;
import org.outrigger.detect.KlMatching;
import org.outrigger.detect.Odin;
import org.outrigger.detect.OpenMax;
import tools.jackson.databind.JsonNode;

/** Scores that need more than one set of logits or features: inputs, maps, class statistics. */
final class OodMapsGolden {
  private OodMapsGolden() {}

  /** Whether the case is of one of these kinds. */
  static boolean knows(GoldenCase golden) {
    return golden.hasOutput("input_gradient")
        || golden.hasInput("train_maps")
        || golden.hasInput("weibull_c_scale_min")
        || golden.hasInput("val_logits");
  }

  static void check(GoldenCase golden) {
    if (golden.hasOutput("input_gradient")) {
      odin(golden);
    } else if (golden.hasInput("train_maps")) {
      gram(golden);
    } else if (golden.hasInput("weibull_c_scale_min")) {
      openMax(golden);
    } else {
      klMatching(golden);
    }
  }

  private static void odin(GoldenCase golden) {
    Tensor w1 = golden.input("W1");
    Tensor b1 = golden.input("b1");
    Tensor w2 = golden.input("W2");
    Tensor b2 = golden.input("b2");
    UnaryOperator<Tensor> network =
        x -> torch.addmm(b2, torch.addmm(b1, x.flatten(1, -1), w1.t()).tanh(), w2.t());
    Tensor x = golden.input("x");
    double temperature = golden.param("temperature");
    List<Double> std = new ArrayList<>();
    for (JsonNode value : golden.params().path("input_std")) {
      std.add(value.asDouble());
    }
    Tensor gradient = Odin.inputGradient(network, x, temperature);
    Tensor moved = Odin.perturb(x, gradient, golden.param("noise"), std);
    Tensor logits = network.apply(moved);
    golden.expect("input_gradient", gradient);
    golden.expect("score", Odin.score(logits, temperature));
    golden.expect("pred", logits.argmax(new LongOptional(1), false));
  }

  private static void gram(GoldenCase golden) {
    Tensor held = null;
    Tensor tested = null;
    for (JsonNode power : golden.params().path("powers")) {
      int p = power.asInt();
      Tensor train = Gram.values(golden.input("train_maps"), p);
      Tensor test = Gram.values(golden.input("test_maps"), p);
      Tensor min = train.amin(new long[] {0}, false);
      Tensor max = train.amax(new long[] {0}, false);
      golden.expect("G_p" + p + "_test", test);
      golden.expect("min_p" + p, min);
      golden.expect("max_p" + p, max);
      Tensor known = Gram.deviation(Gram.values(golden.input("val_maps"), p), min, max);
      Tensor deviation = Gram.deviation(test, min, max);
      held = held == null ? known : held.add(known);
      tested = tested == null ? deviation : tested.add(deviation);
    }
    if (held != null && tested != null) {
      golden.expect("normaliser", held.mean());
      golden.expect("deviation_one_layer_one_class", tested.div(held.mean()));
    }
  }

  private static void openMax(GoldenCase golden) {
    Tensor logits = golden.input("test_logits");
    Tensor centres = OpenMax.centres(golden.input("train_logits"), golden.labels("train_labels"));
    Tensor distances = OpenMax.distances(logits, centres, golden.param("euclid_weight"));
    Tensor extremeness =
        OpenMax.extremeness(
            distances, golden.input("weibull_c_scale_min"), golden.param("translation"));
    Tensor probabilities = OpenMax.probabilities(logits, extremeness, (int) golden.param("alpha"));
    golden.expect("centers", centres);
    golden.expect("probabilities", probabilities);
    golden.expect("score", probabilities.select(1, 0));
  }

  private static void klMatching(GoldenCase golden) {
    Tensor templates = KlMatching.templates(golden.input("val_logits"));
    golden.expect("kl_templates", templates);
    golden.expect("kl_matching", KlMatching.score(golden.input("test_logits"), templates));
  }
}
