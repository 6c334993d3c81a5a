package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Eata;
import org.outrigger.adapt.Usage;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Tensors;

/** Golden cases of EATA: streams through the small network, with and without the Fisher leash. */
public final class EataGolden implements GoldenSuite {
  private static final String FISHER = "fisher.";

  @Override
  public String slug() {
    return "eata";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!TinyNetwork.in(golden) || !golden.hasInput("x") || !golden.hasOutput("num_selected")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    boolean leash = golden.hasInput("fisher_x");
    try (NeuralModel model = TinyNetwork.of(golden);
        Eata eata = Methods.create(Eata.class, "eata", settings(golden, model, leash))) {
      if (leash) {
        List<Tensor> batches = TinyNetwork.batches(golden, "fisher_x");
        try (TensorDataset source = source(batches.get(0))) {
          eata.start(model, source);
        }
        eata.anchor(batches);
        State state = eata.state();
        for (String output : golden.outputs()) {
          if (output.startsWith(FISHER)) {
            golden.expect(
                output, state.tensor("statistics/fisher/" + output.substring(FISHER.length())));
          }
        }
      } else {
        eata.start(model, null);
      }
      stream(golden, eata, model.classes());
    }
  }

  private static Map<String, Object> settings(
      GoldenCase golden, NeuralModel model, boolean leash) {
    Map<String, Object> changes = StreamGolden.descent(golden);
    changes.put("E0", golden.param("e_margin_value") / Math.log(model.classes()));
    changes.put("eps", golden.param("d_margin"));
    changes.put("beta", leash ? golden.param("fisher_alpha") : 0);
    return changes;
  }

  /** What starting needs; the case's own batches replace what is learned from it. */
  private static TensorDataset source(Tensor inputs) {
    return TensorDataset.builder(inputs).name("fisher").build();
  }

  private static void stream(GoldenCase golden, Eata eata, int classes) {
    List<Usage> usages = new ArrayList<>(List.of(eata.usage()));
    Map<String, StreamGolden.Part> parts = new LinkedHashMap<>();
    parts.put(
        "model_probs_after",
        state -> {
          usages.add(eata.usage());
          Tensor mean = state.tensors().get("memory/mean");
          return mean != null ? mean : Tensors.of(new double[classes], classes);
        });
    StreamGolden.run(golden, eata, parts);
    double[] reliable = new double[usages.size() - 1];
    double[] selected = new double[usages.size() - 1];
    for (int t = 0; t < reliable.length; t++) {
      Usage before = usages.get(t);
      Usage now = usages.get(t + 1);
      reliable[t] = now.reliable() - before.reliable();
      selected[t] = now.backward() - before.backward();
    }
    golden.expect("num_reliable", reliable);
    golden.expect("num_selected", selected);
  }
}
