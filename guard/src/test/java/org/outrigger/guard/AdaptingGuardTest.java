package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Trainer;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Energy;

/** A guard that follows the stream. */
class AdaptingGuardTest {
  private static final Shift FAINT =
      Shift.of("faint", x -> x.mul(new Scalar(0.35)).add(new Scalar(0.3)));

  private static TensorDataset digits;
  private static IndexedDataset train;
  private static IndexedDataset test;
  private static NeuralModel model;

  @BeforeAll
  static void train() {
    digits = Digits.images();
    Splits halves = digits.splitStratified(0.6, 1);
    train = halves.first();
    test = halves.second();
    model = NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 10, 1);
    Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(3).withSeed(1))
        .fit(train.limit(600));
  }

  @AfterAll
  static void close() {
    model.close();
    digits.close();
  }

  private static GuardBuilder builder() {
    return Guard.of(model).detect(new Energy());
  }

  private static List<Verdict> verdicts(Guard guard, IndexedDataset data, int batchSize) {
    List<Verdict> all = new ArrayList<>();
    try (Batches batches = data.batches(batchSize)) {
      while (batches.hasNext()) {
        try (Batch batch = batches.next()) {
          all.addAll(guard.check(batch));
        }
      }
    }
    return all;
  }

  private static double accuracy(Guard guard) {
    List<Verdict> verdicts = verdicts(guard, FAINT.of(test), 64);
    int right = 0;
    for (int i = 0; i < verdicts.size(); i++) {
      right += verdicts.get(i).label() == test.label(i) ? 1 : 0;
    }
    return (double) right / verdicts.size();
  }

  @Test
  void anAdapterGivesTheLabelsWhileTheDetectorsJudgeAsTheyWereFitted() {
    try (Guard plain = builder().fit(train);
        Guard following = builder().adapt("bn-adapt").fit(train)) {
      assertThat(accuracy(following)).isGreaterThan(accuracy(plain) + 0.1);
      List<Verdict> a = verdicts(plain, FAINT.of(test), 64);
      List<Verdict> b = verdicts(following, FAINT.of(test), 64);
      for (int i = 0; i < a.size(); i++) {
        assertThat(b.get(i).score()).isEqualTo(a.get(i).score());
        assertThat(b.get(i).unknown()).isEqualTo(a.get(i).unknown());
      }
    }
  }

  @Test
  void anAdapterStandsOnASafetyNetUnlessThatIsNotWanted() {
    try (Guard guard = builder().adapt("tent:lr=0.3").fit(train)) {
      SafetyNet net = (SafetyNet) Objects.requireNonNull(guard.adapter());
      for (int i = 0; i < 4; i++) {
        verdicts(guard, FAINT.of(test), 32);
      }
      assertThat(net.rollbacks()).as("TENT at this rate collapses").isPositive();
      assertThat(net.events().get(0).reason()).isNotEqualTo(SafetyNet.Reason.NOT_FINITE);
      assertThat(guard.info().adapter()).isEqualTo("safety-net/tent:lr=0.3");
    }
    try (Guard guard = builder().adapt("tent").safetyNet(false).fit(train)) {
      assertThat(Objects.requireNonNull(guard.adapter()).stack()).isEqualTo("tent");
    }
  }

  @Test
  void aSavedGuardGoesOnWhereItWas(@TempDir Path folder) {
    Path bundle = folder.resolve("following.guard");
    try (Guard guard = builder().adapt("tent").fit(train)) {
      verdicts(guard, FAINT.of(test.limit(128)), 64);
      guard.save(bundle);
      List<Verdict> next = verdicts(guard, FAINT.of(test), 64);
      try (Guard again = Guard.load(bundle)) {
        Adapter adapter = Objects.requireNonNull(again.adapter());
        assertThat(adapter.usage().samples()).isEqualTo(128);
        assertThat(verdicts(again, FAINT.of(test), 64)).isEqualTo(next);
        again.resetAdapter();
        assertThat(adapter.usage().samples()).isZero();
      }
    }
  }

  @Test
  void aBatchThatIsTooSmallToAdaptToIsAnsweredByTheModel() {
    try (Guard plain = builder().fit(train);
        Guard following = builder().adapt("tent").fit(train)) {
      IndexedDataset some = test.limit(5);
      assertThat(verdicts(following, some, 1)).isEqualTo(verdicts(plain, some, 1));
      assertThat(Objects.requireNonNull(following.adapter()).usage().batches()).isZero();
    }
  }

  @Test
  void anAdapterThatTheModelCannotServeIsRefusedBeforeAnythingIsFitted() {
    try (NeuralModel plain = NeuralModel.create("mlp", Map.of(), new long[] {1, 8, 8}, 10, 1)) {
      assertThatThrownBy(() -> Guard.of(plain).adapt("tent").fit(train))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("TENT needs normalisation layers");
    }
  }
}
