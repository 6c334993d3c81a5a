package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Knn;
import org.outrigger.detect.Msp;

class GuardTest {
  private static NeuralModel model;
  private static TensorDataset known;

  @BeforeAll
  static void build() {
    Torch.start();
    model = Blobs.model();
    known = Blobs.known(1200, 3);
  }

  @AfterAll
  static void close() {
    model.close();
    known.close();
  }

  @Test
  void acceptsTheShareThatWasAskedFor() {
    try (Guard guard = Guard.of(model).detect(new Knn()).accept(0.9).fit(known);
        TensorDataset fresh = Blobs.known(2000, 9);
        TensorDataset far = Blobs.far(500)) {
      Threshold threshold = guard.info().threshold();
      assertThat(threshold.accepted()).isBetween(0.9, 0.905);
      assertThat(threshold.lower()).isLessThan(0.9);
      assertThat(threshold.upper()).isGreaterThan(0.9);
      GuardEvaluation evaluation =
          GuardEvaluation.of(guard, fresh, List.of(far), 128, 0, done -> {});
      assertThat(evaluation.known().accepted().estimate())
          .isBetween(threshold.lower() - 0.03, threshold.upper() + 0.03);
      assertThat(evaluation.unknown().get(0).auroc().estimate()).isGreaterThan(0.95);
      assertThat(evaluation.unknown().get(0).flagged().estimate()).isGreaterThan(0.9);
      assertThat(evaluation.known().predictions().accuracy().estimate()).isGreaterThan(0.9);
      assertThat(GuardReport.of(evaluation).html()).contains("Known inputs accepted", "far");
    }
  }

  @Test
  void aRowIsJudgedTheSameAloneAndInABatch() {
    try (Guard guard = Guard.of(model).detect(new Energy(), new Knn(), new Msp()).fit(known);
        TensorDataset fresh = Blobs.known(20, 5);
        PointerScope scope = new PointerScope()) {
      List<Verdict> together = guard.check(fresh.inputs());
      assertThat(together).hasSize(20);
      for (int i = 0; i < 20; i++) {
        Verdict alone = guard.check(fresh.inputs().narrow(0, i, 1)).get(0);
        assertThat(alone.label()).isEqualTo(together.get(i).label());
        assertThat(alone.score()).isCloseTo(together.get(i).score(), within(1e-3));
        assertThat(together.get(i).detector()).isIn("energy", "knn", "msp");
        assertThat(together.get(i).probability()).isBetween(1.0 / 3, 1.0);
      }
    }
  }

  @Test
  void manyThreadsGetTheSameVerdicts() throws Exception {
    try (Guard guard = Guard.of(model).detect(new Energy(), new Knn()).fit(known);
        TensorDataset fresh = Blobs.known(64, 5)) {
      List<Verdict> expected = guard.check(fresh.inputs());
      ExecutorService pool = Executors.newFixedThreadPool(4);
      try {
        List<Callable<List<Verdict>>> tasks = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
          tasks.add(() -> guard.check(fresh.inputs()));
        }
        for (Future<List<Verdict>> result : pool.invokeAll(tasks)) {
          assertThat(result.get()).isEqualTo(expected);
        }
      } finally {
        pool.shutdownNow();
      }
    }
  }

  @Test
  void calibrationIsMeasuredOnRowsItWasNotFittedOn() {
    try (Guard guard = Guard.of(model).calibrate(new TemperatureScaling()).fit(known)) {
      var metrics = guard.info().metrics();
      assertThat(metrics).containsKeys("accuracy", "eceBefore", "eceAfter", "nllAfter");
      assertThat(metrics.get("nllAfter")).isLessThanOrEqualTo(metrics.get("nllBefore") + 0.02);
      assertThat(guard.info().fitRows() + guard.info().holdOutRows()).isEqualTo(1200);
      assertThat(guard.info().dataSha256()).hasSize(64);
    }
  }

  @Test
  void badInputIsNamed() {
    try (Guard guard = Guard.of(model).fit(known);
        PointerScope scope = new PointerScope()) {
      Tensor nan = Tensors.of(new float[] {0, 0, Float.NaN, 0}, 2, 2);
      assertThatThrownBy(() -> guard.check(nan))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("NaN or infinite values in 1 of 2 rows");
      Tensor wide = Tensors.of(new float[6], 2, 3);
      assertThatThrownBy(() -> guard.check(wide)).isInstanceOf(OutriggerException.class);
    }
    assertThatThrownBy(() -> Guard.of(model).detect("enrgy"))
        .hasMessageContaining("Did you mean energy");
    assertThatThrownBy(() -> Guard.of(model).accept(1)).hasMessageContaining("accept = 1.0");
    try (TensorDataset one = Blobs.oneClass(100)) {
      assertThatThrownBy(() -> Guard.of(model).fit(one)).hasMessageContaining("same label");
    }
    try (TensorDataset few = Blobs.known(12, 1)) {
      assertThatThrownBy(() -> Guard.of(model).fit(few))
          .hasMessageContaining("at least 20 held-out rows");
    }
  }

  @Test
  void unlabelledDataCanSetAThresholdButNotFitWhatNeedsLabels() {
    TensorDataset unlabelled = TensorDataset.of(known.inputs(), null);
    try (Guard guard = Guard.of(model).fit(unlabelled)) {
      assertThat(guard.calibrator()).isNull();
      assertThat(guard.info().metrics()).isEmpty();
    }
    assertThatThrownBy(() -> Guard.of(model).calibrate(new TemperatureScaling()).fit(unlabelled))
        .hasMessageContaining("needs class labels");
  }

  @Test
  void scalesKeepTheOrderBeyondWhatWasSeen() {
    ScoreScale scale = new ScoreScale(new double[] {1, 2, 2, 3});
    assertThat(scale.of(0)).isEqualTo(0);
    assertThat(scale.of(2)).isEqualTo(0.5);
    assertThat(scale.of(3)).isEqualTo(0.875);
    assertThat(scale.of(4)).isEqualTo(2);
    assertThat(scale.of(5)).isGreaterThan(scale.of(4));
  }
}
