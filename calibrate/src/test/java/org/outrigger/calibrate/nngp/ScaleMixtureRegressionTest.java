package org.outrigger.calibrate.nngp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class ScaleMixtureRegressionTest {
  private PointerScope scope;
  private Rng rng;
  private Tensor x;
  private Tensor y;
  private Tensor test;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(2);
    x = rng.normal(ScalarType.Double, 60, 3);
    y = function(x).add(rng.normal(ScalarType.Double, 60).mul(new Scalar(3.0)));
    test = rng.normal(ScalarType.Double, 25, 3);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  /** In units of its own, away from zero. */
  private static Tensor function(Tensor x) {
    return x.select(1, 0).abs().add(x.select(1, 1)).mul(new Scalar(20.0)).add(new Scalar(100.0));
  }

  private static ScaleMixtureRegression make(Object... keysAndValues) {
    Map<String, Object> changes = new HashMap<>(Map.of("hiddenLayers", 2, "lbfgsIterations", 8));
    for (int i = 0; i < keysAndValues.length; i += 2) {
      changes.put((String) keysAndValues[i], keysAndValues[i + 1]);
    }
    return Methods.create(ScaleMixtureRegression.class, "nngp-scale-mixtures", changes);
  }

  @ParameterizedTest
  @CsvSource({"GAUSSIAN,LBFGS", "STUDENT_T,LBFGS", "BURR,LBFGS", "STUDENT_T,ADAM"})
  void aFitBeatsWhatItStartedFromAndKnowsHowSureItIs(String process, String optimiser) {
    try (ScaleMixtureRegression start = make("process", process, "fit", false);
        ScaleMixtureRegression model =
            make("process", process, "optimiser", optimiser, "steps", 30, "checkEvery", 10)) {
      start.fit(x, y);
      model.fit(x, y);
      Tensor truth = function(test);
      Prediction fitted = model.predict(test);
      assertThat(fitted.rmse(truth)).isLessThan(10);
      Tensor noisy = truth.add(rng.normal(ScalarType.Double, 25).mul(new Scalar(3.0)));
      if (optimiser.equals("LBFGS")) {
        assertThat(model.logMarginal()).isGreaterThan(-1.2);
        assertThat(fitted.nll(noisy)).isLessThan(start.predict(test).nll(noisy));
      }
      assertThat(fitted.coverage(noisy, 0.9)).isBetween(0.6, 1.0);
      Tensor ends = fitted.interval(0.5);
      assertThat(fitted.quantile(0.75).sub(ends.select(1, 1)).abs().max().item_double()).isZero();
      assertThat(ends.select(1, 0).lt(ends.select(1, 1)).all().item_bool()).isTrue();
    }
  }

  @Test
  void withTheSameHyperParametersTheTwinsDifferInScaleAlone() {
    try (ScaleMixtureRegression gaussian = make("process", "gaussian", "fit", false);
        ScaleMixtureRegression student = make("process", "student_t", "fit", false)) {
      gaussian.fit(x, y);
      student.fit(x, y);
      Prediction g = gaussian.predict(test);
      Prediction t = student.predict(test);
      assertThat(Tensors.doubles(t.location())).containsExactly(Tensors.doubles(g.location()));
      double[] ratio = Tensors.doubles(t.scale().div(g.scale()));
      for (double r : ratio) {
        assertThat(r).isCloseTo(ratio[0], within(1e-12));
      }
      assertThat(t.law().degreesOfFreedom()).isEqualTo(64);
      // Outliers among the targets widen what the t process promises, and it alone.
      Tensor wild = y.clone();
      wild.narrow(0, 0, 3).add_(new Scalar(200.0));
      Tensor before = t.scale().clone();
      student.fit(x, wild);
      double std = y.std().div(wild.std()).item_double();
      Tensor after = student.predict(test).scale().mul(new Scalar(std));
      assertThat(after.gt(before).all().item_bool()).isTrue();
    }
  }

  @Test
  void theUnitsOfTargetsAndColumnsDoNotMatter() {
    Tensor units = Tensors.of(new double[] {1000, 0.01, 1}, 3);
    try (ScaleMixtureRegression plain = make("fit", false);
        ScaleMixtureRegression scaled = make("fit", false)) {
      plain.fit(x, y);
      scaled.fit(x.mul(units), y.mul(new Scalar(10.0)).sub(new Scalar(7.0)));
      Prediction one = plain.predict(test);
      Prediction other = scaled.predict(test.mul(units));
      Tensor expected = one.location().mul(new Scalar(10.0)).sub(new Scalar(7.0));
      assertThat(other.location().sub(expected).abs().max().item_double()).isLessThan(1e-6);
      assertThat(other.scale().sub(one.scale().mul(new Scalar(10.0))).abs().max().item_double())
          .isLessThan(1e-7);
    }
  }

  @ParameterizedTest
  @CsvSource({"EXACT", "CG", "NYSTROM"})
  void solversAgreeWithTheDenseAnswerAndRowsDoNotDependOnTheirBatch(String solver) {
    try (ScaleMixtureRegression dense = make("fit", false, "process", "student_t");
        ScaleMixtureRegression other =
            make(
                "fit",
                false,
                "process",
                "student_t",
                "solver",
                solver,
                "tolerance",
                1e-10,
                "landmarks",
                solver.equals("CG") ? 15 : 100)) {
      dense.fit(x, y);
      other.fit(x, y);
      Prediction expected = dense.predict(test);
      Prediction all = other.predict(test);
      assertThat(all.location().sub(expected.location()).abs().max().item_double())
          .isLessThan(1e-5);
      assertThat(all.scale().sub(expected.scale()).abs().max().item_double()).isLessThan(1e-5);
      Tensor first = other.predict(test.narrow(0, 0, 1)).scale();
      assertThat(first.sub(all.scale().narrow(0, 0, 1)).abs().item_double()).isLessThan(1e-6);
    }
  }

  @Test
  void fewLandmarksAreNearTheDenseAnswer() {
    try (ScaleMixtureRegression dense = make("fit", false);
        ScaleMixtureRegression other = make("fit", false, "solver", "NYSTROM", "landmarks", 30)) {
      dense.fit(x, y);
      other.fit(x, y);
      Tensor gap = other.predict(test).location().sub(dense.predict(test).location());
      assertThat(gap.abs().mean().item_double()).isBetween(1e-9, 4.0);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "STUDENT_T,EXACT,MLP",
    "GAUSSIAN,CG,RESNET",
    "BURR,EXACT,MLP",
    "BURR,NYSTROM,MLP",
    "STUDENT_T,EXACT,CNN"
  })
  void aSavedOnePredictsTheSameToTheLastBit(
      String process, String solver, String network, @TempDir Path folder) {
    boolean images = network.equals("CNN");
    Tensor inputs = images ? rng.normal(ScalarType.Double, 60, 1, 3, 3) : x;
    Tensor others = images ? rng.normal(ScalarType.Double, 5, 1, 3, 3) : test;
    Path file = folder.resolve("model.safetensors");
    try (ScaleMixtureRegression model =
            make(
                "process",
                process,
                "solver",
                solver,
                "network",
                network,
                "lbfgsIterations",
                2,
                "landmarks",
                20);
        ScaleMixtureRegression again = make();
        ScaleMixtureRegression same =
            make(
                "process",
                process,
                "solver",
                solver,
                "network",
                network,
                "lbfgsIterations",
                2,
                "landmarks",
                20)) {
      model.fit(inputs, y);
      same.fit(inputs, y);
      StateFiles.write(file, model.state());
      again.restore(StateFiles.read(file));
      assertThat(again.settings()).isEqualTo(model.settings());
      assertThat(again.hyperParameters()).isEqualTo(model.hyperParameters());
      Prediction expected = model.predict(others);
      for (ScaleMixtureRegression other : new ScaleMixtureRegression[] {again, same}) {
        Prediction read = other.predict(others);
        assertThat(Tensors.doubles(read.location()))
            .containsExactly(Tensors.doubles(expected.location()));
        assertThat(Tensors.doubles(read.quantile(0.9)))
            .containsExactly(Tensors.doubles(expected.quantile(0.9)));
      }
    }
  }

  @Test
  void badInputIsNamedAndChangesNothing() {
    try (ScaleMixtureRegression model = make("fit", false)) {
      assertThatThrownBy(() -> model.predict(test)).hasMessageContaining("has not been fitted");
      model.fit(x, y);
      double[] before = Tensors.doubles(model.predict(test).location());
      Tensor broken = x.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      refused(() -> model.fit(broken, y), "The inputs holds NaN");
      refused(() -> model.fit(x, y.narrow(0, 0, 5)), "N = 60 from the inputs");
      refused(() -> model.fit(x.narrow(0, 0, 0), y.narrow(0, 0, 0)), "is empty");
      refused(() -> model.fit(x, torch.ones_like(y)), "All targets are 1.0");
      refused(() -> model.fit(x.narrow(0, 0, 1), y.narrow(0, 0, 1)), "there is nothing to learn");
      refused(() -> model.fit(x.select(1, 0), y), "rows [N, D]");
      refused(() -> model.predict(test.narrow(1, 0, 2)), "[N, 3] is needed");
      Map<String, Tensor> tensors = new LinkedHashMap<>(model.state().tensors());
      tensors.put("posterior.alpha", y.narrow(0, 0, 3));
      State good = model.state();
      refused(
          () -> model.restore(new State(good.type(), 1, good.values(), tensors)),
          "The saved alpha has shape [3]");
      assertThat(Tensors.doubles(model.predict(test).location())).containsExactly(before);
    }
    refused(() -> make("alpha", 0), "alpha = 0.0 is out of range");
    refused(() -> make("beta", -1), "beta = -1.0 is out of range");
  }

  @Test
  void tooManyRowsAreRefusedBeforeTheWorkWithAWayOut() {
    try (ScaleMixtureRegression model = make("memoryMegabytes", 1, "fitRows", 100);
        ScaleMixtureRegression other =
            make("memoryMegabytes", 1, "fitRows", 100, "solver", "CG", "landmarks", 50)) {
      Tensor many = rng.normal(ScalarType.Double, 400, 3);
      refused(
          () -> model.fit(many, function(many)),
          "400 training rows take 1 MB in matrices, but memoryMegabytes is 1: raise it, set"
              + " solver=CG");
      other.fit(many, function(many));
      assertThat(other.predict(test).rmse(function(test))).isLessThan(8);
    }
  }

  @Test
  void predictingDoesNotGrow() {
    try (ScaleMixtureRegression model = make("fit", false)) {
      model.fit(x, y);
      double before = 0;
      for (int i = 0; i < 600; i++) {
        if (i == 200) {
          before = ResidentMemory.megabytes();
        }
        model.predict(test).close();
        if (i % 20 == 0) {
          model.fit(x, y);
        }
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(20);
    }
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable work, String why) {
    assertThatThrownBy(work).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }
}
