package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Lame;
import org.outrigger.adapt.Lame.Assignment;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/** Golden cases of LAME: affinities, iterations and assignments of a batch. */
public final class LameGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "lame";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("features") || !golden.hasInput("probs")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Lame.Settings settings = settings(golden);
    Tensor features = golden.input("features");
    Tensor unit = Lame.unit(features);
    Assignment assigned = Lame.assign(golden.input("probs"), features, settings);
    Tensor y = assigned.logAssignments().exp();
    golden.expect("features_normalized", unit);
    golden.expect("kernel", Lame.affinity(unit, settings.affinity(), settings.knn()));
    golden.expect("Y", y);
    golden.expect(
        "energies", assigned.energies().stream().mapToDouble(Double::doubleValue).toArray());
    golden.expect("prediction", y.argmax(new LongOptional(1), false));
  }

  private static Lame.Settings settings(GoldenCase golden) {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("affinity", golden.params().path("affinity").asString(""));
    changes.put("knn", (int) golden.param("knn"));
    changes.put("forceSymmetry", golden.params().path("force_symmetry").asBoolean(false));
    changes.put("boundLambda", golden.param("bound_lambda"));
    changes.put("maxSteps", (int) golden.param("max_steps"));
    try (Lame lame = Methods.create(Lame.class, "lame", changes)) {
      return lame.settings();
    }
  }
}
