package org.outrigger.claims.golden;

import java.util.List;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.ClassPrompts;
import org.outrigger.core.torch.Gradients;
import org.outrigger.detect.Clipn;
import org.outrigger.detect.ClipnLoss;
import org.outrigger.detect.Msp;

/** Golden cases of CLIPN: losses with gradients, both scores, and class weights of prompts. */
public final class ClipnGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "clipn";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("prompt_class_embeddings")) {
      golden.expect("classifier", ClassPrompts.ensemble(golden.input("prompt_class_embeddings")));
    } else if (golden.hasInput("text_no")) {
      losses(golden);
    } else if (golden.hasInput("no_weights")) {
      inference(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void losses(GoldenCase golden) {
    Tensor images = golden.input("image").requires_grad_(true);
    Tensor yes = golden.input("text_yes").requires_grad_(true);
    Tensor no = golden.input("text_no").requires_grad_(true);
    double scale = golden.param("logit_scale");
    ClipnLoss.Parts parts = ClipnLoss.of(images, yes, no, scale, golden.param("tso_eps"));
    Tensor total = parts.total(golden.param("weight"));
    List<Tensor> gradients = Gradients.of(total, List.of(images, yes, no), false);
    golden.expect("loss_itbo_yes", parts.yes());
    golden.expect("loss_itbo_no", parts.no());
    golden.expect("loss_tso", parts.opposite());
    golden.expect("total", total);
    golden.expect("p_no", ClipnLoss.denial(images, yes, no, scale).sigmoid());
    golden.expect("grad_image", gradients.get(0));
    golden.expect("grad_text_yes", gradients.get(1));
    golden.expect("grad_text_no", gradients.get(2));
    if (golden.hasOutput("loss_tso_cosine_variant")) {
      golden.expect("loss_tso_cosine_variant", ClipnLoss.oppositeCosine(yes, no));
    }
  }

  private static void inference(GoldenCase golden) {
    Tensor images = golden.input("image_features");
    double scale = golden.param("scale");
    long known = (long) golden.param("n_id");
    Tensor yes = Clipn.logits(images, golden.input("yes_weights"), scale);
    Tensor no = Clipn.logits(images, golden.input("no_weights"), scale);
    Tensor predicted = yes.argmax(new LongOptional(1), false);
    Tensor affirmed = Clipn.affirmed(yes, no);
    Tensor joint = Clipn.joint(yes, no);
    Tensor msp = Msp.score(yes, 1);
    golden.expect("logits_yes", yes);
    golden.expect("logits_no", no);
    golden.expect("pred", predicted);
    golden.expect("p_yes", affirmed);
    golden.expect("ctw_score", Clipn.ctw(yes, no).sigmoid());
    golden.expect("atd_score", Clipn.atd(yes, no).sigmoid());
    golden.expect("msp_score", msp.add(new Scalar(1.0)));
    golden.expect("atd_joint_probs", joint);
    // The authors rank by the confidences themselves, where those that round to 1 are ties.
    Tensor chosen = affirmed.gather(1, predicted.unsqueeze(1)).squeeze(1);
    Tensor agreed = joint.narrow(1, 0, yes.size(1)).sum(1);
    golden.expect("auroc_ctw", auroc(chosen.neg(), known));
    golden.expect("auroc_atd", auroc(agreed.neg(), known));
    golden.expect("auroc_msp", auroc(msp, known));
    golden.expect(
        "id_accuracy",
        predicted.narrow(0, 0, known).eq(golden.labels("labels_id")).to(ScalarType.Double).mean());
  }

  private static double auroc(Tensor scores, long known) {
    return Auroc.of(scores.narrow(0, 0, known), scores.narrow(0, known, scores.size(0) - known));
  }
}
