package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** The class Gaussians of CAFA and its loss. */
class CafaTest {
  private static final int D = 3;

  private PointerScope scope;
  private Rng rng;
  private Tensor features;
  private Tensor labels;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(3);
    features = rng.normal(ScalarType.Double, 40, D);
    labels = torch.arange(new Scalar(40L), new TensorOptions(ScalarType.Long)).remainder(new Scalar(2L));
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private static ClassGaussians fit(Tensor features, Tensor labels, boolean tied) {
    ClassGaussians gaussians = new ClassGaussians(2, D, tied);
    gaussians.add(features, labels);
    return gaussians;
  }

  private static double loss(Tensor test, Tensor source, Tensor labels, boolean tied) {
    ClassGaussians gaussians = fit(source, labels, tied);
    Tensor factor = Cafa.factor(gaussians.covariances());
    return Cafa.losses(test, Tensors.labels(0, 1, 1), gaussians.means(), factor)
        .mean()
        .item_double();
  }

  @Test
  void gaussiansAreThoseOfEachClass() {
    ClassGaussians gaussians = fit(features, labels, false);
    Tensor rows = features.index_select(0, labels.eq(new Scalar(1)).nonzero().flatten());
    Tensor centred = rows.sub(rows.mean(0));
    assertThat(Tensors.doubles(gaussians.means().select(0, 1)))
        .containsExactly(Tensors.doubles(rows.mean(0)), within(1e-12));
    assertThat(Tensors.doubles(gaussians.covariances().select(0, 1)))
        .containsExactly(
            Tensors.doubles(centred.t().mm(centred).div(new Scalar(20.0))), within(1e-12));
  }

  @Test
  void partsAndAllAtOnceAgreeFarFromTheOrigin() {
    Tensor far = features.add(new Scalar(1e6));
    for (boolean tied : new boolean[] {false, true}) {
      ClassGaussians whole = fit(far, labels, tied);
      ClassGaussians parts = fit(far.narrow(0, 0, 13), labels.narrow(0, 0, 13), tied);
      parts.merge(fit(far.narrow(0, 13, 27), labels.narrow(0, 13, 27), tied));
      assertThat(Tensors.doubles(parts.covariances()))
          .containsExactly(Tensors.doubles(whole.covariances()), within(1e-8));
      assertThat(Tensors.doubles(parts.pooled()))
          .containsExactly(Tensors.doubles(fit(far, labels, true).covariances()), within(1e-8));
    }
  }

  @Test
  void theLossDoesNotDependOnTheScalesOfFeatures() {
    Tensor map = Tensors.of(new double[] {2, 0.3, 0, -1, 5, 0.1, 0.4, 0, 0.01}, D, D);
    Tensor test = rng.normal(ScalarType.Double, 3, D);
    for (boolean tied : new boolean[] {false, true}) {
      assertThat(loss(test.mm(map), features.mm(map), labels, tied))
          .isCloseTo(loss(test, features, labels, tied), within(1e-9));
    }
  }

  @Test
  void itsGradientIsThatOfFiniteDifferences() {
    ClassGaussians gaussians = fit(features, labels, false);
    Tensor factor = Cafa.factor(Cafa.ridged(gaussians.covariances(), 0.1));
    Tensor predicted = Tensors.labels(0, 1, 1);
    Tensor test = rng.normal(ScalarType.Double, 3, D).requires_grad_(true);
    Tensor gradient =
        Gradients.of(Cafa.losses(test, predicted, gaussians.means(), factor).sum(), test);
    double[] slopes = new double[3 * D];
    for (int i = 0; i < slopes.length; i++) {
      double[] sides = new double[2];
      for (int side = 0; side < 2; side++) {
        Tensor moved = test.detach().clone();
        moved.flatten().narrow(0, i, 1).add_(new Scalar(side == 0 ? -1e-5 : 1e-5));
        sides[side] =
            Cafa.losses(moved, predicted, gaussians.means(), factor).sum().item_double();
      }
      slopes[i] = (sides[1] - sides[0]) / 2e-5;
    }
    assertThat(Tensors.doubles(gradient)).containsExactly(slopes, within(1e-6));
  }

  @Test
  void aRowAtItsMeanHasAFiniteLoss() {
    ClassGaussians gaussians = fit(features, labels, true);
    Tensor factor = Cafa.factor(gaussians.covariances());
    Tensor losses =
        Cafa.losses(gaussians.means(), Tensors.labels(0, 1), gaussians.means(), factor);
    assertThat(losses.isfinite().all().item_bool()).isTrue();
  }

  @Test
  void aClassWithoutRowsIsNamed() {
    ClassGaussians gaussians = new ClassGaussians(3, D, true);
    gaussians.add(features, labels);
    assertThatThrownBy(gaussians::covariances)
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Class 2 has no row");
  }

  @Test
  void badRowsChangeNothing() {
    ClassGaussians gaussians = fit(features, labels, true);
    double[] before = Tensors.doubles(gaussians.means());
    Tensor nan = features.clone().fill_(new Scalar(Double.NaN));
    assertThatThrownBy(() -> gaussians.add(nan, labels)).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> gaussians.add(features, labels.add(new Scalar(1))))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> gaussians.merge(fit(features, labels, false)))
        .isInstanceOf(OutriggerException.class);
    assertThat(Tensors.doubles(gaussians.means())).containsExactly(before);
  }

  @Test
  void aSingularCovarianceSaysWhatToDo() {
    Tensor flat = features.clone();
    flat.select(1, 0).fill_(new Scalar(0.0));
    Tensor covariances = fit(flat, labels, false).covariances();
    assertThatThrownBy(() -> Cafa.factor(covariances))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("raise eps");
    assertThat(Cafa.condition(Cafa.ridged(covariances, 0.1))).isBetween(1.0, 100.0);
  }

  @Test
  void itDrawsFeaturesToTheirClass() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset source = SmallWorld.source(model);
        Adapter cafa = Adapters.parse("cafa:covariance=tied:lr=0.05")) {
      cafa.start(model, source);
      List<Tensor> stream = SmallWorld.stream(1, 32);
      double first = ratio(cafa, stream.get(0));
      for (int i = 0; i < 20; i++) {
        ratio(cafa, stream.get(0));
      }
      assertThat(ratio(cafa, stream.get(0))).isLessThan(first - 0.05);
    }
  }

  private static double ratio(Adapter cafa, Tensor batch) {
    var state = cafa.state();
    Tensor means = state.tensor("statistics/means").clone();
    Tensor factor = state.tensor("statistics/factor").clone();
    var output = cafa.adapt(batch);
    Tensor predicted = output.logits().argmax(new LongOptional(1), false);
    return Cafa.losses(output.features(), predicted, means, factor).mean().item_double();
  }
}
