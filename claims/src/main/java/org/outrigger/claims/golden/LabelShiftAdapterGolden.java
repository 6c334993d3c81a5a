package org.outrigger.claims.golden;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.LabelShiftAdapter;
import org.outrigger.adapt.LabelShiftNetwork;
import org.outrigger.adapt.LabelShiftNetwork.Change;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/** Golden cases of the label shift adapter: the changed head, its loss, the estimated mix. */
public final class LabelShiftAdapterGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "label-shift-adapter";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("source_counts") || !golden.hasInput("A1")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Tensor prior = LabelShiftAdapter.prior(golden.input("source_counts"));
    Tensor direction = LabelShiftAdapter.direction(prior);
    golden.expect("p_source", prior);
    golden.expect("m", direction);
    head(golden, prior, direction);
    mixes(golden, direction);
  }

  private static void head(GoldenCase golden, Tensor prior, Tensor direction) {
    Tensor mix = golden.input("pi");
    Tensor degree = LabelShiftAdapter.degree(direction, mix);
    LinearHead head = new LinearHead(golden.input("W"), golden.input("b"));
    Tensor a2 = golden.input("A2").requires_grad_(true);
    Tensor c2 = golden.input("c2").requires_grad_(true);
    LabelShiftNetwork network =
        new LabelShiftNetwork(golden.input("A1").view(-1, 1), golden.input("c1"), a2, c2, 0);
    Scopes.grad(
        true,
        () -> {
          Tensor h = golden.input("h");
          Change change = network.change(degree, head.weight().size(0), h.size(1));
          Tensor logits = change.apply(h, head);
          Tensor loss =
              LabelShiftNetwork.loss(logits, golden.labels("y"), prior, mix, golden.param("tau"));
          List<Tensor> gradients = Gradients.of(loss, List.of(a2, c2), false);
          golden.expect("s", degree);
          golden.expect("gamma", change.gamma());
          golden.expect("beta", change.beta());
          golden.expect("delta_W", change.weight());
          golden.expect("delta_b", change.bias());
          golden.expect("logits", logits);
          golden.expect("loss", loss);
          golden.expect("grad_A2", gradients.get(0));
          golden.expect("grad_c2", gradients.get(1));
          return true;
        });
  }

  private static void mixes(GoldenCase golden, Tensor direction) {
    Tensor batches = golden.input("stream_probs");
    Tensor mix = torch.full_like(direction, new Scalar(1.0 / direction.size(0)));
    TensorVector mixes = new TensorVector();
    double[] degrees = new double[(int) batches.size(0)];
    for (int t = 0; t < degrees.length; t++) {
      mix = LabelShiftAdapter.track(mix, batches.select(0, t).mean(0), golden.param("alpha"));
      mixes.push_back(mix);
      degrees[t] = LabelShiftAdapter.degree(direction, mix).item_double();
    }
    golden.expect("pi_estimates", torch.stack(mixes, 0));
    golden.expect("s_estimates", degrees);
  }
}
