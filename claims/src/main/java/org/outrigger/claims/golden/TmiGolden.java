package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.select.Tmi;

/** Golden cases of TMI: the score, the entropy and the prior of each class. */
public final class TmiGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "tmi";
  }

  @Override
  public void check(GoldenCase golden) {
    if (!golden.hasInput("features") || !golden.hasInput("labels")) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("k", (int) golden.param("k"));
    changes.put("minDist", golden.param("min_dist"));
    changes.put("norm", golden.params().path("norm").asString("max"));
    Tmi.Settings settings = Methods.create(Tmi.class, "tmi", changes).settings();
    Tmi.Result result = Tmi.measure(golden.input("features"), golden.labels("labels"), settings);
    golden.expect("score", result.score());
    if (golden.hasOutput("class_entropy")) {
      golden.expect("class_entropy", result.entropies());
    }
    if (golden.hasOutput("class_prior")) {
      golden.expect("class_prior", result.priors());
    }
  }
}
