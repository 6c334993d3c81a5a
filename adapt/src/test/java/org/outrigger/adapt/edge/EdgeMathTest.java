package org.outrigger.adapt.edge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** The mathematics of CEMA and U-VPA. */
class EdgeMathTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(3);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private Tensor normal(long... shape) {
    return rng.normal(ScalarType.Double, shape);
  }

  private static double number(Tensor scalar) {
    return scalar.item_double();
  }

  private static void close(Tensor a, Tensor b) {
    assertThat(Tensors.doubles(a)).containsExactly(Tensors.doubles(b), within(1e-9));
  }

  // -- losses

  @Test
  void entropyLiesBetweenNothingAndThatOfAGuess() {
    Tensor entropy = SelectiveDistillation.entropy(normal(40, 7).mul(new Scalar(5.0)));
    assertThat(number(entropy.min())).isGreaterThanOrEqualTo(0);
    assertThat(number(entropy.max())).isLessThanOrEqualTo(Math.log(7));
    Tensor guess = SelectiveDistillation.entropy(torch.zeros(2, 7));
    assertThat(number(guess.mean())).isCloseTo(Math.log(7), within(1e-6));
  }

  @Test
  void aClassThatIsRuledOutCountsNothing() {
    Tensor logits = Tensors.of(new double[] {0, 0, Double.NEGATIVE_INFINITY}, 1, 3);
    assertThat(number(SelectiveDistillation.entropy(logits).sum()))
        .isCloseTo(Math.log(2), within(1e-12));
  }

  /**
   * Weights are held fixed, so differences are taken of the loss with those of the point itself.
   */
  @Test
  void theGradientOfTheTeachersLossIsThatOfItsDifferences() {
    Tensor logits = normal(5, 4).requires_grad_(true);
    double most = 0.7;
    Tensor gradient = Gradients.of(SelectiveDistillation.teacherLoss(logits, most), logits);
    Tensor weights =
        SelectiveDistillation.entropy(logits.detach()).neg().add(new Scalar(most)).exp();
    double step = 1e-6;
    for (int i : new int[] {0, 7, 13, 19}) {
      double[] sides = new double[2];
      for (int side = 0; side < 2; side++) {
        Tensor moved = logits.detach().clone();
        moved.flatten().narrow(0, i, 1).add_(new Scalar(side == 0 ? -step : step));
        sides[side] = number(SelectiveDistillation.entropy(moved).mul(weights).mean());
      }
      assertThat(Tensors.doubles(gradient)[i])
          .isCloseTo((sides[1] - sides[0]) / (2 * step), within(1e-7));
    }
  }

  @Test
  void agreeingWithTheTeacherLeavesNoDivergence() {
    Tensor logits = normal(6, 5);
    Tensor loss = SelectiveDistillation.studentLoss(logits, logits, 0, 1, 0, 2.5, 1);
    assertThat(number(loss)).isCloseTo(0, within(1e-12));
    Tensor other = SelectiveDistillation.studentLoss(normal(6, 5), logits, 0, 1, 0, 2.5, 1);
    assertThat(number(other)).isPositive();
  }

  @Test
  void theTeacherGetsNoGradientFromTheStudentsLoss() {
    Tensor teacher = normal(4, 3).requires_grad_(true);
    Tensor student = normal(4, 3).requires_grad_(true);
    Tensor loss = SelectiveDistillation.studentLoss(student, teacher, 1, 1, 1, 1, 1);
    assertThat(Tensors.doubles(Gradients.of(loss, teacher))).containsOnly(0);
  }

  @Test
  void studentAndTeacherMustHaveTheSameRows() {
    assertThatThrownBy(
            () -> SelectiveDistillation.studentLoss(normal(4, 3), normal(5, 3), 1, 1, 1, 1, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("teacher");
  }

  // -- normalisation

  @Test
  void itsValueIsThatOfTheRunningStatistics() {
    try (BatchNorm2d plain = new BatchNorm2d(3);
        TestTimeBatchRenorm layer = new TestTimeBatchRenorm(plain)) {
      layer.to(ScalarType.Double);
      layer.train();
      for (int i = 0; i < 4; i++) {
        layer.forward(normal(8, 3, 4, 4).add(new Scalar(0.3 * i)));
      }
      plain.to(ScalarType.Double);
      plain.loadStateDict(layer.stateDict(), true);
      plain.eval();
      layer.eval();
      Tensor x = normal(5, 3, 4, 4).mul(new Scalar(2.0));
      close(layer.forward(x), plain.forward(x));
      close(Scopes.noGrad(() -> layer.forward(x)), plain.forward(x));
    }
  }

  @Test
  void theFirstBatchSetsTheStatisticsAndLaterOnesMoveThemInTrainingOnly() {
    try (BatchNorm1d plain = new BatchNorm1d(4);
        TestTimeBatchRenorm layer = new TestTimeBatchRenorm(plain)) {
      layer.to(ScalarType.Double);
      layer.eval();
      assertThat(layer.tracks()).isFalse();
      Tensor first = normal(9, 4);
      layer.forward(first);
      assertThat(layer.tracks()).isTrue();
      close(layer.tensor("running_mean"), first.mean(0));
      close(layer.tensor("running_var"), first.var(new long[] {0}, true, false));
      layer.forward(normal(9, 4));
      close(layer.tensor("running_mean"), first.mean(0));
      layer.train();
      Tensor third = normal(9, 4);
      layer.forward(third);
      close(
          layer.tensor("running_mean"),
          first.mean(0).mul(new Scalar(0.9)).add(third.mean(0), new Scalar(0.1)));
    }
  }

  /** A constant added to a channel, or a factor, does not move what is normalised by the batch. */
  @Test
  void itsGradientIsThatOfTheBatchStatistics() {
    Tensor x = normal(6, 2, 3, 3).requires_grad_(true);
    Tensor mean = normal(2);
    Tensor var = normal(2).square().add(new Scalar(0.5));
    Tensor pull = normal(6, 2, 3, 3);
    Tensor y = TestTimeBatchRenorm.normalise(x, null, null, mean, var, 0);
    Tensor gradient = Gradients.of(y.mul(pull).sum(), x);
    long[] others = {0, 2, 3};
    assertThat(Tensors.doubles(gradient.sum(others, false, null)))
        .containsExactly(new double[2], within(1e-9));
    Tensor centred = x.detach().sub(x.detach().mean(others, true, null));
    assertThat(Tensors.doubles(gradient.mul(centred).sum(others, false, null)))
        .containsExactly(new double[2], within(1e-9));
  }

  @Test
  void aSingleValueHasNoVariance() {
    assertThatThrownBy(
            () -> TestTimeBatchRenorm.normalise(normal(1, 3), null, null, null, null, 1e-5))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("larger batches");
  }

  // -- uncertainty

  private Tensor passes() {
    return torch.softmax(normal(6, 9, 4).mul(new Scalar(2.0)), 2);
  }

  @ParameterizedTest
  @EnumSource
  void passesThatAgreeAreCertainAndOthersAreNot(DropoutUncertainty measure) {
    Tensor one = torch.one_hot(Tensors.labels(0, 2, 1), 4).to(ScalarType.Double);
    Tensor same = one.unsqueeze(0).expand(new long[] {5, -1, -1}, false);
    assertThat(Tensors.doubles(measure.of(same))).containsOnly(0);
    assertThat(number(measure.of(passes()).min())).isPositive();
  }

  @ParameterizedTest
  @EnumSource
  void theOrderOfPassesAndRowsDoesNotMatter(DropoutUncertainty measure) {
    Tensor passes = passes();
    close(measure.of(passes.flip(0)), measure.of(passes));
    close(measure.of(passes.flip(1)), measure.of(passes).flip(0));
  }

  @Test
  void mutualInformationIsAtMostTheEntropy() {
    Tensor passes = passes();
    Tensor less =
        DropoutUncertainty.PREDICTIVE_ENTROPY
            .of(passes)
            .sub(DropoutUncertainty.MUTUAL_INFORMATION.of(passes));
    assertThat(number(less.min())).isGreaterThanOrEqualTo(0);
  }

  @Test
  void theMostUncertainComeFirstAndTiesByTheirNumber() {
    Tensor u = Tensors.of(new double[] {1, 3, 2, 3, 0}, 5);
    assertThat(Tensors.ints(DropoutUncertainty.most(u, 0.6))).containsExactly(1, 3, 2);
    assertThat(Tensors.ints(DropoutUncertainty.most(u, 0.1))).containsExactly(1);
    assertThat(Tensors.ints(DropoutUncertainty.most(u, 1))).containsExactly(1, 3, 2, 0, 4);
  }

  @Test
  void theMomentumStaysInItsRange() {
    assertThat(DropoutUncertainty.momentum(0.9, 0.5, 0.2)).isCloseTo(0.8, within(1e-12));
    assertThat(DropoutUncertainty.momentum(0.9, 100, 0.2)).isZero();
    assertThatThrownBy(() -> DropoutUncertainty.momentum(0.9, 1, Double.NaN))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> DropoutUncertainty.momentum(1.1, 1, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("rate");
  }

  @Test
  void badUncertaintiesAreRefused() {
    Tensor once = passes().narrow(0, 0, 1);
    assertThatThrownBy(() -> DropoutUncertainty.VARIANCE.of(once))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("passes");
    assertThatThrownBy(() -> DropoutUncertainty.VARIANCE.of(normal(3, 4)))
        .isInstanceOf(OutriggerException.class);
    Tensor u = Tensors.of(new double[] {1, Double.NaN}, 2);
    assertThatThrownBy(() -> DropoutUncertainty.most(u, 0.5))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("NaN");
    assertThatThrownBy(() -> DropoutUncertainty.most(normal(4), 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("fraction");
  }

  // -- prompts

  @Test
  void valuesGoToTheirPlacesInEveryChannel() {
    Tensor values = Tensors.of(new double[] {1, 2, 3, 4}, 2, 2).requires_grad_(true);
    Tensor placed = VisualPrompt.place(values, Tensors.labels(5, 0), 2, 2, 3);
    assertThat(Tensors.doubles(placed)).containsExactly(2, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 3);
    assertThat(Tensors.doubles(Gradients.of(placed.square().sum(), values)))
        .containsExactly(2, 4, 6, 8);
  }

  @Test
  void theMostUncertainPlacesComeInAscendingOrder() {
    Tensor map = Tensors.of(new double[] {0.3, 0.9, 0.1, 0.5}, 2, 2);
    assertThat(Tensors.ints(VisualPrompt.mostUncertain(map, 0.5))).containsExactly(3, 1);
    assertThatThrownBy(() -> VisualPrompt.mostUncertain(map, 0.2))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("raise rho to 0.25");
  }

  @Test
  void theBorderGoesAroundTheImage() {
    assertThat(Tensors.ints(VisualPrompt.border(3, 4, 1)))
        .containsExactly(0, 1, 2, 3, 4, 7, 8, 9, 10, 11);
    assertThat(VisualPrompt.border(3, 4, 2).size(0)).isEqualTo(12);
  }

  @Test
  void placesOutsideOfTheInputAreRefused() {
    Tensor values = torch.zeros(1, 2);
    assertThatThrownBy(() -> VisualPrompt.place(values, Tensors.labels(0, 4), 4))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("0 to 3");
    assertThatThrownBy(() -> VisualPrompt.place(values, Tensors.labels(0, 1), 3, 2, 2))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("channels");
  }
}
