package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Map;
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
import org.outrigger.core.io.State;
import org.outrigger.core.model.Heads;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Clipn.Rule;
import org.outrigger.detect.Clipn.Settings;

class ClipnTest {
  private static final int CLASSES = 4;
  private static final int WIDTH = 6;

  private PointerScope scope;
  private Rng rng;
  private Tensor images;
  private Tensor yes;
  private Tensor no;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(11);
    images = unit(20);
    yes = unit(CLASSES);
    no = unit(CLASSES);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private Tensor unit(long rows) {
    return Knn.unit(rng.normal(ScalarType.Double, rows, WIDTH));
  }

  private static LinearHead head(Tensor weights, double scale) {
    return new LinearHead(
        weights.mul(new Scalar(scale)),
        torch.zeros(new long[] {weights.size(0)}, weights.options()));
  }

  private Output output(Tensor rows) {
    return new Output(Clipn.logits(rows, yes, 20), rows);
  }

  private Outputs known(LinearHead negated) {
    return Outputs.withHeads(output(images), null, new Heads(head(yes, 20), negated, null));
  }

  @Test
  void theScoresAreTheFormulas() {
    Tensor a = Clipn.logits(images, yes, 3);
    Tensor b = Clipn.logits(images, no, 3);
    double[][] p = Tensors.rows(torch.softmax(a, 1));
    double[][] q = Tensors.rows(Clipn.affirmed(a, b));
    double[] ctw = Tensors.doubles(Clipn.ctw(a, b).sigmoid());
    double[] atd = Tensors.doubles(Clipn.atd(a, b).sigmoid());
    double[][] joint = Tensors.rows(Clipn.joint(a, b));
    long[] byCtw = Tensors.longs(Clipn.unknown(Rule.CTW, a, b));
    long[] byAtd = Tensors.longs(Clipn.unknown(Rule.ATD, a, b));
    for (int i = 0; i < p.length; i++) {
      int best = 0;
      double affirmed = 0;
      double most = 0;
      for (int c = 0; c < CLASSES; c++) {
        best = p[i][c] > p[i][best] ? c : best;
        affirmed += p[i][c] * q[i][c];
        most = Math.max(most, p[i][c] * q[i][c]);
        assertThat(joint[i][c]).isCloseTo(p[i][c] * q[i][c], within(1e-12));
      }
      assertThat(ctw[i]).isCloseTo(1 - q[i][best], within(1e-12));
      assertThat(atd[i]).isCloseTo(1 - affirmed, within(1e-12));
      assertThat(Arrays.stream(joint[i]).sum()).isCloseTo(1, within(1e-12));
      assertThat(byCtw[i]).isEqualTo(q[i][best] < 0.5 ? 1 : 0);
      assertThat(byAtd[i]).isEqualTo(1 - affirmed > most ? 1 : 0);
    }
    assertThat(byCtw).contains(0, 1);
    assertThat(byAtd).contains(0, 1);
  }

  @ParameterizedTest
  @EnumSource(Rule.class)
  void saturatedScoresStillRank(Rule rule) {
    Tensor a = Tensors.of(new double[][] {{200, 0}, {150, 0}, {0, -1}, {0, -1}});
    Tensor b = Tensors.of(new double[][] {{0, 0}, {0, 0}, {150, 150}, {200, 200}});
    double[] scores = Tensors.doubles(rule == Rule.CTW ? Clipn.ctw(a, b) : Clipn.atd(a, b));
    assertThat(scores).doesNotContain(Double.NaN, Double.POSITIVE_INFINITY).isSorted();
    assertThat(Arrays.stream(scores).distinct()).hasSize(4);
  }

  @Test
  void classesInAnotherOrderAreTheSame() {
    Tensor order = Tensors.labels(2, 0, 3, 1);
    try (Clipn first = Clipn.of(Settings.defaults(), yes, no, 1);
        Clipn second =
            Clipn.of(
                Settings.defaults(), yes.index_select(0, order), no.index_select(0, order), 1)) {
      assertThat(Tensors.doubles(second.score(output(images))))
          .containsExactly(Tensors.doubles(first.score(output(images))), within(1e-9));
    }
  }

  @ParameterizedTest
  @EnumSource(Rule.class)
  void aModelsWeightsAreTakenOverAndKept(Rule rule) {
    Settings own = new Settings(rule, 0);
    try (Clipn fitted = new Clipn(own);
        Clipn given = Clipn.of(own, yes, no, 20);
        Clipn restored = new Clipn()) {
      assertThatThrownBy(() -> fitted.score(output(images)))
          .hasMessageContaining("not been fitted");
      fitted.fit(known(head(no, 20)));
      double[] scores = Tensors.doubles(fitted.score(output(images)));
      assertThat(scores)
          .containsExactly(Tensors.doubles(given.score(output(images))), within(1e-9));
      restored.restore(fitted.state());
      assertThat(restored.settings()).isEqualTo(own);
      assertThat(Tensors.doubles(restored.score(output(images)))).containsExactly(scores);
      assertThat(Tensors.longs(restored.unknown(output(images))))
          .containsExactly(Tensors.longs(fitted.unknown(output(images))));
    }
  }

  @Test
  void aFailedFitOrRestoreChangesNothing() {
    try (Clipn clipn = new Clipn()) {
      clipn.fit(known(head(no, 20)));
      double[] before = Tensors.doubles(clipn.score(output(images)));
      assertThatThrownBy(() -> clipn.fit(known(null)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("class weights that say no");
      assertThatThrownBy(() -> clipn.fit(known(head(no.narrow(0, 0, 3), 20))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("says no");
      Tensor uneven = yes.clone();
      uneven.select(0, 1).mul_(new Scalar(3.0));
      assertThatThrownBy(
              () ->
                  clipn.fit(
                      Outputs.withHeads(
                          output(images), null, new Heads(head(uneven, 20), head(no, 20), null))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("zero-shot head");
      Output longer = new Output(output(images).logits(), images.mul(new Scalar(2.0)));
      assertThatThrownBy(
              () ->
                  clipn.fit(
                      Outputs.withHeads(
                          longer, null, new Heads(head(yes, 20), head(no, 20), null))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("unit length");
      assertThatThrownBy(() -> clipn.score(longer)).hasMessageContaining("unit length");
      State good = clipn.state();
      State empty = new State(good.type(), 1, good.values(), Map.of());
      assertThatThrownBy(() -> clipn.restore(empty)).isInstanceOf(OutriggerException.class);
      assertThat(Tensors.doubles(clipn.score(output(images)))).containsExactly(before);
    }
  }

  @Test
  void weightsThatCannotBeAreRefused() {
    assertThatThrownBy(() -> Clipn.of(Settings.defaults(), yes, unit(3), 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("where C = 4");
    assertThatThrownBy(() -> Clipn.of(Settings.defaults(), unit(1), unit(1), 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("two classes");
    assertThatThrownBy(() -> new Settings(Rule.ATD, -1)).hasMessageContaining("scale");
  }

  @Test
  void aModelWithoutSuchWeightsIsRefusedByName() {
    try (NeuralModel plain = NeuralModel.create("mlp", Map.of(), new long[] {4}, 3, 0)) {
      assertThatThrownBy(() -> plain.require(new Clipn(), Detector.class))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("CLIPN needs class weights that say no")
          .hasMessageContaining("energy");
    }
  }

  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    Tensor captions = unit(5);
    Tensor negated = unit(5);
    Tensor seen = unit(5);
    double step = 1e-6;
    Tensor at = negated.clone().requires_grad_(true);
    Tensor gradient = Gradients.of(total(seen, captions, at), at);
    double[] expected = Tensors.doubles(gradient);
    for (int k = 0; k < 30; k += 7) {
      Tensor nudge = torch.zeros_like(negated);
      nudge.flatten().narrow(0, k, 1).fill_(new Scalar(step));
      double numeric =
          (total(seen, captions, negated.add(nudge)).item_double()
                  - total(seen, captions, negated.sub(nudge)).item_double())
              / (2 * step);
      assertThat(numeric).isCloseTo(expected[k], within(1e-5));
    }
  }

  private static Tensor total(Tensor images, Tensor captions, Tensor negated) {
    return ClipnLoss.of(images, captions, negated, 20, 1e-4).total(0.5);
  }

  @Test
  void trainingStartsWhereBothTowersAgreeWithAFiniteGradient() {
    Tensor captions = unit(5).to(ScalarType.Float);
    Tensor negated = captions.clone().requires_grad_(true);
    ClipnLoss.Parts parts =
        ClipnLoss.of(unit(5).to(ScalarType.Float), captions, negated, 100, 1e-4);
    assertThat(parts.yes().item_double()).isCloseTo(Math.log(2), within(1e-5));
    assertThat(parts.no().item_double()).isCloseTo(Math.log(2), within(1e-5));
    assertThat(parts.opposite().item_double()).isCloseTo(1.99, within(1e-4));
    double[] gradient = Tensors.doubles(Gradients.of(parts.opposite(), negated));
    assertThat(Arrays.stream(gradient).map(Math::abs).max().orElseThrow()).isBetween(1.0, 1e3);
  }

  @Test
  void lossesStayFiniteAtTheScaleOfClip() {
    Tensor one = Knn.unit(Tensors.of(new float[] {1, 0, 0, 1}, 2, 2));
    ClipnLoss.Parts parts = ClipnLoss.of(one, one.neg(), one, 100, 1e-4);
    assertThat(parts.yes().item_double()).isCloseTo(200, within(1e-3));
    parts = ClipnLoss.of(one, one, one.neg(), 100, 1e-4);
    assertThat(parts.yes().item_double()).isCloseTo(0, within(1e-30));
  }

  @Test
  void aBatchOfOnePairOrUnevenOnesIsRefused() {
    Tensor one = unit(1);
    assertThatThrownBy(() -> ClipnLoss.of(one, one, one, 1, 1e-4))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("two or more");
    assertThatThrownBy(() -> ClipnLoss.of(unit(3), unit(2), unit(3), 1, 1e-4))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> ClipnLoss.of(unit(3), unit(3), unit(3).mul(new Scalar(2.0)), 1, 1e-4))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("unit length");
  }
}
