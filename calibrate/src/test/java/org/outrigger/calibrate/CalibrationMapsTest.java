package org.outrigger.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What is special about each map. */
class CalibrationMapsTest {
  private PointerScope scope;
  private Tensor logits;
  private Tensor labels;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    try (Rng rng = new Rng(2)) {
      Tensor honest = rng.normal(ScalarType.Double, 200, 3).mul(new Scalar(1.5));
      labels = torch.multinomial(torch.softmax(honest, 1), 1, true, rng.generator()).squeeze(1);
      logits = honest.mul(new Scalar(2.0));
    }
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "vector-scaling",
        "matrix-scaling",
        "dirichlet",
        "platt",
        "beta-calibration",
        "isotonic",
        "histogram-binning"
      })
  void aClassWithoutRowsIsNamed(String name) {
    try (Calibrator calibrator = Methods.parseOne(Calibrator.class, name)) {
      Tensor two = labels.clamp_max(new Scalar(1));
      assertThatThrownBy(() -> calibrator.fit(logits, two))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("Class 2 has no row");
      assertThat(calibrator.fitted()).isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "temperature",
        "ensemble-temperature",
        "isotonic:maps=SHARED",
        "vector-scaling:l2=1"
      })
  void othersDoWithoutAClass(String name) {
    try (Calibrator calibrator = Methods.parseOne(Calibrator.class, name)) {
      calibrator.fit(logits, labels.clamp_max(new Scalar(1)));
      assertThat(calibrator.fitted()).isTrue();
    }
  }

  @Test
  void convexFitsEndWhereTheGradientVanishes() {
    Scopes.grad(
        true,
        () -> {
          Tensor at = VectorScaling.fit(logits, labels, 0.01).requires_grad_(true);
          Tensor loss = VectorScaling.objective(logits, labels, at, 0.01);
          assertThat(Gradients.of(loss, at).abs().max().item_double()).isLessThan(1e-7);
          Tensor w = DirichletCalibration.fit(logits, labels, 1e-3, 1e-3).requires_grad_(true);
          loss = DirichletCalibration.objective(logits, labels, w, 1e-3, 1e-3);
          assertThat(Gradients.of(loss, w).abs().max().item_double()).isLessThan(1e-7);
          return true;
        });
  }

  @Test
  void strongPenaltiesLeaveTheLogitsAsTheyAre() {
    Tensor plain = torch.softmax(logits, 1);
    Tensor vector = VectorScaling.probabilities(logits, VectorScaling.fit(logits, labels, 100));
    assertThat(vector.sub(plain).abs().max().item_double()).isLessThan(0.02);
    // ODIR leaves the diagonal free: what remains is a slope for each class.
    Tensor w = MatrixScaling.fit(logits, labels, 100, 100);
    assertThat(w.select(1, 3).abs().max().item_double()).isLessThan(0.01);
    assertThat(w.narrow(1, 0, 3).sub(w.narrow(1, 0, 3).diag().diag()).abs().max().item_double())
        .isLessThan(0.01);
  }

  @Test
  void crossValidationChoosesPenaltiesOfTheGrid() {
    try (MatrixScaling scaling = new MatrixScaling(new MatrixScaling.Settings(1e-3, 1e-3, true))) {
      scaling.fit(logits, labels);
      assertThat(List.of(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0))
          .contains(scaling.chosen().lambda(), scaling.chosen().mu());
    }
  }

  @Test
  void betaCoefficientsStayAboveZero() {
    // Outcomes that fall with p: without the bound a and b would be negative.
    double[] p = {0.1, 0.2, 0.3, 0.6, 0.7, 0.9, 0.4, 0.8};
    double[] y = {1, 1, 0, 0, 1, 0, 1, 0};
    Tensor abc = BetaCalibration.fitMap(Tensors.of(p, 8), Tensors.of(y, 8));
    assertThat(Tensors.doubles(abc)[0]).isZero();
    assertThat(Tensors.doubles(abc)[1]).isZero();
    assertThat(Tensors.doubles(abc)[2]).isCloseTo(0, within(1e-7));
    Tensor same = BetaCalibration.map(Tensors.of(p, 8), Tensors.of(new double[] {1, 1, 0}, 3));
    assertThat(Tensors.doubles(same)).containsExactly(p, within(1e-12));
  }

  @Test
  void theShareOfEachPredictionIsTheBestOnTheSimplex() {
    double t = EnsembleTemperatureScaling.fitTemperature(logits, labels);
    double[] best = EnsembleTemperatureScaling.fitWeights(logits, labels, t);
    assertThat(best[0] + best[1] + best[2]).isCloseTo(1, within(1e-12));
    Tensor target = torch.one_hot(labels, 3);
    double least = error(t, best, target);
    for (int i = 0; i <= 20; i++) {
      for (int j = 0; j <= 20 - i; j++) {
        double[] w = {i / 20.0, j / 20.0, (20 - i - j) / 20.0};
        assertThat(error(t, w, target)).isGreaterThanOrEqualTo(least - 1e-12);
      }
    }
  }

  private double error(double t, double[] w, Tensor target) {
    return Scopes.scoped(
        () ->
            EnsembleTemperatureScaling.probabilities(logits, t, w)
                .sub(target)
                .square()
                .mean()
                .item_double());
  }

  @Test
  void theIsotonicMapPoolsViolatorsAndInterpolates() {
    Tensor p = Tensors.of(new double[] {0.1, 0.2, 0.2, 0.4, 0.5, 0.9}, 6);
    Tensor y = Tensors.of(new double[] {0, 1, 0, 0, 1, 1}, 6);
    Tensor map = Isotonic.fitMap(p, y);
    // 0 at 0.1, then 1/3 from 0.2 to 0.4, then 1.
    Tensor at = Tensors.of(new double[] {0, 0.1, 0.15, 0.3, 0.45, 0.5, 1}, 1, 7);
    assertThat(Tensors.doubles(Isotonic.interpolate(at, map)))
        .containsExactly(new double[] {0, 0, 1 / 6.0, 1 / 3.0, 2 / 3.0, 1, 1}, within(1e-12));
  }

  @Test
  void binsWithoutRowsGiveTheirMiddleAndEdgesBelongBelow() {
    Tensor p = Tensors.of(new double[] {0.2, 0.8, 0.5, 0.5, 0.5, 0.5}, 3, 2);
    Tensor map = HistogramBinning.fitMap(p, Tensors.labels(1, 0, 1), 4);
    assertThat(Tensors.doubles(map)).containsExactly(0, 0.5, 0.625, 0.875, 0.125, 0.5, 0.625, 1);
    Tensor at = Tensors.of(new double[] {0.2, 0.8, 0.7, 0.3}, 2, 2);
    assertThat(Tensors.doubles(HistogramBinning.probabilities(at, map)))
        .containsExactly(new double[] {0, 1, 5 / 9.0, 4 / 9.0}, within(1e-12));
    Tensor nothing = torch.zeros_like(map);
    assertThat(Tensors.doubles(HistogramBinning.probabilities(at, nothing)))
        .containsExactly(0.5, 0.5, 0.5, 0.5);
  }

  @Test
  void theChoicePrefersFewParametersWhereTheyDoAsWell() {
    List<Calibrator> candidates =
        Methods.parse(Calibrator.class, "matrix-scaling,vector-scaling,temperature");
    CalibratorChoice choice = CalibratorChoice.of(candidates, logits, labels, 5, 0);
    assertThat(choice.chosen().card().slug()).isEqualTo("temperature");
    assertThat(choice.rows()).hasSize(3);
    assertThat(choice.rows().get(0).behind()).isZero();
    assertThat(choice.rows().get(0).nll()).isLessThan(choice.uncalibrated());
    assertThat(choice.reason()).contains("temperature", "uncalibrated");
    Tensor rare = labels.clone();
    rare.masked_fill_(rare.eq(new Scalar(2)), new Scalar(0));
    CalibratorChoice without = CalibratorChoice.of(candidates, logits, rare, 5, 0);
    assertThat(without.rows().get(2).leftOut()).contains("Class 2");
    candidates.forEach(Calibrator::close);
  }
}
