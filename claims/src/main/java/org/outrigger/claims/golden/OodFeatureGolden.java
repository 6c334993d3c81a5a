package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.detect.Ash;
import org.outrigger.detect.AshB;
import org.outrigger.detect.AshP;
import org.outrigger.detect.AshS;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Dice;
import org.outrigger.detect.Fdbd;
import org.outrigger.detect.GradNorm;
import org.outrigger.detect.KlMatching;
import org.outrigger.detect.Knn;
import org.outrigger.detect.Mahalanobis;
import org.outrigger.detect.Nci;
import org.outrigger.detect.NnGuide;
import org.outrigger.detect.ReAct;
import org.outrigger.detect.RelativeMahalanobis;
import org.outrigger.detect.Residual;
import org.outrigger.detect.Scale;
import org.outrigger.detect.She;
import org.outrigger.detect.Vim;

/**
 * Scores from features and the linear head: each detector is fitted and asked like a user would.
 */
final class OodFeatureGolden {
  private final GoldenCase golden;
  private final Outputs train;
  private final Output test;

  private OodFeatureGolden(GoldenCase golden) {
    this.golden = golden;
    LinearHead head = new LinearHead(golden.input("W"), golden.input("b"));
    Tensor features = golden.input("train_features");
    train =
        Outputs.of(new Output(head.apply(features), features), golden.labels("train_labels"), head);
    Tensor unseen = golden.input("test_features");
    test = new Output(head.apply(unseen), unseen);
  }

  static void check(GoldenCase golden) {
    OodFeatureGolden checks = new OodFeatureGolden(golden);
    checks.distances();
    checks.subspaces();
    checks.heads();
    checks.shapes();
    checks.templates();
  }

  private void distances() {
    try (Detector detector = new Mahalanobis()) {
      expect("mahalanobis", detector);
      expectState("mahalanobis_class_mean", detector, "means");
      if (golden.hasOutput("mahalanobis_precision")) {
        Tensor factor = detector.state().tensor("factor");
        golden.expect("mahalanobis_precision", factor.mm(factor.t()));
      }
    }
    try (Detector detector = new RelativeMahalanobis()) {
      expect("relative_mahalanobis", detector);
    }
    if (golden.hasOutput("knn_sq_l2")) {
      try (Detector detector = new Knn(number("knn_K"))) {
        expect("knn_sq_l2", detector);
      }
    }
    patterns();
  }

  /**
   * The code that the cases come from gives NaN to a class without a correctly classified row,
   * where fitting here says so; the score is then checked with the patterns of the case.
   */
  private void patterns() {
    boolean whole =
        !golden.hasOutput("she_patterns")
            || !golden.output("she_patterns").isnan().any().item_bool();
    if (whole) {
      try (Detector detector = new She()) {
        expect("she_inner_product", detector);
        expectState("she_patterns", detector, "patterns");
      }
      return;
    }
    golden.expect(
        "she_inner_product",
        She.score(
            test.features(),
            test.logits(),
            golden.output("she_patterns"),
            She.Metric.INNER_PRODUCT));
    golden.deviates(
        "she_patterns", "a class without a correctly classified row is an error, not NaN");
  }

  private void templates() {
    for (String name : golden.outputs()) {
      if (name.startsWith("nci_alpha")) {
        double alpha = Double.parseDouble(name.substring("nci_alpha".length()));
        try (Detector detector = new Nci(new Nci.Settings(alpha))) {
          expect(name, detector);
        }
      }
    }
    try (Detector detector = new KlMatching()) {
      expect("kl_matching", detector);
      expectState("kl_templates", detector, "templates");
    }
  }

  private void subspaces() {
    if (golden.hasOutput("vim")) {
      try (Detector detector = new Vim(new Vim.Settings(number("vim_dim")))) {
        expect("vim", detector);
        expectNumber("vim_alpha", detector, "alpha");
        expectState("vim_origin", detector, "origin");
      }
    }
    if (golden.hasOutput("residual")) {
      try (Detector detector = new Residual(new Residual.Settings(number("residual_dim")))) {
        expect("residual", detector);
      }
    }
  }

  private void heads() {
    if (golden.hasOutput("logits")) {
      golden.expect("logits", test.logits());
    }
    if (golden.hasOutput("nnguide")) {
      double alpha = golden.param("nnguide_alpha");
      try (Detector detector = new NnGuide(new NnGuide.Settings(number("nnguide_K"), alpha, 0))) {
        expect("nnguide", detector);
      }
    }
    try (Detector detector = new GradNorm()) {
      expect("gradnorm", detector);
    }
    try (Detector detector = new Fdbd(new Fdbd.Settings(true))) {
      expect("fdbd_centered", detector);
    }
    try (Detector detector = new Fdbd(new Fdbd.Settings(false))) {
      expect("fdbd_norm", detector);
    }
    if (golden.hasOutput("dice_energy")) {
      try (Detector detector = new Dice(new Dice.Settings(golden.param("dice_p")))) {
        expect("dice_energy", detector);
        expectNumber("dice_threshold", detector, "threshold");
      }
    }
  }

  private void shapes() {
    if (golden.hasOutput("react_energy")) {
      double percentile = golden.param("react_percentile");
      try (Detector detector = new ReAct(new ReAct.Settings(percentile))) {
        expect("react_energy", detector);
        expectNumber("react_threshold", detector, "threshold");
      }
    }
    if (golden.hasOutput("ash_b_energy")) {
      double percentile = golden.param("ash_percentile");
      shaped("ash_p", percentile, Ash.Variant.P, new AshP(new AshP.Settings(percentile)));
      shaped("ash_b", percentile, Ash.Variant.B, new AshB(new AshB.Settings(percentile)));
      shaped("ash_s", percentile, Ash.Variant.S, new AshS(new AshS.Settings(percentile)));
    }
    if (golden.hasOutput("scale_energy")) {
      double percentile = golden.param("scale_percentile");
      shaped("scale", percentile, Ash.Variant.SCALE, new Scale(new Scale.Settings(percentile)));
    }
  }

  private void shaped(String prefix, double percentile, Ash.Variant variant, Detector detector) {
    try (detector) {
      expect(prefix + "_energy", detector);
    }
    if (golden.hasOutput(prefix + "_features")) {
      golden.expect(prefix + "_features", Ash.shape(test.features(), percentile, variant));
    }
  }

  private void expect(String name, Detector detector) {
    if (golden.hasOutput(name)) {
      detector.fit(train);
      golden.expect(name, detector.score(test));
    }
  }

  private void expectState(String name, Detector detector, String tensor) {
    if (golden.hasOutput(name)) {
      golden.expect(name, detector.state().tensor(tensor));
    }
  }

  private void expectNumber(String name, Detector detector, String number) {
    if (golden.hasOutput(name)
        && detector.state().map("numbers").get(number) instanceof Double value) {
      golden.expect(name, value);
    }
  }

  private int number(String parameter) {
    return (int) golden.param(parameter);
  }
}
