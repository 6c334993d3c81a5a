package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.detect.MetaTask;
import org.outrigger.detect.Mol;
import org.outrigger.detect.MolGradient;
import org.outrigger.detect.MolGradient.Episode;
import org.outrigger.detect.MolGradient.Inner;
import org.outrigger.detect.MolGradient.Network;

/** Golden cases of MOL: inner steps and the outer gradient of a linear network. */
public final class MolGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "mol";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("W0") || !golden.hasInput("support_x") || !golden.hasInput("query_x")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Map<String, Tensor> weights = new LinkedHashMap<>();
    weights.put("W", golden.input("W0").requires_grad_(true));
    if (golden.hasInput("b0")) {
      weights.put("b", golden.input("b0").requires_grad_(true));
    }
    Network linear =
        (x, w) -> {
          Tensor logits = x.mm(get(w, "W").t());
          return w.containsKey("b") ? logits.add(get(w, "b")) : logits;
        };
    Mol.Settings settings = settings(golden);
    MetaTask task =
        new MetaTask(
            golden.name(),
            golden.input("support_x"),
            golden.labels("support_y"),
            golden.input("query_x"),
            golden.labels("query_y"),
            golden.hasInput("query_ood_x") ? golden.input("query_ood_x") : null);
    Inner inner =
        MolGradient.steps(linear, weights, task.support(), task.supportLabels(), settings, false);
    Episode episode = MolGradient.episode(linear, weights, List.of(task), settings);
    golden.expect("inner_losses", inner.losses());
    golden.expect("outer_loss", episode.loss());
    inner.weights().forEach((name, tensor) -> golden.expect("adapted_" + name, tensor));
    episode.gradient().forEach((name, tensor) -> golden.expect("meta_grad_" + name, tensor));
  }

  private static Mol.Settings settings(GoldenCase golden) {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("innerRate", golden.param("inner_lr"));
    changes.put("innerSteps", (int) golden.param("inner_steps"));
    changes.put("lambda", golden.param("lambda"));
    changes.put("marginIn", golden.param("m_in"));
    changes.put("marginOut", golden.param("m_out"));
    String order = golden.params().path("order").asString("second");
    changes.put("order", order.equals("first") ? Mol.Order.FIRST : Mol.Order.SECOND);
    try (Mol mol = Methods.create(Mol.class, "mol", changes)) {
      return mol.settings();
    }
  }

  private static Tensor get(Map<String, Tensor> weights, String name) {
    Tensor weight = weights.get(name);
    if (weight == null) {
      throw new IllegalStateException("no weight " + name);
    }
    return weight;
  }
}
