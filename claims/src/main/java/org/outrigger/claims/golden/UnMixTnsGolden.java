package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.UnMixNorm;
import org.outrigger.adapt.UnMixTns;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/** Golden cases of UnMix-TNS: one layer over several batches, and its gradients on the last. */
public final class UnMixTnsGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "unmix-tns";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("x") || !golden.hasInput("source_mean")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Tensor x = golden.input("x");
    int components = (int) golden.param("K");
    // One batch moves the components by the momentum itself, unless the case says otherwise.
    int largest = golden.params().path("batch_max").asInt((int) x.size(1));
    UnMixTns.Settings settings =
        new UnMixTns.Settings(
            components, golden.param("temperature"), golden.param("alpha_init"), largest, 0);
    try (BatchNorm2d norm =
            GoldenNorms.of(golden, "source_mean", "source_var", golden.param("momentum"));
        UnMixNorm layer = new UnMixNorm(norm, settings, noise(golden, components))) {
      golden.expect("means_init", layer.tensor(UnMixNorm.MEANS));
      golden.expect("vars_init", layer.tensor(UnMixNorm.VARIANCES));
      List<Tensor> outputs = new ArrayList<>();
      List<Tensor> wanted = new ArrayList<>();
      Tensor last = x.select(0, x.size(0) - 1).clone().requires_grad_(true);
      for (long t = 0; t < x.size(0); t++) {
        Tensor batch = t == x.size(0) - 1 ? last : x.select(0, t);
        outputs.add(Scopes.grad(true, () -> layer.forward(batch)));
      }
      Tensor y = outputs.get(outputs.size() - 1);
      golden.expect("y", StreamGolden.stack(outputs));
      golden.expect("means_after", layer.tensor(UnMixNorm.MEANS));
      golden.expect("vars_after", layer.tensor(UnMixNorm.VARIANCES));
      List<String> names = new ArrayList<>(List.of("grad_x_last"));
      wanted.add(last);
      for (String name : List.of("weight", "bias")) {
        if (layer.has(name)) {
          wanted.add(layer.tensor(name));
          names.add("grad_" + name + "_last");
        }
      }
      if (golden.hasInput("loss_weights")) {
        Tensor weights = golden.input("loss_weights");
        Tensor loss = Scopes.grad(true, () -> y.mul(weights).sum());
        List<Tensor> gradients = Gradients.of(loss, wanted, false);
        for (int i = 0; i < names.size(); i++) {
          golden.expect(names.get(i), gradients.get(i));
        }
      }
    }
  }

  private static Tensor noise(GoldenCase golden, int components) {
    return golden.hasInput("init_noise")
        ? golden.input("init_noise")
        : torch.zeros(components, golden.input("source_mean").size(0));
  }
}
