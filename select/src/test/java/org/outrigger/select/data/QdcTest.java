package org.outrigger.select.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class QdcTest {
  @Property(tries = 15)
  void vendiLiesBetweenOneAndNAndFallsWithItsOrder(
      @ForAll @IntRange(min = 2, max = 30) int n, @ForAll @IntRange(min = 1, max = 40) int d) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(n * 100L + d)) {
      Tensor x = rng.normal(ScalarType.Double, n, d);
      double last = n + 1e-9;
      for (double order : new double[] {0.5, 1, 2, Double.POSITIVE_INFINITY}) {
        double score = Vendi.ofEmbeddings(x, order);
        assertThat(score).isBetween(1 - 1e-9, last + 1e-9);
        last = score;
      }
      Tensor unit = SemanticDuplicates.normalised(x);
      Tensor kernel = unit.mm(unit.t());
      assertThat(Vendi.ofKernel(kernel, 2)).isCloseTo(Vendi.ofEmbeddings(x, 2), within(1e-8));
    }
  }

  @Test
  void aKernelThatIsNoneIsRefused() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor wild = Tensors.of(new double[][] {{1, 2}, {2, 1}});
      assertThatThrownBy(() -> Vendi.ofKernel(wild, 1)).hasMessageContaining("semi-definite");
      Tensor skew = Tensors.of(new double[][] {{1, 0.2}, {0.1, 1}});
      assertThatThrownBy(() -> Vendi.ofKernel(skew, 1)).hasMessageContaining("not symmetric");
    }
  }

  @Test
  void duplicatesHaveNoDistanceAndASetCoversItself() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor x = rng.normal(ScalarType.Double, 40, 5);
      Tensor twice = torch.cat(new TensorVector(x, x), 0);
      assertThat(EmbeddingDiversity.meanNearest(twice)).isCloseTo(0, within(1e-12));
      ReferenceCoverage same = ReferenceCoverage.of(x, x.clone(), 3);
      assertThat(same.precision()).isEqualTo(1);
      assertThat(same.recall()).isEqualTo(1);
      assertThat(same.coverage()).isEqualTo(1);
      Tensor far = x.add(new Scalar(100.0));
      assertThat(ReferenceCoverage.of(far, x, 3).coverage()).isZero();
      assertThatThrownBy(() -> ReferenceCoverage.of(x.narrow(0, 0, 3), x, 3))
          .hasMessageContaining("k = 3 is out of range");
    }
  }

  @Test
  void passAtKIsWhatCountingAllDrawsGives() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor solved = Tensors.of(new double[] {0, 1, 2, 4, 5}, 5);
      assertThat(Tensors.doubles(QualityMeasures.passAtK(solved, 5, 2)))
          .usingComparatorWithPrecision(1e-12)
          .containsExactly(0, 0.4, 0.7, 1, 1);
      assertThatThrownBy(() -> QualityMeasures.passAtK(solved, 4, 2))
          .hasMessageContaining("from 0 to 4");
    }
  }

  @Test
  void wrongLabelsAreContradicted() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2)) {
      int[] labels = new int[200];
      for (int i = 0; i < 200; i++) {
        labels[i] = i % 2;
      }
      Tensor x = rng.normal(ScalarType.Double, 200, 3);
      Tensor shift = Tensors.labels(labels).to(ScalarType.Double).mul(new Scalar(9.0));
      Tensor apart = x.add(shift.unsqueeze(1));
      assertThat(LabelAgreement.noise(apart, Tensors.labels(labels), 5, 0)).isZero();
      for (int i = 0; i < 6; i++) {
        labels[31 * i] = 1 - labels[31 * i];
      }
      assertThat(LabelAgreement.noise(apart, Tensors.labels(labels), 5, 0))
          .isCloseTo(0.03, within(0.02));
    }
  }

  @Test
  void theSelectorsRespectDistanceAndBalance() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor e = Tensors.of(new double[][] {{1, 0}, {1, 0.01}, {0, 1}, {-1, 0}});
      Tensor q = Tensors.of(new double[] {0.9, 0.95, 0.5, 0.1}, 4);
      Tensor c = Tensors.of(new double[] {1, 1, 1, 1}, 4);
      assertThat(DataChoice.scoreThenFilter(q, c, e, 4, 0.1, 1, 1)).containsExactly(1, 2, 3);
      assertThat(DataChoice.greedyBalance(q, c, e, 4, 0, 0, 1)).startsWith(0, 3);
      assertThat(DataChoice.greedyBalance(q, c, e, 4, 1, 1, 0)).containsExactly(1, 0, 2, 3);
      assertThatThrownBy(() -> DataChoice.greedyBalance(q.mul(new Scalar(2.0)), c, e, 2, 1, 1, 1))
          .hasMessageContaining("[0, 1]");
    }
  }

  @Test
  void theHypervolumeIsExact() {
    double[][] two = {{1, 0.5}, {0.5, 1}};
    assertThat(TradeOffs.hypervolume(two)).isCloseTo(0.75, within(1e-12));
    double[][] three = {{1, 0.5, 1}, {0.5, 1, 0.5}, {0.2, 0.2, 0.2}};
    assertThat(TradeOffs.hypervolume(three)).isCloseTo(0.5 * 0.75 + 0.5 * 0.5, within(1e-12));
    assertThat(TradeOffs.pareto(three)).containsExactly(0, 1);
  }

  @Test
  void reportsOfOtherSizesOrEmbeddingsAreNotCompared() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      Tensor x = rng.normal(ScalarType.Double, 30, 4);
      Qdc qdc = new Qdc();
      QdcData all = QdcData.of("all").embeddings(x, "pixels").build();
      QdcData some = QdcData.of("some").embeddings(x.narrow(0, 0, 20), "pixels").build();
      QdcData other = QdcData.of("other").embeddings(x, "features").build();
      assertThatThrownBy(() -> qdc.measure(all).minus(qdc.measure(some)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("subsample to the smaller");
      assertThatThrownBy(() -> qdc.measure(all).minus(qdc.measure(other)))
          .hasMessageContaining("come from 'pixels'");
      PipelineReport stages = PipelineReport.of(qdc, List.of(all, some));
      assertThat(stages.stages().get(1).report().n()).isEqualTo(20);
      assertThat(stages.stages().get(0).report().n()).isEqualTo(20);
      assertThat(stages.stages().get(1).change()).containsKey(Qdc.NEAREST);
    }
  }

  @Test
  void textsAreMeasuredAndEmptyOnesRefused() {
    List<String> texts = List.of("a red cat", "a red dog", "a red cat");
    QdcReport report = new Qdc().measure(QdcData.of("texts").texts(texts).build());
    assertThat(report.value("distinct-1")).isCloseTo(4.0 / 9, within(1e-12));
    assertThat(report.value(Qdc.LENGTH)).isEqualTo(3);
    assertThat(SelfBleu.of(new int[][] {{1, 2, 3, 4}, {1, 2, 3, 4}}, 4)).isEqualTo(1);
    assertThat(SelfBleu.of(new int[][] {{1, 2}, {3, 4}}, 4)).isZero();
    assertThatThrownBy(() -> QdcData.of("texts").texts(List.of("a", " ")))
        .hasMessageContaining("Text 1 is empty");
    assertThatThrownBy(() -> QdcData.of("none").build()).hasMessageContaining("nothing to measure");
  }
}
