package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.SelectiveDistillation;
import org.outrigger.adapt.edge.TestTimeBatchRenorm;
import org.outrigger.adapt.edge.UploadCriteria;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import tools.jackson.databind.JsonNode;

/** Golden cases of CEMA: the device's selection, the cloud's losses, and the normalisation. */
public final class CemaGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "cema";
  }

  @Override
  public void check(GoldenCase golden) {
    boolean known = false;
    if (golden.hasInput("logits0")) {
      selection(golden);
      known = true;
    }
    if (golden.hasInput("teacher_logits")) {
      losses(golden);
      known = true;
    }
    if (golden.hasInput("x0")) {
      normalisation(golden);
      known = true;
    }
    if (!known) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void selection(GoldenCase golden) {
    int classes = (int) golden.param("num_classes");
    try (UploadCriteria criteria = new UploadCriteria(settings(golden), classes)) {
      for (int i = 0; golden.hasInput("logits" + i); i++) {
        UploadCriteria.Selection selection = criteria.select(golden.input("logits" + i));
        golden.expect("entropy" + i, selection.entropy());
        golden.expect("threshold" + i, selection.threshold());
        golden.expect("keep_entropy" + i, selection.reliable());
        golden.expect("keep_final" + i, selection.kept());
        Tensor history = criteria.history();
        if (history != null && golden.hasOutput("history_probs" + i)) {
          golden.expect("history_probs" + i, history);
        }
      }
    }
  }

  private static Cema.Settings settings(GoldenCase golden) {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("entHighMargin", golden.param("e_max_fraction"));
    changes.put("entLowMargin", orZero(golden, "e_min_fraction"));
    changes.put("dMargin", orZero(golden, "d_margin"));
    changes.put("lambda", golden.param("lambda"));
    double warmUp = orZero(golden, "warm_up_samples");
    changes.put("threshold", warmUp > 0 ? Cema.Threshold.CODE : Cema.Threshold.STATIC);
    changes.put("warmUp", (long) warmUp);
    try (Cema cema = Methods.create(Cema.class, "cema", changes)) {
      return cema.settings();
    }
  }

  /** The parameter; 0, which switches a filter off, where the case has none. */
  private static double orZero(GoldenCase golden, String name) {
    return golden.params().path(name).isNumber() ? golden.param(name) : 0;
  }

  private static void losses(GoldenCase golden) {
    double most = golden.param("e_max");
    Tensor teacher = golden.input("teacher_logits").requires_grad_(true);
    Tensor own = SelectiveDistillation.teacherLoss(teacher, most);
    if (golden.hasOutput("teacher_entropy_loss")) {
      golden.expect("teacher_entropy_loss", own);
      golden.expect("grad_teacher_logits", Gradients.of(own, teacher));
    }
    if (golden.hasInput("student_logits")) {
      Tensor student = golden.input("student_logits").requires_grad_(true);
      Tensor loss =
          SelectiveDistillation.studentLoss(
              student,
              teacher,
              golden.param("alpha_entropy"),
              golden.param("beta_kl"),
              golden.param("gamma_ce"),
              golden.param("temperature"),
              most);
      golden.expect("distill_loss", loss);
      golden.expect("grad_student_logits", Gradients.of(loss, student));
    }
  }

  private static void normalisation(GoldenCase golden) {
    Tensor first = golden.input("x0");
    int channels = (int) first.size(1);
    double momentum = golden.param("momentum");
    double eps = golden.param("eps");
    try (BatchNorm plain =
            first.dim() == 4
                ? new BatchNorm2d(channels, momentum, eps, true, true)
                : new BatchNorm1d(channels, momentum, eps, true, true);
        TestTimeBatchRenorm layer = new TestTimeBatchRenorm(plain)) {
      layer.to(ScalarType.Double);
      Scopes.run(
          () -> {
            layer.tensor("weight").detach().copy_(golden.input("weight"));
            layer.tensor("bias").detach().copy_(golden.input("bias"));
          });
      JsonNode flags = golden.params().path("train_flags");
      for (int i = 0; golden.hasInput("x" + i); i++) {
        layer.train(flags.path(i).asBoolean(true));
        Tensor x = golden.input("x" + i).requires_grad_(true);
        Tensor y = layer.forward(x);
        golden.expect("y" + i, y);
        Tensor pulled = y.mul(golden.input("cotangent" + i)).sum();
        golden.expect("grad_x" + i, Gradients.of(pulled, x));
        golden.expect("running_mean" + i, layer.tensor("running_mean"));
        golden.expect("running_var" + i, layer.tensor("running_var"));
      }
    }
  }
}
