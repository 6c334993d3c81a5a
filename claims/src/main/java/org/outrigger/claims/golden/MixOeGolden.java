package org.outrigger.claims.golden;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.detect.MixOe;
import org.outrigger.detect.MixOe.Box;

/** Golden cases of MixOE: boxes, and whole steps of a linear network. */
public final class MixOeGolden implements GoldenSuite {
  private static final String BOXES = "dim2_dim3_lambda_cx_cy";

  @Override
  public String slug() {
    return "mixoe";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput(BOXES)) {
      boxes(golden);
    } else if (golden.hasInput("outliers")) {
      step(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void boxes(GoldenCase golden) {
    double[] asked = golden.values(BOXES);
    double[] corners = new double[asked.length / 5 * 4];
    for (int i = 0; i < asked.length / 5; i++) {
      int at = 5 * i;
      Box box =
          Box.around(
              (int) asked[at],
              (int) asked[at + 1],
              asked[at + 2],
              (int) asked[at + 3],
              (int) asked[at + 4]);
      corners[4 * i] = box.top();
      corners[4 * i + 1] = box.left();
      corners[4 * i + 2] = box.bottom();
      corners[4 * i + 3] = box.right();
    }
    golden.expect("x1_y1_x2_y2", corners);
  }

  private static void step(GoldenCase golden) {
    Tensor known = golden.input("x");
    Tensor outliers = golden.input("outliers");
    Tensor labels = golden.labels("labels");
    Tensor weight = golden.input("W").requires_grad_(true);
    Tensor bias = golden.input("b").requires_grad_(true);
    double lambda = golden.values("lambda_drawn")[0];
    Tensor mixed;
    if (golden.params().path("mix_op").asString("").equals("cutmix")) {
      double[] corners = golden.values("box_x1_y1_x2_y2");
      Box box = new Box((int) corners[0], (int) corners[1], (int) corners[2], (int) corners[3]);
      mixed = MixOe.cutmix(known, outliers, box);
      lambda = box.lambda(known.size(2), known.size(3));
    } else {
      mixed = MixOe.mixup(known, outliers, lambda);
    }
    Tensor logits = torch.addmm(bias, known.flatten(1, -1), weight.t());
    Tensor mixedLogits = torch.addmm(bias, mixed.flatten(1, -1), weight.t());
    Tensor targets = MixOe.targets(labels, (int) golden.param("num_classes"), lambda);
    Tensor loss = MixOe.loss(logits, mixedLogits, labels, lambda, golden.param("beta"));
    List<Tensor> gradients = Gradients.of(loss, List.of(weight, bias), false);
    golden.expect("lambda_used", lambda);
    golden.expect("mixed_x", mixed);
    golden.expect("soft_labels", targets);
    golden.expect("id_loss", torch.cross_entropy_loss(logits, labels));
    golden.expect("mixed_loss", MixOe.softCrossEntropy(mixedLogits, targets));
    golden.expect("loss", loss);
    golden.expect("grad_W", gradients.get(0));
    golden.expect("grad_b", gradients.get(1));
  }
}
