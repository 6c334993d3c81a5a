package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Energy;

/** A guard that names the labels that are possible. */
class LabelSetGuardTest {
  private static NeuralModel model;
  private static TensorDataset known;

  @BeforeAll
  static void build() {
    Torch.start();
    model = Blobs.model();
    known = Blobs.known(1600, 3);
  }

  @AfterAll
  static void close() {
    model.close();
    known.close();
  }

  private static GuardBuilder builder() {
    return Guard.of(model).detect(new Energy());
  }

  @ParameterizedTest
  @ValueSource(strings = {"lac:alpha=0.1", "aps:alpha=0.1", "raps:alpha=0.1"})
  void setsHoldTheTrueLabelAsOftenAsPromised(String sets) {
    try (Guard guard = builder().labelSets(sets).fit(known);
        TensorDataset fresh = Blobs.known(4000, 9)) {
      GuardEvaluation.LabelSetFigures figures =
          Objects.requireNonNull(
              Objects.requireNonNull(
                      GuardEvaluation.of(guard, fresh, List.of(), 256, 0, done -> {})
                          .known()
                          .predictions())
                  .labelSets());
      // 800 rows fit the sets: coverage given them is Beta(721, 80), of deviation 0.0106.
      assertThat(figures.coverage().estimate()).isBetween(0.85, 0.95);
      assertThat(figures.promised()).isEqualTo(0.9);
      assertThat(figures.meanSize()).isBetween(0.85, 2.0);
      assertThat(guard.info().metrics()).containsKey("labelSetSize");
      assertThat(guard.info().promise()).isEqualTo(guard.promise()).contains("90");
    }
  }

  @Test
  void verdictsCarryTheSetAndItsPromiseAndASavedGuardGivesTheSame(@TempDir Path folder) {
    Path bundle = folder.resolve("sets.guard");
    try (Guard guard = builder().labelSets("aps:alpha=0.2").fit(known);
        TensorDataset fresh = Blobs.known(50, 5)) {
      List<Verdict> verdicts = guard.check(fresh.inputs());
      for (Verdict verdict : verdicts) {
        LabelSet set = Objects.requireNonNull(verdict.labelSet());
        assertThat(set.coverage()).isEqualTo(0.8);
        assertThat(set.classNames()).hasSameSizeAs(set.labels());
        set.labels().forEach(label -> assertThat(set.holds(label)).isTrue());
        assertThat(set.classNames()).isSubsetOf("north", "east", "west");
      }
      for (int i = 0; i < 10; i++) {
        Tensor row = fresh.inputs().narrow(0, i, 1);
        assertThat(Objects.requireNonNull(guard.check(row).get(0).labelSet()))
            .as("a row's set does not depend on its batch")
            .isEqualTo(verdicts.get(i).labelSet());
      }
      guard.save(bundle);
      try (Guard again = Guard.load(bundle)) {
        assertThat(again.check(fresh.inputs())).isEqualTo(verdicts);
        assertThat(again.promise()).isEqualTo(guard.promise());
      }
    }
  }

  @Test
  void writtenVerdictsHaveTheSets(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("verdicts.csv");
    try (Guard guard = builder().labelSets("lac:alpha=0.01").fit(known);
        TensorDataset fresh = Blobs.known(20, 5);
        VerdictWriter writer = VerdictWriter.open(file, true)) {
      guard.check(fresh.inputs()).forEach(writer::write);
      writer.commit();
    }
    List<String> lines = Files.readAllLines(file);
    assertThat(lines.get(0)).endsWith("detector,label_set,coverage");
    assertThat(lines).hasSize(21);
    assertThat(lines.get(1)).endsWith(",0.99");
  }

  @Test
  void setsFollowATargetThatShifted() {
    try (TensorDataset target = Blobs.known(900, 21);
        Guard guard = builder().labelSets("covariate-shift-conformal").target(target).fit(known);
        PointerScope scope = new PointerScope()) {
      assertThat(guard.promise()).isNotBlank();
      assertThat(Objects.requireNonNull(guard.check(target.inputs()).get(0).labelSet()).coverage())
          .isEqualTo(0.9);
    }
  }

  @Test
  void whatCannotBePromisedIsSaidBeforeAnythingIsFitted() {
    assertThatThrownBy(() -> builder().labelSets("lac").target(known).fit(known))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("does not correct for inputs that shift");
    assertThatThrownBy(() -> builder().target(known).fit(known))
        .hasMessageContaining("name such sets too");
    TensorDataset unlabelled = TensorDataset.of(known.inputs(), null);
    assertThatThrownBy(() -> builder().labelSets("lac").fit(unlabelled))
        .hasMessageContaining("needs class labels");
    assertThatThrownBy(() -> builder().labelSets("lac,aps")).hasMessageContaining("write one");
    try (PointerScope scope = new PointerScope();
        Guard plain = builder().fit(known)) {
      assertThat(plain.check(Tensors.of(new float[2], 1, 2)).get(0).labelSet()).isNull();
      assertThat(plain.promise()).isNull();
    }
  }
}
