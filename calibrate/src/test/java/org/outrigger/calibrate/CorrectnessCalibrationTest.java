package org.outrigger.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.calibrate.CorrectnessCalibration.Settings;
import org.outrigger.calibrate.CorrectnessCalibration.Weighting;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class CorrectnessCalibrationTest {
  private static final int ROWS = 200;

  private PointerScope scope;
  private Rng rng;
  private final List<AutoCloseable> open = new ArrayList<>();

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(1);
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open) {
      each.close();
    }
    rng.close();
    scope.close();
  }

  /** A network of random weights, inputs, and labels that it gets right in about 7 of 10 cases. */
  private record Case(NeuralModel model, TensorDataset data, Tensor logits, Tensor labels) {
    CorrectnessCalibration fitted(CorrectnessCalibration calibrator) {
      calibrator.fit(model, data, logits, labels);
      return calibrator;
    }

    Tensor probabilities(CorrectnessCalibration calibrator, Tensor inputs) {
      try (Output output = model.predict(inputs)) {
        return calibrator.probabilities(model, inputs, output);
      }
    }
  }

  private Case of(double right, long... shape) {
    NeuralModel model = NeuralModel.create("mlp", Map.of("hidden", List.of(16)), shape, 5, 3);
    long[] all = new long[shape.length + 1];
    all[0] = ROWS;
    System.arraycopy(shape, 0, all, 1, shape.length);
    Tensor inputs = rng.normal(all).mul(new Scalar(3.0));
    Tensor logits = model.predict(inputs).logits();
    Tensor predicted = logits.argmax(new LongOptional(1), false);
    Tensor other = predicted.add(new Scalar(1L)).remainder(new Scalar(5L));
    Tensor labels = torch.where(rng.uniform(ROWS).lt(new Scalar(right)), predicted, other);
    TensorDataset data = TensorDataset.of(inputs, labels);
    open.add(model);
    open.add(data);
    return new Case(model, data, logits, labels);
  }

  private static Settings settings(String name, Object value) {
    try (CorrectnessCalibration made =
        Methods.create(
            CorrectnessCalibration.class, "correctness-calibration", Map.of(name, value))) {
      return made.settings();
    }
  }

  private static Settings quick() {
    return settings("steps", 30);
  }

  @Test
  void theLossAndItsGradientsAreThoseOfTheFormula() {
    Tensor logits = rng.normal(ScalarType.Double, 12, 5).mul(new Scalar(2.0));
    List<Tensor> views =
        List.of(rng.normal(ScalarType.Double, 12, 5), rng.normal(ScalarType.Double, 12, 5));
    Tensor phi = AdaptiveTemperature.features(logits, views, 3);
    assertThat(phi.shape()).containsExactly(12, 6);
    Tensor correct =
        AdaptiveTemperature.correct(logits, Tensors.labels(0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1));
    Tensor w1 = rng.normal(ScalarType.Double, 4, 6);
    Tensor b1 = rng.normal(ScalarType.Double, 4);
    Tensor w2 = rng.normal(ScalarType.Double, 1, 4).mul(new Scalar(0.3));
    Tensor b2 = Tensors.of(new double[] {1.5}, 1).requires_grad_(true);
    Tensor loss = loss(logits, phi, correct, w1, b1, w2, b2);
    double gradient = Gradients.of(loss, b2).item_double();
    double step = 1e-6;
    Tensor up = b2.detach().add(new Scalar(step));
    Tensor down = b2.detach().sub(new Scalar(step));
    double difference =
        (loss(logits, phi, correct, w1, b1, w2, up).item_double()
                - loss(logits, phi, correct, w1, b1, w2, down).item_double())
            / (2 * step);
    assertThat(gradient).isCloseTo(difference, within(1e-8)).isNotZero();
  }

  private static Tensor loss(
      Tensor z, Tensor phi, Tensor correct, Tensor w1, Tensor b1, Tensor w2, Tensor b2) {
    Tensor t = AdaptiveTemperature.temperatures(phi, w1, b1, w2, b2, 0.1, 10);
    return AdaptiveTemperature.loss(
        AdaptiveTemperature.confidence(z, t), correct, Weighting.BALANCED);
  }

  @Test
  void balancedWeightsGiveBothGroupsTheSameSay() {
    Tensor correct = Tensors.of(new double[] {1, 1, 1, 0}, 4);
    assertThat(Tensors.doubles(AdaptiveTemperature.weights(correct)))
        .containsExactly(0.25, 0.25, 0.25, 0.75);
    Tensor p = Tensors.of(new double[] {0.5, 0.5, 0.5, 0.5}, 4);
    Tensor right = torch.ones_like(correct);
    assertThat(AdaptiveTemperature.loss(p, right, Weighting.BALANCED).item_double())
        .isEqualTo(0.25);
    Tensor sure = Tensors.of(new double[] {1, 1, 1, 1}, 4);
    assertThat(AdaptiveTemperature.loss(sure, correct, Weighting.BALANCED).item_double())
        .isEqualTo(0.5);
    assertThat(AdaptiveTemperature.loss(sure, correct, Weighting.NONE).item_double())
        .isEqualTo(0.25);
  }

  @Test
  void equalLogitsAreTakenByLowerClass() {
    Tensor z = Tensors.of(new double[] {1, 3, 3, 0}, 1, 4);
    Tensor view = Tensors.of(new double[] {0, Math.log(2), 0, 0}, 1, 4);
    assertThat(Tensors.doubles(AdaptiveTemperature.features(z, List.of(view), 2)))
        .containsExactly(new double[] {0.4, 0.2}, within(1e-15));
    assertThat(Tensors.doubles(AdaptiveTemperature.correct(z, Tensors.labels(1))))
        .containsExactly(1);
    assertThat(Tensors.doubles(AdaptiveTemperature.correct(z, Tensors.labels(2))))
        .containsExactly(0);
  }

  @Test
  void theClassStaysAndRowsDoNotDependOnTheirBatch() {
    for (long[] shape : new long[][] {{3, 6, 6}, {1, 6, 6}, {7}}) {
      Case with = of(0.7, shape);
      try (CorrectnessCalibration calibrator = with.fitted(new CorrectnessCalibration(quick()))) {
        Tensor inputs = with.data.inputs().narrow(0, 0, 20);
        Tensor together = with.probabilities(calibrator, inputs);
        assertThat(together.scalar_type().intern()).isEqualTo(ScalarType.Float);
        assertThat(Tensors.doubles(together.sum(1))).containsExactly(ones(20), within(1e-5));
        assertThat(Tensors.ints(together.argmax(new LongOptional(1), false)))
            .containsExactly(
                Tensors.ints(with.logits.narrow(0, 0, 20).argmax(new LongOptional(1), false)));
        for (int i = 0; i < 20; i++) {
          Tensor alone = with.probabilities(calibrator, inputs.narrow(0, i, 1));
          assertThat(Tensors.doubles(alone))
              .containsExactly(Tensors.doubles(together.narrow(0, i, 1)), within(1e-5));
        }
        Tensor t = calibrator.temperatures(with.model, inputs, with.model.predict(inputs));
        assertThat(t.amin().item_double()).isGreaterThanOrEqualTo(0.1);
        assertThat(t.amax().item_double())
            .isLessThanOrEqualTo(10)
            .isGreaterThan(t.amin().item_double());
      }
    }
  }

  private static double[] ones(int n) {
    double[] ones = new double[n];
    java.util.Arrays.fill(ones, 1);
    return ones;
  }

  @Test
  void theUsualViewsAreThoseOfTheInputsKind() {
    try (CorrectnessCalibration colours =
            of(0.7, 3, 6, 6).fitted(new CorrectnessCalibration(quick()));
        CorrectnessCalibration grey = of(0.7, 1, 6, 6).fitted(new CorrectnessCalibration(quick()));
        CorrectnessCalibration table = of(0.7, 7).fitted(new CorrectnessCalibration(quick()))) {
      assertThat(colours.viewNames())
          .containsExactly("rotation 15", "greyscale", "jitter 0.4 seed 0");
      assertThat(grey.viewNames()).containsExactly("rotation 15", "blur 0.7", "jitter 0.4 seed 0");
      assertThat(table.viewNames())
          .containsExactly(
              "noise 0.1 draw 1 seed 0", "noise 0.1 draw 2 seed 0", "noise 0.1 draw 3 seed 0");
    }
  }

  @Test
  void viewsDoWhatTheySay() {
    Tensor x = rng.normal(40, 3, 5, 5);
    Tensor grey = Views.greyscale().apply(x);
    assertThat(torch.equal(grey.select(1, 0), grey.select(1, 2))).isTrue();
    Tensor flat = torch.ones(new long[] {2, 2, 4, 4}, x.options());
    Tensor blurred = Views.blur(0.7).apply(flat);
    assertThat(blurred.sub(flat).abs().amax().item_double()).isLessThan(1e-6);
    assertThat(Views.blur(0.7).apply(x).std().item_double())
        .isLessThan(0.6 * x.std().item_double());
    // Plain images know brightness alone: one factor each, within reach.
    Tensor factors =
        Views.jitter(0.4, 2)
            .apply(rng.normal(300, 1, 1, 1).abs().add(new Scalar(1.0)).expand(300, 1, 4, 4));
    assertThat(factors.sub(factors.mean(new long[] {2, 3}, true, null)).abs().amax().item_double())
        .isLessThan(1e-5);
    Tensor rows = rng.normal(4000, 2);
    Tensor spread = Tensors.of(new double[] {1, 5}, 2);
    Tensor noise = Views.noise(spread, 0.1, 1, 0).apply(rows).sub(rows);
    assertThat(noise.select(1, 0).std().item_double()).isCloseTo(0.1, within(0.01));
    assertThat(noise.select(1, 1).std().item_double()).isCloseTo(0.5, within(0.05));
    Tensor other = Views.noise(spread, 0.1, 2, 0).apply(rows).sub(rows);
    assertThat(noise.mul(other).mean().item_double()).isCloseTo(0, within(0.01));
  }

  @Test
  void aRestoredOneGivesTheSameToTheLastBit() {
    for (long[] shape : new long[][] {{1, 6, 6}, {7}}) {
      Case with = of(0.7, shape);
      try (CorrectnessCalibration calibrator = with.fitted(new CorrectnessCalibration(quick()));
          CorrectnessCalibration again = with.fitted(new CorrectnessCalibration(quick()));
          CorrectnessCalibration other = new CorrectnessCalibration()) {
        other.restore(calibrator.state());
        assertThat(other.settings()).isEqualTo(calibrator.settings());
        assertThat(other.plainTemperature()).isEqualTo(calibrator.plainTemperature());
        Tensor expected = with.probabilities(calibrator, with.data.inputs());
        assertThat(torch.equal(with.probabilities(other, with.data.inputs()), expected)).isTrue();
        assertThat(torch.equal(with.probabilities(again, with.data.inputs()), expected)).isTrue();
        State state = calibrator.state();
        Map<String, Tensor> damaged = new LinkedHashMap<>(state.tensors());
        damaged.put("W1", state.tensor("W1").narrow(1, 0, 5));
        refused(
            () -> other.restore(new State(state.type(), 1, state.values(), damaged)),
            "The saved W1");
        damaged.put("W1", state.tensor("W1").mul(new Scalar(Double.NaN)));
        refused(() -> other.restore(new State(state.type(), 1, state.values(), damaged)), "W1");
        assertThat(torch.equal(with.probabilities(other, with.data.inputs()), expected)).isTrue();
      }
    }
  }

  @Test
  void viewsOfYourOwnMustBeThereAgain() {
    Case with = of(0.7, 7);
    View half = View.of("half", x -> x.mul(new Scalar(0.5)));
    try (CorrectnessCalibration calibrator =
            with.fitted(new CorrectnessCalibration(quick(), List.of(half)));
        CorrectnessCalibration same = new CorrectnessCalibration(quick(), List.of(half));
        CorrectnessCalibration none = new CorrectnessCalibration();
        CorrectnessCalibration wrong =
            new CorrectnessCalibration(quick(), List.of(View.of("cut", x -> x.narrow(1, 0, 3))))) {
      same.restore(calibrator.state());
      assertThat(
              torch.equal(
                  with.probabilities(same, with.data.inputs()),
                  with.probabilities(calibrator, with.data.inputs())))
          .isTrue();
      refused(() -> none.restore(calibrator.state()), "no usual views");
      refused(() -> wrong.restore(calibrator.state()), "the same views");
      refused(() -> with.fitted(wrong), "must keep the shape");
    }
  }

  @Test
  void rowsThatAreAllRightGetThePlainTemperature() {
    Case with = of(1.1, 7);
    try (CorrectnessCalibration calibrator = with.fitted(new CorrectnessCalibration());
        TemperatureScaling plain = new TemperatureScaling()) {
      plain.fit(with.logits, with.labels);
      Tensor expected = plain.probabilities(with.logits);
      Tensor given = with.probabilities(calibrator, with.data.inputs());
      assertThat(given.sub(expected).abs().amax().item_double()).isLessThan(1e-5);
    }
  }

  @Test
  void hugeLogitsAreBroughtIntoRangeByThePlainTemperature() {
    Case with = of(0.7, 7);
    // Ten thousand times as sure: no temperature up to 10 can help.
    NeuralModel model = with.model;
    model.parameters().get("head.weight").detach().mul_(new Scalar(300.0));
    model.parameters().get("head.bias").detach().mul_(new Scalar(300.0));
    Tensor logits = model.predict(with.data.inputs()).logits();
    try (CorrectnessCalibration calibrator = new CorrectnessCalibration()) {
      calibrator.fit(model, with.data, logits, with.labels);
      assertThat(calibrator.plainTemperature()).isGreaterThan(10);
      Tensor inputs = with.data.inputs();
      Tensor t = calibrator.temperatures(model, inputs, model.predict(inputs));
      assertThat(t.amax().item_double()).isGreaterThan(10);
      Tensor p = calibrator.probabilities(model, inputs, model.predict(inputs));
      double sure = p.amax(new long[] {1}, false).mean().item_double();
      assertThat(sure).isBetween(0.3, 0.9);
    }
  }

  @Test
  void badInputChangesNothing() {
    Case with = of(0.7, 7);
    Tensor z = with.logits;
    Tensor y = with.labels;
    try (CorrectnessCalibration calibrator = new CorrectnessCalibration(quick())) {
      refused(() -> calibrator.probabilities(z), "call probabilities with the model");
      refused(
          () -> calibrator.probabilities(with.model, with.data.inputs(), new Output(z, null)),
          "not fitted yet");
      refused(() -> calibrator.fit(z, y), "use temperature scaling");
      with.fitted(calibrator);
      Tensor before = with.probabilities(calibrator, with.data.inputs());
      Tensor broken = z.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      refused(() -> calibrator.fit(with.model, with.data, broken, y), "1 of 200 rows");
      refused(
          () -> calibrator.fit(with.model, with.data, z, y.add(new Scalar(5L))),
          "classes are 0 to 4");
      refused(() -> calibrator.fit(with.model, with.data, z, torch.zeros_like(y)), "of class 0");
      refused(
          () -> calibrator.fit(with.model, with.data, z.narrow(0, 0, 40), y.narrow(0, 0, 40)),
          "needs 50 held-out rows");
      refused(
          () -> calibrator.fit(with.model, with.data, z.narrow(0, 0, 150), y.narrow(0, 0, 150)),
          "there are logits of 150");
      refused(
          () -> calibrator.fit(with.model, with.data, z.mul(new Scalar(2.0)), y),
          "not what the model gives");
      refused(
          () -> new CorrectnessCalibration(settings("k", 6)).fit(with.model, with.data, z, y),
          "set k to 5 or less");
      Tensor narrow = with.data.inputs().narrow(1, 0, 3);
      refused(
          () -> calibrator.probabilities(with.model, narrow, new Output(z, null)),
          "200 of shape [7]");
      assertThat(torch.equal(with.probabilities(calibrator, with.data.inputs()), before)).isTrue();
    }
    refused(() -> settings("highest", 0.05), "above lowest = 0.1");
    refused(() -> settings("k", 0), "k = 0 is out of range");
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String why) {
    assertThatThrownBy(call).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }

  @Test
  void memoryStaysFlat() {
    Case with = of(0.7, 1, 6, 6);
    double before = 0;
    try (CorrectnessCalibration calibrator = new CorrectnessCalibration(quick())) {
      for (int i = 0; i < 16; i++) {
        if (i == 6) {
          before = ResidentMemory.megabytes();
        }
        try (PointerScope inner = new PointerScope()) {
          with.fitted(calibrator);
          with.probabilities(calibrator, with.data.inputs());
        }
      }
    }
    assertThat(ResidentMemory.megabytes() - before).isLessThan(12);
  }
}
