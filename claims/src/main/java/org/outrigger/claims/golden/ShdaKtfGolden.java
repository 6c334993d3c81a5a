package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.HeterogeneousData;
import org.outrigger.adapt.Ktf;
import org.outrigger.adapt.OfflineAdapter;
import org.outrigger.adapt.SoftTransfer;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;

/** Golden cases of KTF and of STN beside it: losses, gradients, steps. */
public final class ShdaKtfGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "shda-ktf";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("source_projected") && golden.hasInput("w1")) {
      ktf(golden);
    } else if (golden.hasInput("xs") && golden.hasInput("s_w1")) {
      stn(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static HeterogeneousData data(GoldenCase golden, String source) {
    return new HeterogeneousData(
        golden.input(source),
        golden.labels("ys"),
        golden.input("xl"),
        golden.labels("yl"),
        golden.input("xu"));
  }

  private static Map<String, Tensor> weights(GoldenCase golden, List<String> names) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    names.forEach(name -> weights.put(name, golden.input(name).requires_grad_(true)));
    return weights;
  }

  private static void gradients(GoldenCase golden, Tensor loss, Map<String, Tensor> weights) {
    List<Tensor> gradients = Gradients.of(loss, List.copyOf(weights.values()), false);
    int next = 0;
    for (String name : weights.keySet()) {
      Tensor gradient = gradients.get(next++);
      if (golden.hasOutput("grad_" + name)) {
        golden.expect("grad_" + name, gradient);
      }
    }
  }

  private static void expect(GoldenCase golden, Map<String, Tensor> results) {
    results.forEach(
        (name, tensor) -> {
          if (golden.hasOutput(name)) {
            golden.expect(name, tensor);
          }
        });
  }

  private static void ktf(GoldenCase golden) {
    HeterogeneousData data = data(golden, "source_projected");
    Map<String, Tensor> weights = weights(golden, List.of("w1", "b1", "w2", "b2"));
    Ktf.Settings settings =
        new Ktf.Settings(
            golden.param("tau"),
            golden.param("beta"),
            golden.param("mu"),
            golden.params().path("lr").asDouble(0.001),
            golden.params().path("steps").asInt(1),
            0);
    Ktf.Losses losses = Ktf.losses(data, weights, settings);
    Map<String, Tensor> results = new LinkedHashMap<>();
    results.put("total", losses.total());
    results.put("loss_target_labelled", losses.target());
    results.put("loss_source", losses.source());
    results.put("mmd_marginal", losses.marginal());
    results.put("mmd_conditional", losses.conditional());
    results.put("mmd", losses.mmd());
    results.put("regulariser", losses.decay());
    results.put("pseudo_probs", losses.soft());
    results.put("proj_labelled", losses.projectedLabelled());
    results.put("proj_unlabelled", losses.projectedUnlabelled());
    expect(golden, results);
    gradients(golden, losses.total(), weights);
    double[] trace = Ktf.train(data, weights, settings, OfflineAdapter.Listener.NONE);
    if (golden.hasOutput("loss_trace")) {
      golden.expect("loss_trace", trace);
    }
    weights.forEach((name, tensor) -> expect(golden, Map.of("after_" + name, tensor)));
  }

  private static void stn(GoldenCase golden) {
    Map<String, Tensor> weights =
        weights(
            golden,
            List.of("s_w1", "s_b1", "s_w2", "s_b2", "t_w1", "t_b1", "t_w2", "t_b2", "f_w", "f_b"));
    SoftTransfer.Settings usual = SoftTransfer.Settings.defaults();
    SoftTransfer.Settings settings =
        new SoftTransfer.Settings(
            golden.param("beta"),
            golden.param("tau"),
            usual.rate(),
            usual.iterations(),
            usual.width(),
            0);
    SoftTransfer.Losses losses =
        SoftTransfer.losses(
            data(golden, "xs"), weights, golden.param("t") / golden.param("T"), settings);
    Map<String, Tensor> results = new LinkedHashMap<>();
    results.put("total", losses.total());
    results.put("ce", losses.crossEntropy());
    results.put("mmd_marginal", losses.marginal());
    results.put("mmd_conditional", losses.conditional());
    results.put("regulariser", losses.decay());
    expect(golden, results);
    gradients(golden, losses.total(), weights);
  }
}
