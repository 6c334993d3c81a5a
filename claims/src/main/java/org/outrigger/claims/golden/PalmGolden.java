package org.outrigger.claims.golden;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.optim.TrainingListener.Plan;
import org.outrigger.core.torch.Gradients;
import org.outrigger.detect.Palm;
import org.outrigger.detect.PrototypeMixture;
import org.outrigger.detect.Ssd;

/** Golden cases of PALM: whole steps, the pace of training, and scores of SSD+. */
public final class PalmGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "palm";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("prototypes")) {
      step(golden);
    } else if (golden.hasInput("train_features")) {
      scores(golden);
    } else if (golden.hasInput("steps")) {
      pace(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  /** Rows are all samples in the first view, then all in the next. */
  private static void step(GoldenCase golden) {
    Tensor features = golden.input("features").requires_grad_(true);
    Tensor embeddings = features.transpose(0, 1).flatten(0, 1);
    Tensor labels = golden.labels("labels").repeat(features.size(1));
    double lambda = golden.param("lambda_pcon");
    Palm.Settings settings =
        new Palm.Settings(
            (int) golden.param("cache_size"),
            (int) golden.param("k"),
            golden.param("proto_m"),
            golden.param("temp"),
            golden.param("epsilon"),
            (int) golden.param("sinkhorn_iters"),
            lambda,
            (int) features.size(2),
            true,
            0);
    PrototypeMixture step =
        PrototypeMixture.step(
            embeddings,
            golden.input("prototypes"),
            labels,
            (long) golden.param("num_classes"),
            settings);
    golden.expect("Q_before", step.before());
    golden.expect("Q_after", step.after());
    golden.expect("new_prototypes", step.prototypes());
    golden.expect("mle", step.likelihood());
    // This output has its weight in it, and the gradient of its name has not.
    golden.expect("proto_contra", step.contrast().item_double() * lambda);
    golden.expect("loss", step.loss(lambda));
    gradient(golden, "grad_mle", step.likelihood(), features);
    gradient(golden, "grad_proto_contra_unweighted", step.contrast(), features);
    gradient(golden, "grad_features", step.loss(lambda), features);
  }

  private static void gradient(GoldenCase golden, String name, Tensor loss, Tensor features) {
    golden.expect(name, Gradients.of(loss, List.of(features), true).get(0));
  }

  private static void scores(GoldenCase golden) {
    Tensor train = golden.input("train_features");
    Tensor test = golden.input("test_features");
    for (boolean twice : new boolean[] {false, true}) {
      try (Ssd ssd = new Ssd(new Ssd.Settings(twice))) {
        ssd.fit(Outputs.of(train, train, null, null));
        golden.expect(
            twice ? "score_official_code" : "score_ssd_plus_clean",
            ssd.score(new Output(test, test)));
      }
    }
  }

  private static void pace(GoldenCase golden) {
    Plan plan = new Plan((int) golden.param("epochs"), (long) golden.param("steps_per_epoch"));
    double[] rates = golden.values("steps");
    for (int i = 0; i < rates.length; i++) {
      rates[i] = golden.param("base_lr") * Palm.rateAfter((long) rates[i], plan);
    }
    golden.expect("lr", rates);
  }
}
