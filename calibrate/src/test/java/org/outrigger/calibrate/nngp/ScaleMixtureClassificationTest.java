package org.outrigger.calibrate.nngp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.LongOptional;
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
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.datasets.Points;

class ScaleMixtureClassificationTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(6);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private static ScaleMixtureClassification make(Object... keysAndValues) {
    Map<String, Object> changes =
        new HashMap<>(
            Map.of(
                "hiddenLayers",
                1,
                "inducing",
                12,
                "batchSize",
                40,
                "epochs",
                8,
                "samples",
                20,
                "validationSamples",
                50,
                "testSamples",
                300,
                "rate",
                0.05));
    for (int i = 0; i < keysAndValues.length; i += 2) {
      changes.put((String) keysAndValues[i], keysAndValues[i + 1]);
    }
    return Methods.create(ScaleMixtureClassification.class, "svtp", changes);
  }

  @ParameterizedTest
  @CsvSource({"STUDENT_T,MLP", "GAUSSIAN,RESNET"})
  void itLearnsClassesAndASavedOneSaysTheSame(
      String process, String network, @TempDir Path folder) {
    try (TensorDataset data = Points.blobs(160, 3, 4, 1.0, 3);
        ScaleMixtureClassification model =
            make("process", process, "network", network, "epochs", 50, "eps", 1e-2);
        ScaleMixtureClassification same =
            make("process", process, "network", network, "epochs", 50, "eps", 1e-2);
        ScaleMixtureClassification again = make()) {
      Tensor x = data.inputs().narrow(0, 0, 120);
      Tensor labels = Tensors.labels(data.labels());
      Tensor y = labels.narrow(0, 0, 120);
      model.fit(x, y, 3);
      same.fit(x, y, 3);
      Tensor test = data.inputs().narrow(0, 120, 40);
      Tensor p = model.probabilities(test);
      assertThat(p.sum(1).sub(new Scalar(1.0)).abs().max().item_double()).isLessThan(1e-12);
      Tensor right = p.argmax(new LongOptional(1), false).eq(labels.narrow(0, 120, 40));
      assertThat(right.to(ScalarType.Double).mean().item_double()).isGreaterThan(0.85);
      Path file = folder.resolve("svtp.safetensors");
      StateFiles.write(file, model.state());
      again.restore(StateFiles.read(file));
      assertThat(again.classes()).isEqualTo(3);
      for (ScaleMixtureClassification other : new ScaleMixtureClassification[] {same, again}) {
        assertThat(Tensors.doubles(other.probabilities(test))).containsExactly(Tensors.doubles(p));
      }
      Tensor alone = model.probabilities(test.narrow(0, 7, 1));
      assertThat(alone.sub(p.narrow(0, 7, 1)).abs().max().item_double()).isLessThan(1e-12);
    }
  }

  @ParameterizedTest
  @CsvSource({"STUDENT_T,MLP", "GAUSSIAN,MLP", "STUDENT_T,CNN"})
  void theLossHasTheGradientOfFiniteDifferences(String process, String network) {
    boolean images = network.equals("CNN");
    Tensor x =
        images ? rng.normal(ScalarType.Double, 30, 1, 3, 3) : rng.normal(ScalarType.Double, 30, 4);
    Tensor labels = torch.arange(new Scalar(30)).remainder(new Scalar(3)).to(ScalarType.Long);
    try (ScaleMixtureClassification model =
            make("process", process, "network", network, "inducing", 5, "eps", 1e-3);
        SvtpTraining run = new SvtpTraining(model.settings(), x, labels, 3)) {
      Tensor rows = x.narrow(0, 0, 6);
      Tensor y = labels.narrow(0, 0, 6);
      Tensor normal = rng.normal(ScalarType.Double, 4, 3, 6);
      Tensor chi = process.equals("GAUSSIAN") ? null : new ChiSquared(1, "test").draw(2.0, 4, 3);
      // Inducing inputs that are rows of the batch would be at the edge of the arc cosine.
      try (AutoGradMode off = new AutoGradMode(false)) {
        run.parameters()
            .get("z")
            .add_(rng.normal(ScalarType.Double, run.parameters().get("z").shape()));
        run.parameters().get("mu").add_(new Scalar(0.3));
      }
      Tensor loss = run.loss(rows, y, normal, chi);
      for (Map.Entry<String, Tensor> each : run.parameters().entrySet()) {
        if (chi != null && each.getKey().equals("alpha")) {
          continue;
        }
        Tensor p = each.getValue();
        Tensor gradient = Gradients.of(run.loss(rows, y, normal, chi), p);
        Tensor direction = torch.randn_like(p).detach();
        double slope;
        try (AutoGradMode off = new AutoGradMode(false)) {
          p.add_(direction.mul(new Scalar(1e-5)));
          double up = run.loss(rows, y, normal, chi).item_double();
          p.sub_(direction.mul(new Scalar(2e-5)));
          double down = run.loss(rows, y, normal, chi).item_double();
          p.add_(direction.mul(new Scalar(1e-5)));
          slope = (up - down) / 2e-5;
        }
        assertThat(gradient.mul(direction).sum().item_double())
            .as(each.getKey())
            .isCloseTo(slope, within(2e-6 * (1 + Math.abs(slope))));
      }
      assertThat(loss.item_double()).isFinite();
    }
  }

  /** E[log chi^2] is known: how it moves with a is what the draws have to follow. */
  @Test
  void drawsOfTheScaleFollowTheirShape() {
    Tensor a = Tensors.scalar(1.7).squeeze().requires_grad_(true);
    Tensor draws = new ChiSquared(3, "test").draw(1.7, 20_000, 1);
    Tensor mean = ChiSquared.following(draws, a).log().mean();
    assertThat(mean.item_double())
        .isCloseTo(torch.digamma(a).item_double() + Math.log(2), within(0.02));
    double trigamma = torch.polygamma(1, a).item_double();
    assertThat(Gradients.of(mean, a).item_double()).isCloseTo(trigamma, within(0.02 * trigamma));
  }

  @Test
  void marginalsAreTheDiagonalOfTheJointAndThePriorHasNoDivergence() {
    NngpKernel kernel = new NngpKernel(NngpKernel.Network.MLP, NngpKernel.Activation.ERF, 2);
    NngpKernel.Scales scales = NngpKernel.Scales.of(1.2, 0.2, 1);
    Tensor z = rng.normal(ScalarType.Double, 6, 3);
    Tensor x = rng.normal(ScalarType.Double, 4, 3);
    Tensor mu = rng.normal(ScalarType.Double, 2, 6);
    Tensor v = rng.uniform(ScalarType.Double, 2, 6).add(new Scalar(0.1));
    Tensor lower = Svtp.factor(kernel.gram(z, scales), 1e-6);
    Tensor cross = kernel.between(z, x, scales);
    Svtp.Values joint = Svtp.joint(lower, cross, kernel.gram(x, scales), mu, v);
    Svtp.Values marginal = Svtp.marginal(lower, cross, kernel.diagonal(x, scales), mu, v);
    assertThat(joint.mean().sub(marginal.mean()).abs().max().item_double()).isLessThan(1e-9);
    assertThat(joint.spread().diagonal(0, 1, 2).sub(marginal.spread()).abs().max().item_double())
        .isLessThan(1e-9);
    Tensor one = Tensors.of(new double[] {1.3}, 1, 1);
    Tensor zero = Tensors.of(new double[] {0}, 1, 1);
    Tensor a = Tensors.scalar(2.5).squeeze();
    Tensor b = Tensors.scalar(1.5).squeeze();
    assertThat(Svtp.divergence(one.sqrt(), zero, one, a, b, 2.5, 1.5).item_double())
        .isCloseTo(0, within(1e-12));
    assertThat(Svtp.divergence(one.sqrt(), zero, one, a, b, 2, 1.5).item_double()).isPositive();
    assertThat(Svtp.divergence(lower, mu, v).item_double()).isPositive();
  }

  @ParameterizedTest
  @ValueSource(ints = {7, 12, 500})
  void inducingInputsTakeTheClassesInTurn(int wanted) {
    Tensor x = rng.normal(ScalarType.Double, 60, 2);
    // One class is rare.
    Tensor labels = x.select(1, 0).gt(new Scalar(1.0)).to(ScalarType.Long);
    long rare = labels.sum().item_long();
    try (ScaleMixtureClassification model = make("inducing", wanted);
        SvtpTraining run = new SvtpTraining(model.settings(), x, labels, 2)) {
      Tensor z = run.parameters().get("z").detach();
      assertThat(z.size(0)).isEqualTo(Math.min(wanted, 60));
      assertThat(z.select(1, 0).gt(new Scalar(1.0)).sum().item_long())
          .isEqualTo(Math.min(rare, wanted == 500 ? rare : wanted / 2));
    }
  }

  @Test
  void badInputIsNamedAndChangesNothing() {
    Tensor x = rng.normal(ScalarType.Double, 30, 2);
    Tensor y = x.select(1, 0).gt(new Scalar(0.0)).to(ScalarType.Long);
    try (ScaleMixtureClassification model = make("epochs", 1)) {
      refused(() -> model.probabilities(x), "has not been fitted");
      model.fit(x, y, 2);
      double[] before = Tensors.doubles(model.probabilities(x));
      refused(() -> model.fit(x, y.add(new Scalar(1)), 2), "the classes are 0 to 1");
      refused(() -> model.fit(x, y, 1), "classes = 1");
      refused(() -> model.fit(x.div(new Scalar(0.0)), y, 2), "NaN or infinite");
      refused(() -> model.probabilities(x.narrow(1, 0, 1)), "[N, 2] is needed");
      State good = model.state();
      Map<String, Tensor> tensors = new LinkedHashMap<>(good.tensors());
      tensors.remove("chiSquared");
      refused(
          () -> model.restore(new State(good.type(), 1, good.values(), tensors)),
          "lacks the tensor 'chiSquared'");
      assertThat(Tensors.doubles(model.probabilities(x))).containsExactly(before);
    }
    refused(() -> make("process", "BURR"), "process = BURR");
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable work, String why) {
    assertThatThrownBy(work).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }
}
