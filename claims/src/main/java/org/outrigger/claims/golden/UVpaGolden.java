package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.edge.DropoutUncertainty;
import org.outrigger.core.OutriggerException;

/** Golden cases of U-VPA: uncertainty of passes with dropout, selection, momentum and averages. */
public final class UVpaGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "u-vpa";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("mc_probs")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Tensor passes = golden.input("mc_probs");
    Tensor variance = DropoutUncertainty.VARIANCE.of(passes);
    golden.expect("variance_uncertainty", variance);
    golden.expect("predictive_entropy", DropoutUncertainty.PREDICTIVE_ENTROPY.of(passes));
    golden.expect("mutual_information", DropoutUncertainty.MUTUAL_INFORMATION.of(passes));
    golden.expect("selected", DropoutUncertainty.most(variance, golden.param("fraction")));
    double rate = golden.param("ema_rate");
    double momentum =
        DropoutUncertainty.momentum(rate, golden.param("scale"), variance.mean().item_double());
    golden.expect("prompt_momentum", momentum);
    golden.expect("ema_prompt_after", average(golden, "prompt", momentum));
    golden.expect("ema_weight_after", average(golden, "weight", rate));
  }

  private static Tensor average(GoldenCase golden, String name, double momentum) {
    return DropoutUncertainty.average(golden.input("ema_" + name), golden.input(name), momentum);
  }
}
