package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Cotta;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;

/** CoTTA over several batches of the small network. */
final class TtaTeacherGolden {
  private static final String MASK = "restore_mask.";

  /** A thousandth of a step of Adam at the rate of the public case. */
  private static final double NOISE = 1e-5;

  private static final String WHY_NOISE =
      "without augmentation the student's gradient is next to nothing where it equals its teacher,"
          + " and Adam divides what rounding leaves of it by its own size";

  private TtaTeacherGolden() {}

  /** Whether the case is of this kind. */
  static boolean knows(GoldenCase golden) {
    return TinyNetwork.in(golden) && golden.hasOutput("teacher_logits");
  }

  static void check(GoldenCase golden) {
    Map<String, Object> settings = StreamGolden.descent(golden);
    settings.put("mt", golden.param("teacher_momentum"));
    settings.put("ap", 0.0);
    // How many times the student has been restored: once for each parameter and batch.
    Map<String, Integer> times = new LinkedHashMap<>();
    try (NeuralModel model = TinyNetwork.of(golden);
        Cotta cotta =
            Methods.create(Cotta.class, "cotta", settings)
                .restoringBy(
                    (name, parameter) -> {
                      int time = times.merge(name, 1, Integer::sum) - 1;
                      return golden.hasInput(MASK + name)
                          ? golden.input(MASK + name).select(0, time)
                          : torch.zeros_like(parameter);
                    })) {
      cotta.start(model, null);
      golden.expect("teacher_logits", stream(cotta, TinyNetwork.batches(golden, "x")));
      Map<String, Tensor> teacher = parameters(cotta.model());
      Map<String, Tensor> student = parameters(cotta.student());
      for (String name : cotta.trained()) {
        golden.expect("teacher." + name, get(teacher, name));
        golden.expectRounded("student." + name, get(student, name), NOISE, WHY_NOISE);
      }
    }
  }

  private static Map<String, Tensor> parameters(Model model) {
    return model.as(Differentiable.class).orElseThrow().parameters();
  }

  private static Tensor get(Map<String, Tensor> parameters, String name) {
    return Objects.requireNonNull(parameters.get(name), name);
  }

  private static Tensor stream(Adapter adapter, List<Tensor> batches) {
    List<Tensor> logits = new ArrayList<>();
    for (Tensor batch : batches) {
      Output output = adapter.adapt(batch);
      logits.add(output.logits());
    }
    return StreamGolden.stack(logits);
  }
}
