package org.outrigger.claims.golden;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Cafa;
import org.outrigger.adapt.ClassGaussians;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;

/** Golden cases of CAFA: source Gaussians, distances, loss and gradient. */
public final class CafaGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "cafa";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("source_features") || !golden.hasInput("test_features")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Tensor source = golden.input("source_features");
    boolean tied = golden.params().path("covariance").asString("per-class").equals("tied");
    ClassGaussians gaussians =
        new ClassGaussians((long) golden.param("classes"), source.size(1), tied);
    gaussians.add(source, golden.labels("source_labels"));
    Tensor covariances =
        Cafa.ridged(gaussians.covariances(), golden.params().path("shrink_eps").asDouble(0));
    Tensor factor = Cafa.factor(covariances);
    Tensor features = golden.input("test_features").requires_grad_(true);
    Tensor predicted = golden.input("test_logits").argmax(new LongOptional(1), false);
    Tensor distances = Cafa.distances(features, gaussians.means(), factor);
    Tensor intra = Cafa.intra(distances, predicted);
    Tensor loss = Cafa.losses(features, predicted, gaussians.means(), factor).mean();
    golden.expect("class_means", gaussians.means());
    golden.expect("covariances", covariances);
    golden.expect("distances", distances);
    golden.expect("pseudo_labels", predicted);
    golden.expect("intra", intra);
    golden.expect("inter", Cafa.inter(distances, intra));
    golden.expect("loss", loss);
    golden.expect("grad_test_features", Gradients.of(loss, features));
  }
}
