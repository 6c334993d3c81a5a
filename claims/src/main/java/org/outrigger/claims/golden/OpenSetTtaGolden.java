package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Entropies;
import org.outrigger.adapt.OpenSetTta;
import org.outrigger.adapt.Tent;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Gradients;

/** Golden cases of open-set TTA: its loss on given logits, and a stream through the small network. */
public final class OpenSetTtaGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "open-set-tta";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("source_logits") && golden.hasInput("adapted_logits")) {
      loss(golden);
    } else if (TinyNetwork.in(golden) && golden.hasInput("x")) {
      stream(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static double margin(GoldenCase golden) {
    return golden.params().path("margin").asDouble(0);
  }

  private static void loss(GoldenCase golden) {
    Tensor source = golden.input("source_logits");
    Tensor adapted = golden.input("adapted_logits").requires_grad_(true);
    Tensor keep = OpenSetTta.keep(source, adapted, margin(golden));
    Tensor selected = Entropies.masked(Entropies.entropy(adapted), keep);
    Tensor loss =
        selected.add(OpenSetTta.diversity(adapted, golden.param("lambda_mean_entropy")));
    golden.expect("source_class", source.argmax(new LongOptional(1), false));
    golden.expect("source_confidence", OpenSetTta.confidence(source, source));
    golden.expect("adapted_confidence", OpenSetTta.confidence(adapted, source));
    golden.expect("keep", keep);
    golden.expect("entropy", Entropies.entropy(adapted));
    golden.expect("marginal_entropy", Entropies.ofMean(adapted));
    if (keep.any().item_bool()) {
      golden.expect("selected_mean_entropy", selected);
      golden.expect("loss", loss);
    } else {
      String reason = "the mean over no rows is left out here, and not a number in the reference";
      golden.deviates("selected_mean_entropy", reason);
      golden.deviates("loss", reason);
    }
    golden.expect("grad_adapted_logits", Gradients.of(loss, adapted));
  }

  private static void stream(GoldenCase golden) {
    Map<String, Object> settings =
        Map.of("lambda", golden.param("lambda_mean_entropy"), "margin", margin(golden));
    try (NeuralModel model = TinyNetwork.of(golden);
        Adapter adapter =
            Methods.create(OpenSetTta.class, "open-set-tta", settings)
                .over(Methods.create(Tent.class, "tent", StreamGolden.descent(golden)))) {
      adapter.start(model, null);
      List<Tensor> adapted = StreamGolden.run(golden, adapter, Map.of());
      List<Tensor> masks = new ArrayList<>();
      List<Tensor> batches = TinyNetwork.batches(golden, "x");
      for (int t = 0; t < batches.size(); t++) {
        Tensor source = model.forwardOnBatchStatistics(batches.get(t)).logits();
        masks.add(OpenSetTta.keep(source, adapted.get(t), margin(golden)));
      }
      Tensor keep = StreamGolden.stack(masks);
      golden.expect("keep", keep);
      if (keep.sum().item_long() != adapter.usage().backward()) {
        throw new OutriggerException(
            "The adapter learned from " + adapter.usage().backward() + " rows, not " + keep.sum());
      }
    }
  }
}
