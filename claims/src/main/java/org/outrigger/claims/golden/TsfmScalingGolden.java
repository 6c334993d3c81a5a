package org.outrigger.claims.golden;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.zoo.series.PackedSeries;
import org.outrigger.core.zoo.series.SeriesBlock;
import org.outrigger.core.zoo.series.SeriesConfig;
import org.outrigger.core.zoo.series.SeriesScale;
import org.outrigger.core.zoo.series.StudentTMixture;
import org.outrigger.select.scaling.Axis;
import org.outrigger.select.scaling.Envelope;
import org.outrigger.select.scaling.PowerLaw;

/** Golden cases of scaling laws: layers, scaler, loss, mixture, schedule, and the fits. */
public final class TsfmScalingGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "tsfm-scaling";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("Wq")) {
      layer(golden);
    } else if (golden.hasInput("weight_logits")) {
      mixture(golden);
    } else if (golden.hasInput("prediction_mask")) {
      scaler(golden);
    } else if (golden.hasInput("step")) {
      schedule(golden);
    } else if (golden.hasInput("step_index")) {
      envelope(golden);
    } else if (golden.hasInput("x") && golden.hasInput("y")) {
      law(golden, golden.values("x"), golden.values("y"));
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void law(GoldenCase golden, double[] x, double[] y) {
    PowerLaw law = PowerLaw.fit(x, y);
    Map<String, Double> found = new LinkedHashMap<>();
    found.put("alpha", law.alpha());
    found.put("log10_x0", law.log10X0());
    found.put("x0", Math.pow(10, law.log10X0()));
    found.put("r2", law.r2());
    found.put("slope", law.slope());
    found.put("intercept", law.intercept());
    found.forEach(
        (name, value) -> {
          if (golden.hasOutput(name)) {
            golden.expect(name, value);
          }
        });
    if (golden.hasOutput("log10_fit")) {
      golden.expect(
          "log10_fit", Arrays.stream(golden.values("x")).map(v -> Math.log10(law.at(v))).toArray());
    }
  }

  private static void envelope(GoldenCase golden) {
    double[] parameters = golden.values("params");
    double[] steps = golden.values("step_index");
    double[] compute = new double[parameters.length * steps.length];
    for (int i = 0; i < compute.length; i++) {
      compute[i] =
          Axis.compute(
                  parameters[i / steps.length],
                  golden.param("batch"),
                  golden.param("seq_len"),
                  steps[i % steps.length])
              * (golden.param("flop_factor") / 6)
              * (Axis.PF_DAY / golden.param("flops_per_pf_day"));
    }
    golden.expect("compute_pf_days", compute);
    Envelope envelope = Envelope.of(compute, golden.values("loss"));
    golden.expect("envelope_x", envelope.x());
    golden.expect("envelope_y", envelope.y());
    PowerLaw law = PowerLaw.fit(envelope.x(), envelope.y());
    golden.expect("alpha", law.alpha());
    golden.expect("log10_x0", law.log10X0());
    if (golden.hasOutput("r2")) {
      golden.expect("r2", law.r2());
    }
  }

  private static void schedule(GoldenCase golden) {
    Schedule schedule =
        Schedule.warmUpCosine(
            (long) golden.param("warmup"),
            (long) golden.param("total"),
            (int) golden.params().path("cycles").asDouble(1));
    golden.expect(
        "multiplier",
        Arrays.stream(golden.values("step")).map(step -> schedule.factor((long) step)).toArray());
  }

  private static void scaler(GoldenCase golden) {
    Tensor observed = golden.input("observed").to(ScalarType.Bool);
    Tensor predicted = golden.input("prediction_mask").to(ScalarType.Bool);
    Tensor sample = golden.labels("sample_id");
    Tensor variate = golden.labels("variate_id");
    SeriesScale scale =
        SeriesScale.of(
            golden.input("target"),
            observed.logical_and(predicted.logical_not().unsqueeze(-1)),
            sample,
            variate,
            golden.params().path("correction").asDouble(1),
            golden.params().path("minimum_scale").asDouble(SeriesScale.MINIMUM));
    golden.expect("loc", scale.loc());
    golden.expect("scale", scale.scale());
    if (golden.hasInput("element_loss")) {
      golden.expect(
          "reduced_loss",
          PackedSeries.meanLoss(
              golden.input("element_loss"), observed, sample, variate, predicted));
    }
  }

  private static void mixture(GoldenCase golden) {
    List<String> order = List.of("df", "loc", "scale");
    List<String> given =
        golden.params().has("raw_order")
            ? golden.params().path("raw_order").valueStream().map(n -> n.asString("")).toList()
            : order;
    if (!given.equals(order)) {
      throw new OutriggerException(
          golden.file() + " has its raw values in the unknown order " + given + ".");
    }
    Tensor raw = golden.input("raw").requires_grad_(true);
    Tensor logits = golden.input("weight_logits").requires_grad_(true);
    StudentTMixture mixture =
        new StudentTMixture(raw, logits, golden.input("loc"), golden.input("scale"));
    Tensor nll = mixture.negativeLogLikelihood(golden.input("x"));
    golden.expect("nll", nll);
    List<Tensor> gradients = Gradients.of(nll.sum(), List.of(raw, logits), false);
    if (golden.hasOutput("grad_raw")) {
      golden.expect("grad_raw", gradients.get(0));
    }
    if (golden.hasOutput("grad_logits")) {
      golden.expect("grad_logits", gradients.get(1));
    }
  }

  private static void layer(GoldenCase golden) {
    Tensor x = golden.input("x");
    int width = (int) x.size(-1);
    SeriesConfig config =
        SeriesConfig.of(
            golden.params().path("causal").asBoolean(false), width, 1, (int) golden.param("heads"));
    Map<String, Tensor> state = new LinkedHashMap<>();
    state.put("self_attn.q_proj.weight", golden.input("Wq"));
    state.put("self_attn.k_proj.weight", golden.input("Wk"));
    state.put("self_attn.v_proj.weight", golden.input("Wv"));
    state.put("self_attn.out_proj.weight", golden.input("Wo"));
    state.put("self_attn.q_norm.weight", golden.input("q_norm"));
    state.put("self_attn.k_norm.weight", golden.input("k_norm"));
    state.put("ffn.fc1.weight", golden.input("ffn_fc1"));
    state.put("ffn.fc_gate.weight", golden.input("ffn_gate"));
    state.put("ffn.fc2.weight", golden.input("ffn_fc2"));
    state.put("norm1.weight", golden.input("norm1"));
    state.put("norm2.weight", golden.input("norm2"));
    try (Rng rng = new Rng(0);
        SeriesBlock block = new SeriesBlock(config, rng)) {
      block.to(ScalarType.Double);
      block.loadStateDict(state, true);
      Tensor batch = x.unsqueeze(0);
      Tensor sample = golden.labels("sample_id").unsqueeze(0);
      Tensor time = golden.labels("time_id").unsqueeze(0);
      if (golden.hasOutput("attention")) {
        golden.expect("attention", block.attention(batch, sample, time).squeeze(0));
      }
      if (golden.hasOutput("y")) {
        golden.expect("y", block.run(batch, sample, time).squeeze(0));
      }
      if (golden.hasOutput("grad_x")) {
        Tensor leaf = batch.detach().requires_grad_(true);
        Tensor sum = block.run(leaf, sample, time).mul(new Scalar(1)).sum();
        golden.expect("grad_x", Gradients.of(sum, leaf).squeeze(0));
      }
    }
  }
}
