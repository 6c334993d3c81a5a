package org.outrigger.adapt.edge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.Snapshot;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What a device uploads, and where the cloud keeps it. */
class UploadCriteriaTest {
  private static final int CLASSES = 6;

  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(5);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private static UploadCriteria criteria(Map<String, ?> changes) {
    try (Cema cema = Methods.create(Cema.class, "cema", changes)) {
      return new UploadCriteria(cema.settings(), CLASSES);
    }
  }

  private Tensor logits(double sharpness) {
    return rng.normal(ScalarType.Double, 20, CLASSES).mul(new Scalar(sharpness));
  }

  @Test
  void keptRowsLieBetweenBothBounds() {
    try (UploadCriteria criteria = criteria(Map.of("entHighMargin", 0.7, "entLowMargin", 0.2))) {
      UploadCriteria.Selection selection = criteria.select(logits(3));
      double[] entropy = Tensors.doubles(selection.entropy());
      int[] kept = Tensors.ints(selection.kept());
      assertThat(kept).isNotEmpty().hasSizeLessThan(20);
      int next = 0;
      for (int row = 0; row < entropy.length; row++) {
        boolean inside =
            entropy[row] < selection.threshold() && entropy[row] > 0.2 * Math.log(CLASSES);
        assertThat(next < kept.length && kept[next] == row).isEqualTo(inside);
        next += inside ? 1 : 0;
      }
    }
  }

  @Test
  void thePapersThresholdFollowsTheRunningEntropy() {
    try (UploadCriteria criteria = criteria(Map.of("lambda", 0.9))) {
      UploadCriteria.Selection first = criteria.select(logits(1));
      assertThat(first.threshold()).isEqualTo(criteria.entropyMax());
      double before = Tensors.doubles(first.entropy().mean())[0];
      UploadCriteria.Selection second = criteria.select(logits(4));
      double now = (before + Tensors.doubles(second.entropy().mean())[0]) / 2;
      assertThat(second.threshold())
          .isCloseTo(0.9 * first.threshold() * now / before, within(1e-12));
    }
  }

  @Test
  void thePapersThresholdStaysAboveTheLowerBoundAndBelowAGuess() {
    try (UploadCriteria low = criteria(Map.of("lambda", 0.01));
        UploadCriteria high = criteria(Map.of("lambda", 100.0))) {
      for (int i = 0; i < 5; i++) {
        Tensor logits = logits(2);
        double least = low.select(logits).threshold();
        double most = high.select(logits).threshold();
        assertThat(least).isGreaterThan(0.02 * Math.log(CLASSES));
        assertThat(most).isLessThanOrEqualTo(Math.log(CLASSES));
      }
      assertThat(high.select(logits(2)).threshold()).isEqualTo(Math.log(CLASSES));
    }
  }

  @Test
  void rowsLikeThoseThatWereSentAreLeftOut() {
    try (UploadCriteria criteria =
        criteria(
            Map.of("entHighMargin", 2, "entLowMargin", 0, "threshold", "STATIC", "dMargin", 0.5))) {
      Tensor one = Tensors.of(new double[] {2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0}, 2, CLASSES);
      assertThat(criteria.select(one).kept().size(0)).isEqualTo(2);
      assertThat(criteria.select(one).kept().size(0)).isZero();
      Tensor other = Tensors.of(new double[] {0, 0, 0, 0, 0, 9}, 1, CLASSES);
      assertThat(criteria.select(other).kept().size(0)).isEqualTo(1);
    }
  }

  @Test
  void aRestoredOneGoesOnExactly() {
    Map<String, Object> changes = Map.of("entHighMargin", 0.9, "dMargin", 0.9);
    try (UploadCriteria one = criteria(changes);
        UploadCriteria two = criteria(changes)) {
      one.select(logits(2));
      two.restore(one.state());
      Tensor next = logits(3);
      UploadCriteria.Selection a = one.select(next);
      UploadCriteria.Selection b = two.select(next);
      assertThat(b.threshold()).isEqualTo(a.threshold());
      assertThat(Tensors.ints(b.kept())).containsExactly(Tensors.ints(a.kept()));
    }
  }

  @Test
  void badLogitsAndStatesChangeNothing() {
    try (UploadCriteria criteria = criteria(Map.of());
        Snapshot before = Snapshot.of(criteria.state())) {
      Tensor nan = logits(1);
      nan.narrow(0, 2, 1).fill_(new Scalar(Double.NaN));
      assertThatThrownBy(() -> criteria.select(nan))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("1 of 20 rows");
      assertThatThrownBy(() -> criteria.select(rng.normal(3, 5)))
          .isInstanceOf(OutriggerException.class);
      State state = criteria.state();
      assertThat(state.values()).isEqualTo(before.state().values());
      assertThatThrownBy(
              () -> criteria.restore(new State(state.type(), 1, Map.of("sum", 1), Map.of())))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("count");
    }
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    List<Map<String, ?>> all =
        List.of(
            Map.of("entHighMargin", -0.1),
            Map.of("entLowMargin", 0.5),
            Map.of("lambda", 0),
            Map.of("dMargin", 1.5),
            Map.of("threshold", "CODE"),
            Map.of("temperature", 0),
            Map.of("cloudBatch", 1),
            Map.of("replay", 31));
    for (Map<String, ?> bad : all) {
      assertThatThrownBy(() -> criteria(bad))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("out of range");
    }
    try (Cema cema = new Cema()) {
      assertThatThrownBy(() -> new UploadCriteria(cema.settings(), 1))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("classes");
    }
  }

  /** The ring does what a list of the last rows does. */
  @Test
  void theRingHoldsTheLastRowsInTheirOrder() {
    try (SampleRing ring = new SampleRing(7)) {
      Deque<Double> list = new ArrayDeque<>();
      double next = 0;
      for (int step = 0; step < 60; step++) {
        int n = step * 5 % 9;
        double[] rows = new double[n];
        for (int i = 0; i < n; i++) {
          rows[i] = next++;
          list.add(rows[i]);
        }
        ring.add(Tensors.of(rows, n, 1));
        while (list.size() > 7) {
          list.removeFirst();
        }
        if (step % 3 == 0 && list.size() > 2) {
          assertThat(Tensors.doubles(ring.pop(2)))
              .containsExactly(list.removeFirst(), list.removeFirst());
        }
        assertThat(ring.size()).isEqualTo(list.size());
        try (SampleRing again = new SampleRing(7)) {
          again.restore(ring.state());
          if (!list.isEmpty()) {
            assertThat(Tensors.doubles(again.pop(list.size())))
                .containsExactly(list.stream().mapToDouble(Double::doubleValue).toArray());
          }
        }
        if (!list.isEmpty()) {
          assertThat(Tensors.doubles(ring.sample(9, rng)))
              .containsExactlyInAnyOrder(list.stream().mapToDouble(Double::doubleValue).toArray());
        }
      }
    }
  }
}
