package org.outrigger.select;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LogMeTest {
  private static final LogMe.Settings EXACT = new LogMe.Settings(3000, 1e-13);

  /** The log density of t under a normal distribution with covariance I/b + X X^T / a. */
  private static double density(Tensor x, Tensor t, double a, double b) {
    long n = x.size(0);
    Tensor eye = torch.eye(n, new TensorOptions(ScalarType.Double));
    Tensor covariance = eye.div(new Scalar(b)).add(x.mm(x.t()).div(new Scalar(a)));
    Tensor lower = torch.linalg_cholesky(covariance);
    double inner = t.dot(torch.cholesky_solve(t.unsqueeze(1), lower).squeeze(1)).item_double();
    double logs = 2 * lower.diagonal().log().sum().item_double();
    return -0.5 * (n * Math.log(2 * Math.PI) + logs + inner);
  }

  @ParameterizedTest
  @CsvSource({"30, 4", "12, 12", "9, 20"})
  void theEvidenceIsTheDensityOfTheTargetsAndLargest(int n, int d) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(n)) {
      Tensor x = rng.normal(ScalarType.Double, n, d);
      Tensor t = x.mv(rng.normal(ScalarType.Double, d)).add(rng.normal(ScalarType.Double, n));
      LogMe.Evidence found = LogMe.regression(x, t.unsqueeze(1), EXACT);
      double a = found.alphas().item_double();
      double b = found.betas().item_double();
      assertThat(found.mean()).isCloseTo(density(x, t, a, b) / n, within(1e-3));
      for (double factor : new double[] {0.7, 1.4}) {
        assertThat(density(x, t, a * factor, b)).isLessThan(n * found.mean() + 1e-2);
        assertThat(density(x, t, a, b * factor)).isLessThan(n * found.mean() + 1e-2);
      }
      // The weights are those of a ridge regression with a / b.
      Tensor gram = x.t().mm(x);
      gram.diagonal().add_(new Scalar(a / b));
      Tensor ridge =
          torch.cholesky_solve(x.t().mv(t).unsqueeze(1), torch.linalg_cholesky(gram)).squeeze(1);
      assertThat(found.weights().squeeze(0).sub(ridge).abs().amax().item_double()).isLessThan(1e-4);
    }
  }

  /** Directions without variance change nothing: neither do columns of zeros. */
  @Test
  void emptyFeaturesDoNotCount() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(20, 2);
      Tensor x = Clouds.features(labels, 5, 1, 1);
      Tensor padded = torch.constant_pad_nd(x, new long[] {0, 40}, new Scalar(0.0));
      LogMe.Settings usual = LogMe.Settings.defaults();
      assertThat(LogMe.classes(padded, labels, usual).mean())
          .isCloseTo(LogMe.classes(x, labels, usual).mean(), within(1e-9));
    }
  }

  @Test
  void classesAreRegressionsOnOneHotTargets() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(30, 3);
      Tensor x = Clouds.features(labels, 6, 1, 2);
      Tensor targets = torch.one_hot(labels, 3).to(ScalarType.Double);
      LogMe.Settings usual = LogMe.Settings.defaults();
      assertThat(Tensors.doubles(LogMe.classes(x, labels, usual).evidences()))
          .containsExactly(
              Tensors.doubles(LogMe.regression(x, targets, usual).evidences()), within(1e-10));
    }
  }

  @Test
  void settingsAreChecked() {
    assertThatThrownBy(() -> new LogMe.Settings(0, 1e-3)).hasMessageContaining("maxIterations = 0");
    assertThatThrownBy(() -> new LogMe.Settings(1, 0)).hasMessageContaining("tolerance = 0.0");
  }
}
