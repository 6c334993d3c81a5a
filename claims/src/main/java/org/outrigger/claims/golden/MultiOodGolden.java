package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.detect.Discrepancy;
import org.outrigger.detect.MultiOod;
import org.outrigger.detect.NpMix;

/**
 * Golden cases of MultiOOD: A2D with each distance, and whole steps of linear heads. A modality is
 * known by its first letter: {@code video_features} has the head {@code Wv}, {@code bv}.
 */
public final class MultiOodGolden implements GoldenSuite {
  private static final List<String> MODALITIES = List.of("video", "flow", "audio");

  @Override
  public String slug() {
    return "multiood";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("logits_video")) {
      losses(golden);
    } else if (golden.hasInput("video_features") && golden.hasInput("memory")) {
      step(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static Discrepancy distance(String name) {
    return name.equals("l2") ? Discrepancy.MSE : Discrepancy.valueOf(name.toUpperCase(Locale.ROOT));
  }

  private static void losses(GoldenCase golden) {
    Map<String, Tensor> logits = new LinkedHashMap<>();
    for (String modality : MODALITIES) {
      if (golden.hasInput("logits_" + modality)) {
        logits.put(
            modality.substring(0, 1), golden.input("logits_" + modality).requires_grad_(true));
      }
    }
    Tensor labels = golden.labels("labels");
    List<Tensor> all = List.copyOf(logits.values());
    for (String name : golden.outputs()) {
      if (name.startsWith("normalized_entropy_")) {
        Tensor one = logits.get(name.substring("normalized_entropy_".length()));
        if (one != null) {
          golden.expect(name, MultiOod.normalisedEntropy(one));
        }
      } else if (name.startsWith("a2d_") && !name.contains("_grad_")) {
        Tensor loss =
            MultiOod.agreeToDisagree(all, labels, distance(name.substring("a2d_".length())));
        golden.expect(name, loss);
        List<String> letters = List.copyOf(logits.keySet());
        List<Tensor> gradients = Gradients.of(loss, all, false);
        for (int i = 0; i < letters.size(); i++) {
          if (golden.hasOutput(name + "_grad_" + letters.get(i))) {
            golden.expect(name + "_grad_" + letters.get(i), gradients.get(i));
          }
        }
      }
    }
  }

  private static void step(GoldenCase golden) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    TensorVector embeddings = new TensorVector();
    List<Tensor> own = new ArrayList<>();
    List<Long> widths = new ArrayList<>();
    List<String> letters = new ArrayList<>();
    for (String modality : MODALITIES) {
      if (golden.hasInput(modality + "_features")) {
        String letter = modality.substring(0, 1);
        Tensor features = golden.input(modality + "_features");
        embeddings.push_back(features);
        widths.add(features.size(1));
        letters.add(letter);
        own.add(logits(golden, letter, features, weights));
      }
    }
    Tensor features = torch.cat(embeddings, 1);
    Tensor labels = golden.labels("labels");
    Tensor joint = logits(golden, "m", features, weights);
    Tensor memory = NpMix.push(golden.input("memory"), features, labels);
    golden.expect("fused_logits", joint);
    golden.expect("memory_after", memory);
    List<Tensor> outliers = List.of();
    if (golden.param("epoch") >= golden.param("start_epoch")) {
      Tensor made = outliers(golden, memory);
      golden.expect("outliers", made);
      List<Tensor> said = new ArrayList<>();
      long from = 0;
      for (int i = 0; i < widths.size(); i++) {
        said.add(logits(golden, letters.get(i), made.narrow(1, from, widths.get(i)), weights));
        from += widths.get(i);
      }
      outliers = said;
    }
    Tensor loss = MultiOod.loss(joint, own, labels, outliers, settings(golden));
    golden.expect("loss", loss);
    List<String> names = List.copyOf(weights.keySet());
    List<Tensor> gradients = Gradients.of(loss, List.copyOf(weights.values()), false);
    for (int i = 0; i < names.size(); i++) {
      if (golden.hasOutput("grad_" + names.get(i))) {
        golden.expect("grad_" + names.get(i), gradients.get(i));
      }
    }
  }

  private static Tensor outliers(GoldenCase golden, Tensor memory) {
    Tensor prototypes = NpMix.prototypes(memory);
    if (golden.hasOutput("prototypes")) {
      golden.expect("prototypes", prototypes);
    }
    Tensor neighbour = golden.labels("drawn_neighbour_class");
    Tensor nearby = NpMix.neighbours(prototypes, (int) golden.param("nn_k"));
    if (!nearby.eq(neighbour.unsqueeze(1)).any(1).all().item_bool()) {
      throw new OutriggerException(
          golden.file() + " drew a class that is not among the neighbours that were found.");
    }
    return NpMix.mix(
        memory,
        new NpMix.Draws(
            golden.labels("drawn_row_i"),
            neighbour,
            golden.labels("drawn_row_j"),
            golden.input("drawn_lambda")));
  }

  private static MultiOod.Settings settings(GoldenCase golden) {
    return new MultiOod.Settings(
        golden.param("a2d_ratio"),
        golden.param("a2d_ratio_ood"),
        golden.param("ood_entropy_ratio"),
        distance(golden.params().path("distance").asString("hellinger")),
        (int) golden.param("nn_k"),
        golden.param("mixup_alpha"),
        (int) golden.param("sample_number"),
        (int) golden.param("start_epoch"),
        golden.params().path("use_single_pred").asBoolean(true),
        0);
  }

  /** Logits of the head of that letter, whose weights are made once. */
  private static Tensor logits(
      GoldenCase golden, String letter, Tensor features, Map<String, Tensor> weights) {
    Tensor weight = weights.computeIfAbsent("W" + letter, name -> trained(golden, name));
    Tensor bias = weights.computeIfAbsent("b" + letter, name -> trained(golden, name));
    return torch.addmm(bias, features, weight.t());
  }

  private static Tensor trained(GoldenCase golden, String name) {
    return golden.input(name).requires_grad_(true);
  }
}
