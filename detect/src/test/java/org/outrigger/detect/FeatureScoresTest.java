package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class FeatureScoresTest {
  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static double[] fitAndScore(Detector detector, Outputs known, Blobs blobs, Tensor rows) {
    try (detector) {
      detector.fit(known);
      return Tensors.doubles(detector.score(blobs.output(rows)));
    }
  }

  @Property(tries = 20)
  void mahalanobisDoesNotDependOnTheBasisOfTheFeatures(@ForAll long seed) {
    Torch.start();
    try (PointerScope inner = new PointerScope();
        Rng rng = new Rng(seed)) {
      Blobs blobs = new Blobs(seed, 3, 4);
      Tensor train = blobs.near(90);
      Tensor test = blobs.near(10);
      Tensor noise = rng.normal(ScalarType.Double, 4, 4).mul(new Scalar(0.2));
      Tensor map = noise.add(torch.eye(4, new TensorOptions(ScalarType.Double)));
      Tensor shift = rng.normal(ScalarType.Double, 4);
      for (Detector[] pair :
          new Detector[][] {
            {new Mahalanobis(), new Mahalanobis()},
            {new RelativeMahalanobis(), new RelativeMahalanobis()}
          }) {
        double[] plain = fitAndScore(pair[0], blobs.known(train), blobs, test);
        double[] mapped =
            fitAndScore(
                pair[1], blobs.known(train.mm(map).add(shift)), blobs, test.mm(map).add(shift));
        for (int i = 0; i < plain.length; i++) {
          assertThat(mapped[i]).isCloseTo(plain[i], within(1e-5 * (1 + Math.abs(plain[i]))));
        }
      }
    }
  }

  @Test
  void mahalanobisNamesTheClassWithoutRows() {
    Blobs blobs = new Blobs(1, 3, 4);
    Tensor labels = blobs.labels(30).remainder(new Scalar(2));
    Outputs known = Outputs.of(blobs.output(blobs.near(30)), labels, blobs.head);
    for (Detector detector : new Detector[] {new Mahalanobis(), new RelativeMahalanobis()}) {
      assertThatThrownBy(() -> detector.fit(known))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("class 2");
    }
  }

  @Test
  void sheNamesTheClassThatIsNeverRight() {
    Blobs blobs = new Blobs(1, 3, 4);
    Tensor wrong = blobs.labels(30).add(new Scalar(1)).remainder(new Scalar(3));
    try (Detector she = new She()) {
      Outputs known = Outputs.of(blobs.output(blobs.near(30)), wrong, blobs.head);
      assertThatThrownBy(() -> she.fit(known))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("class 0");
    }
  }

  @Test
  void fewerRowsThanFeaturesGiveThePseudoInverse() {
    Blobs blobs = new Blobs(2, 2, 12);
    Tensor train = blobs.near(8);
    double[] scores = fitAndScore(new Mahalanobis(), blobs.known(train), blobs, train);
    // In the span of the residuals each row is as far as every other on average: the rank.
    double sum = 0;
    for (double score : scores) {
      sum += score;
    }
    assertThat(sum / scores.length).isCloseTo(6, within(1e-6));
  }

  @Test
  void wellConditionedFloat32FeaturesScoreLikeFloat64() {
    Blobs blobs = new Blobs(3, 4, 16);
    Outputs known = blobs.known(blobs.near(400));
    Tensor test = blobs.near(50).to(ScalarType.Float);
    double[] single = fitAndScore(new Mahalanobis(), known, blobs, test);
    double[] exact = fitAndScore(new Mahalanobis(), known, blobs, test.to(ScalarType.Double));
    for (int i = 0; i < single.length; i++) {
      assertThat(single[i]).isCloseTo(exact[i], within(1e-3 * exact[i]));
    }
  }

  @Test
  void illConditionedFeaturesAreScoredInFloat64() {
    Blobs blobs = new Blobs(3, 4, 6);
    Tensor scale = Tensors.of(new double[] {1e5, 1, 1, 1, 1, 1e-3}, 6);
    try (Detector detector = new Mahalanobis()) {
      detector.fit(blobs.known(blobs.near(100).mul(scale)));
      Tensor scores = detector.score(blobs.output(blobs.near(5).mul(scale).to(ScalarType.Float)));
      assertThat(scores.scalar_type().intern()).isEqualTo(ScalarType.Double);
    }
  }

  @Test
  void subspacesLeaveSomethingOver() {
    Blobs blobs = new Blobs(1, 3, 4);
    for (Detector detector :
        new Detector[] {
          new Vim(new Vim.Settings(4)), new Residual(new Residual.Settings(4)), new Vim()
        }) {
      assertThatThrownBy(() -> detector.fit(blobs.known(blobs.near(30))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("below 4");
    }
  }

  @Test
  void nnGuideDrawsBySeedAndRefusesATooSmallBank() {
    Blobs blobs = new Blobs(1, 3, 4);
    Outputs known = blobs.known(blobs.near(60));
    Tensor test = blobs.near(5);
    double[] a = fitAndScore(new NnGuide(new NnGuide.Settings(3, 0.2, 1)), known, blobs, test);
    double[] b = fitAndScore(new NnGuide(new NnGuide.Settings(3, 0.2, 1)), known, blobs, test);
    double[] c = fitAndScore(new NnGuide(new NnGuide.Settings(3, 0.2, 2)), known, blobs, test);
    assertThat(a).containsExactly(b);
    assertThat(a).isNotEqualTo(c);
    try (Detector greedy = new NnGuide(new NnGuide.Settings(13, 0.2, 1))) {
      assertThatThrownBy(() -> greedy.fit(known))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("gives 12");
    }
  }

  @Test
  void ashKeepsTheCountOfTheReference() {
    assertThat(Ash.kept(10, 65)).isEqualTo(4); // 6.5 rounds to 6
    assertThat(Ash.kept(10, 75)).isEqualTo(2); // 7.5 rounds to 8
    Tensor row = Tensors.of(new double[][] {{1, 4, 3, 2}, {0, 0, 0, 0}});
    assertThat(Tensors.rows(Ash.shape(row, 50, Ash.Variant.P)))
        .isDeepEqualTo(new double[][] {{0, 4, 3, 0}, {0, 0, 0, 0}});
    assertThat(Tensors.rows(Ash.shape(row, 50, Ash.Variant.B)))
        .isDeepEqualTo(new double[][] {{0, 5, 5, 0}, {0, 0, 0, 0}});
    double scale = Math.exp(10 / 7.0);
    assertThat(Tensors.doubles(Ash.shape(row, 50, Ash.Variant.SCALE)))
        .containsExactly(
            new double[] {scale, 4 * scale, 3 * scale, 2 * scale, 0, 0, 0, 0}, within(1e-12));
  }

  @Test
  void scalingNegativeActivationsIsRefusedWithAReason() {
    Blobs blobs = new Blobs(1, 2, 4);
    try (Detector scale = new Scale(new Scale.Settings(50))) {
      scale.fit(blobs.known(blobs.near(10)));
      Tensor negative = Tensors.of(new double[][] {{1, -1, 5, -5}, {3, -3, -9, -9}});
      assertThatThrownBy(() -> scale.score(blobs.output(negative)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("ReLU");
    }
  }

  @Test
  void gradNormIsTheNormOfTheGradient() {
    Blobs blobs = new Blobs(4, 3, 5);
    Tensor weight = blobs.head.weight().clone().requires_grad_(true);
    Tensor z = blobs.near(1);
    Tensor loss = torch.log_softmax(z.mm(weight.t()).add(blobs.head.bias()), 1).sum().neg();
    double norm = Gradients.of(loss, weight).abs().sum().item_double();
    double score = Tensors.doubles(GradNorm.score(z, blobs.head.apply(z)))[0];
    assertThat(score).isCloseTo(-norm, within(1e-9 * norm));
  }

  @Test
  void fdbdRefusesTwoClassesWithoutABoundary() {
    Blobs blobs = new Blobs(4, 3, 5);
    Tensor weight = blobs.head.weight().clone();
    weight.select(0, 1).copy_(weight.select(0, 0));
    Outputs known =
        Outputs.of(
            blobs.output(blobs.near(9)),
            blobs.labels(9),
            new org.outrigger.core.model.LinearHead(weight, blobs.head.bias()));
    try (Detector fdbd = new Fdbd()) {
      assertThatThrownBy(() -> fdbd.fit(known)).hasMessageContaining("boundary");
    }
  }
}
