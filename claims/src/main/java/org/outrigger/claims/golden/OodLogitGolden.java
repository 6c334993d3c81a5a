package org.outrigger.claims.golden;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Entropy;
import org.outrigger.detect.Gen;
import org.outrigger.detect.MaxLogit;
import org.outrigger.detect.Mcm;
import org.outrigger.detect.Msp;

/** Scores from logits alone; an output's name carries its parameters. */
final class OodLogitGolden {
  private static final String NUMBER = "([-+.0-9e]+)";
  private static final Pattern ENERGY = Pattern.compile("energy_T" + NUMBER);
  private static final Pattern GEN = Pattern.compile("gen_gamma" + NUMBER + "_M(\\d+)");
  private static final Pattern MCM = Pattern.compile("mcm_tau" + NUMBER);

  private OodLogitGolden() {}

  static void check(GoldenCase golden) {
    Tensor logits = golden.input("logits");
    for (String name : golden.outputs()) {
      Matcher energy = ENERGY.matcher(name);
      Matcher gen = GEN.matcher(name);
      Matcher mcm = MCM.matcher(name);
      if (name.equals("msp")) {
        golden.expect(name, Msp.score(logits, 1));
      } else if (name.equals("maxlogit")) {
        golden.expect(name, MaxLogit.score(logits));
      } else if (name.equals("entropy")) {
        golden.expect(name, Entropy.score(logits));
      } else if (energy.matches()) {
        golden.expect(name, Energy.score(logits, Double.parseDouble(energy.group(1))));
      } else if (gen.matches()) {
        double gamma = Double.parseDouble(gen.group(1));
        golden.expect(name, Gen.score(logits, gamma, Integer.parseInt(gen.group(2))));
      } else if (mcm.matches()) {
        golden.expect(name, Mcm.score(logits, Double.parseDouble(mcm.group(1))));
      }
    }
  }
}
