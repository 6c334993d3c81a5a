package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Energy;

/** Guards whose calibrator does more than divide logits. */
class CalibratedGuardTest {
  private static TensorDataset digits;
  private static IndexedDataset validation;
  private static NeuralModel model;

  @BeforeAll
  static void train() {
    digits = Digits.images();
    Splits halves = digits.splitStratified(0.6, 1);
    validation = halves.second();
    model = NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 10, 1);
    Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(1).withSeed(1))
        .fit(halves.first().limit(500));
  }

  @AfterAll
  static void close() {
    model.close();
    digits.close();
  }

  private static GuardBuilder builder() {
    return Guard.of(model).detect(new Energy());
  }

  @Test
  void aCalibratorThatLooksAtTheInputsSeesThem(@TempDir Path folder) {
    Path bundle = folder.resolve("views.guard");
    try (Guard guard =
            builder().calibrate("correctness-calibration").labelSets("lac").fit(validation);
        PointerScope scope = new PointerScope()) {
      Tensor inputs = digits.inputs().narrow(0, 0, 12);
      List<Verdict> verdicts = guard.check(inputs);
      Calibrator calibrator = Objects.requireNonNull(guard.calibrator());
      Output output = model.predict(inputs);
      double[][] expected = Tensors.rows(calibrator.probabilities(model, inputs, output));
      int[] predicted = Tensors.ints(output.logits().argmax(new LongOptional(1), false));
      for (int i = 0; i < predicted.length; i++) {
        assertThat(verdicts.get(i).label()).isEqualTo(predicted[i]);
        assertThat(verdicts.get(i).probability()).isEqualTo(expected[i][predicted[i]]);
      }
      assertThat(guard.info().metrics()).containsKeys("eceBefore", "eceAfter", "labelSetSize");
      guard.save(bundle);
      try (Guard again = Guard.load(bundle)) {
        assertThat(again.check(inputs)).isEqualTo(verdicts);
      }
    }
  }

  @Test
  void autoLeavesTheCalibratorThatItChose(@TempDir Path folder) {
    Path bundle = folder.resolve("auto.guard");
    try (Guard guard =
        builder()
            .calibrate("auto:candidates=vector-scaling+matrix-scaling:folds=2")
            .fit(validation)) {
      String slug = Objects.requireNonNull(guard.info().calibrator()).slug();
      assertThat(slug).isIn("vector-scaling", "matrix-scaling");
      Calibrator calibrator = Objects.requireNonNull(guard.calibrator());
      assertThat(calibrator.card().slug()).isEqualTo(slug);
      guard.save(bundle);
      try (Guard again = Guard.load(bundle);
          PointerScope scope = new PointerScope()) {
        Tensor inputs = digits.inputs().narrow(0, 0, 40);
        List<Verdict> verdicts = guard.check(inputs);
        assertThat(again.check(inputs)).isEqualTo(verdicts);
        double[][] p = Tensors.rows(calibrator.probabilities(model.predict(inputs).logits()));
        for (int i = 0; i < p.length; i++) {
          double most = java.util.Arrays.stream(p[i]).max().orElseThrow();
          assertThat(verdicts.get(i).probability())
              .as("the label is the most probable one after calibration")
              .isEqualTo(most);
        }
      }
    }
  }

  @Test
  void suchACalibratorDoesNotGoWithAnAdapter() {
    assertThatThrownBy(
            () -> builder().calibrate("correctness-calibration").adapt("tent").fit(validation))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("choose another calibrator");
  }
}
