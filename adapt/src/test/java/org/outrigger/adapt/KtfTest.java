package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.adapt.HeterogeneousData.SourceCodes;
import org.outrigger.adapt.OfflineAdapter.Listener;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** KTF and its baselines, the distance between means, the study of sources. */
class KtfTest {
  private static final Ktf.Settings SHORT = new Ktf.Settings(0.01, 0.1, 1, 0.01, 80, 0);

  private PointerScope scope;
  private Rng rng;
  private HeterogeneousData data;
  private Tensor truth;

  @TempDir Path folder;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(4);
    truth = Tensors.labels(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2);
    SourceCodes noise = NoiseSource.separated(2, 3, 6, 8, 1);
    data =
        new HeterogeneousData(
            noise.codes(), noise.labels(), blobs(3), Tensors.labels(0, 1, 2), blobs(12));
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  /** Rows around the axes in turn. */
  private Tensor blobs(int rows) {
    Tensor centres = torch.eye(5, rng.normal(1).options()).narrow(0, 0, 3).mul(new Scalar(3.0));
    return centres.repeat(rows / 3, 1).add(rng.normal(rows, 5), new Scalar(0.5));
  }

  private static Map<String, Tensor> weights(Rng rng) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    weights.put("w1", rng.normal(ScalarType.Double, 5, 8));
    weights.put("b1", rng.normal(ScalarType.Double, 8));
    weights.put("w2", rng.normal(ScalarType.Double, 8, 3));
    weights.put("b2", rng.normal(ScalarType.Double, 3));
    return weights;
  }

  private HeterogeneousData doubles() {
    return new HeterogeneousData(
        data.source().to(ScalarType.Double),
        data.sourceLabels(),
        data.labelled().to(ScalarType.Double),
        data.labels(),
        data.unlabelled().to(ScalarType.Double));
  }

  // -- the loss

  @Test
  void theGradientIsThatOfFiniteDifferences() {
    Map<String, Tensor> weights = weights(rng);
    HeterogeneousData exact = doubles().normalised();
    Ktf.Settings settings = Ktf.Settings.defaults();
    weights.values().forEach(w -> w.requires_grad_(true));
    Tensor gradient = Gradients.of(Ktf.losses(exact, weights, settings).total(), weights.get("w1"));
    Tensor flat = weights.get("w1").detach().view(-1);
    for (int i : new int[] {0, 7, 23, 39}) {
      double h = 1e-6;
      Tensor cell = flat.select(0, i);
      cell.add_(new Scalar(h));
      double up = Ktf.losses(exact, weights, settings).total().item_double();
      cell.sub_(new Scalar(2 * h));
      double down = Ktf.losses(exact, weights, settings).total().item_double();
      cell.add_(new Scalar(h));
      assertThat(gradient.view(-1).select(0, i).item_double())
          .isCloseTo((up - down) / (2 * h), within(1e-6));
    }
  }

  @Test
  void theDistanceOfEqualDomainsIsZeroAndIgnoresTheOrderOfRows() {
    Tensor x = rng.normal(ScalarType.Double, 6, 4);
    Tensor y = Tensors.labels(0, 1, 2, 0, 1, 2);
    Tensor soft = torch.one_hot(y, 3).to(ScalarType.Double);
    assertThat(MomentMatching.marginal(x, x, x).item_double()).isCloseTo(0, within(1e-12));
    assertThat(MomentMatching.conditional(x, y, x, y, x, soft).item_double())
        .isCloseTo(0, within(1e-12));
    Tensor other = rng.normal(ScalarType.Double, 6, 4);
    double value = MomentMatching.conditional(x, y, other, y, other, soft).item_double();
    Tensor order = rng.permutation(6);
    assertThat(value).isPositive();
    assertThat(
            MomentMatching.conditional(
                    x, y, other, y, other.index_select(0, order), soft.index_select(0, order))
                .item_double())
        .isCloseTo(value, within(1e-12));
  }

  @Test
  void rowsHaveLengthOneAndRowsOfZerosStay() {
    Tensor x = Tensors.of(new double[][] {{3, 4}, {0, 0}});
    assertThat(Tensors.doubles(HeterogeneousData.unit(x)))
        .containsExactly(new double[] {0.6, 0.8, 0, 0}, within(1e-12));
  }

  // -- the shell

  @Test
  void itLearnsTheTargetWhateverTheLengthOfRows() {
    try (Ktf ktf = new Ktf(SHORT);
        Ktf scaled = new Ktf(SHORT)) {
      Ktf.Fit fit = ktf.fit(data);
      assertThat(ktf.accuracy(data.unlabelled(), truth)).isGreaterThan(0.8);
      assertThat(fit.lossTarget()).isLessThan(Math.log(3));
      Tensor p = ktf.probabilities(data.unlabelled());
      assertThat(p.sum(1).sub(new Scalar(1.0)).abs().max().item_double()).isLessThan(1e-5);
      scaled.fit(
          new HeterogeneousData(
              data.source().mul(new Scalar(4.0)),
              data.sourceLabels(),
              data.labelled().mul(new Scalar(2.0)),
              data.labels(),
              data.unlabelled().mul(new Scalar(8.0))));
      assertThat(Tensors.floats(scaled.probabilities(data.unlabelled())))
          .containsExactly(Tensors.floats(p));
    }
  }

  @Test
  void sameSeedSameModelAndARestoredOneIsTheSameToTheLastBit() {
    Path file = folder.resolve("ktf.safetensors");
    try (Ktf one = new Ktf(SHORT);
        Ktf same = new Ktf(SHORT);
        Ktf restored = new Ktf()) {
      one.fit(data, List.of("a", "b", "c"), Listener.NONE);
      same.fit(data);
      float[] expected = Tensors.floats(one.probabilities(data.unlabelled()));
      assertThat(Tensors.floats(same.probabilities(data.unlabelled()))).containsExactly(expected);
      StateFiles.write(file, one.state());
      restored.restore(StateFiles.read(file));
      assertThat(Tensors.floats(restored.probabilities(data.unlabelled())))
          .containsExactly(expected);
      assertThat(restored.settings()).isEqualTo(SHORT);
      assertThat(restored.lastFit()).isEqualTo(one.lastFit());
      assertThat(restored.classNames()).containsExactly("a", "b", "c");
      assertThat(restored.sourceFingerprint()).isEqualTo(one.sourceFingerprint()).hasSize(64);
      one.restore(one.state());
      assertThat(Tensors.floats(one.probabilities(data.unlabelled()))).containsExactly(expected);
      try (Ktf other = new Ktf(new Ktf.Settings(0.01, 0.1, 1, 0.01, 80, 1))) {
        other.fit(data);
        assertThat(Tensors.floats(other.probabilities(data.unlabelled()))).isNotEqualTo(expected);
      }
    }
  }

  @Test
  void aDamagedStateIsRefusedAndChangesNothing() {
    try (Ktf ktf = new Ktf(SHORT)) {
      ktf.fit(data);
      float[] before = Tensors.floats(ktf.probabilities(data.unlabelled()));
      State good = ktf.state();
      Map<String, Tensor> bad = new LinkedHashMap<>(good.tensors());
      bad.put("b2", Tensors.of(new double[] {1, 2}, 2));
      refused(ktf, new State(good.type(), 1, good.values(), bad), "The saved b2");
      bad.put("b2", Tensors.of(new double[] {1, 2, Double.NaN}, 3));
      refused(ktf, new State(good.type(), 1, good.values(), bad), "NaN");
      bad.remove("b2");
      refused(ktf, new State(good.type(), 1, good.values(), bad), "lacks the tensor 'b2'");
      refused(ktf, new State("detector/knn", 1, good.values(), good.tensors()), "not a");
      refused(ktf, new State(good.type(), 2, good.values(), good.tensors()), "update Outrigger");
      Map<String, Object> values = new LinkedHashMap<>(good.values());
      values.put("classNames", List.of("a"));
      refused(ktf, new State(good.type(), 1, values, good.tensors()), "names 1 of 3");
      values.remove("fit");
      refused(ktf, new State(good.type(), 1, values, good.tensors()), "of its fit");
      assertThat(Tensors.floats(ktf.probabilities(data.unlabelled()))).containsExactly(before);
    }
  }

  private static void refused(Ktf ktf, State state, String words) {
    assertThatThrownBy(() -> ktf.restore(state))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(words);
  }

  @Test
  void aFailedFitKeepsTheEarlierOne() {
    try (Ktf ktf = new Ktf(SHORT)) {
      ktf.fit(data);
      float[] before = Tensors.floats(ktf.probabilities(data.unlabelled()));
      assertThatThrownBy(
              () ->
                  ktf.fit(
                      data,
                      List.of(),
                      (step, steps, loss) -> {
                        throw new OutriggerException("enough");
                      }))
          .hasMessageContaining("enough");
      assertThat(Tensors.floats(ktf.probabilities(data.unlabelled()))).containsExactly(before);
    }
    try (Ktf wild = new Ktf(new Ktf.Settings(1e30, 0.1, 1, 1e30, 50, 0))) {
      assertThatThrownBy(() -> wild.fit(data)).hasMessageContaining("lower the learning rate");
      assertThatThrownBy(() -> wild.predict(data.unlabelled())).hasMessageContaining("fit first");
    }
  }

  @Test
  void badInputIsNamed() {
    Tensor source = data.source();
    Tensor labels = data.sourceLabels();
    Tensor labelled = data.labelled();
    Tensor target = data.labels();
    Tensor unlabelled = data.unlabelled();
    bad(
        source,
        labels,
        labelled,
        Tensors.labels(0, 1, 1),
        unlabelled,
        "Class 2",
        "labelled target");
    bad(source, torch.zeros_like(labels), labelled, target, unlabelled, "Class 1", "the source");
    bad(source, labels, labelled, Tensors.labels(0, 1, -1), unlabelled, "-1");
    bad(source, labels, labelled.narrow(0, 0, 0), target.narrow(0, 0, 0), unlabelled, "empty");
    bad(source, labels, labelled, target, rng.normal(4, 6), "T = 5");
    bad(source, labels.narrow(0, 0, 2), labelled, target, unlabelled, "S");
    bad(source, labels, labelled, target, unlabelled.log(), "NaN");
    try (Ktf ktf = new Ktf(SHORT)) {
      assertThatThrownBy(() -> ktf.predict(unlabelled)).hasMessageContaining("fit first");
      assertThatThrownBy(() -> ktf.fit(data, List.of("a"), Listener.NONE))
          .hasMessageContaining("1 class names for 3");
      ktf.fit(data);
      assertThatThrownBy(() -> ktf.predict(rng.normal(4, 6))).hasMessageContaining("T = 5");
      assertThatThrownBy(() -> ktf.predict(unlabelled.log())).hasMessageContaining("NaN");
    }
    assertThatThrownBy(() -> new Ktf.Settings(-1, 0.1, 1, 0.1, 1, 0)).hasMessageContaining("tau");
  }

  private static void bad(
      Tensor source, Tensor ys, Tensor labelled, Tensor yl, Tensor unlabelled, String... words) {
    assertThatThrownBy(() -> new HeterogeneousData(source, ys, labelled, yl, unlabelled))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContainingAll(words);
  }

  // -- baselines

  @Test
  void theBaselinesLearnToo() {
    try (TargetOnly alone =
            TargetOnly.fit(data.labelled(), data.labels(), 3, TargetOnly.Settings.defaults());
        SoftTransfer soft =
            SoftTransfer.fit(
                data, new SoftTransfer.Settings(0.001, 0.001, 0.01, 100, 16, 0), Listener.NONE)) {
      assertThat(alone.accuracy(data.labelled(), data.labels())).isEqualTo(1);
      assertThat(soft.accuracy(data.labelled(), data.labels())).isEqualTo(1);
      assertThatThrownBy(() -> alone.predict(rng.normal(4, 6))).hasMessageContaining("T = 5");
    }
    assertThatThrownBy(
            () ->
                TargetOnly.fit(
                    data.labelled(), Tensors.labels(0, 1, 3), 3, TargetOnly.Settings.defaults()))
        .isInstanceOf(OutriggerException.class);
  }

  // -- noise

  @Test
  void noiseHasTheMomentsItSays() {
    SourceCodes wide = NoiseSource.uniform(2, 4000, 3, 0);
    assertThat(wide.codes().min().item_double()).isBetween(-10.0, -9.9);
    assertThat(wide.codes().max().item_double()).isBetween(9.9, 10.0);
    SourceCodes laplace = NoiseSource.laplace(2, 8000, 3, 0);
    assertThat(laplace.codes().abs().mean().item_double()).isCloseTo(1, within(0.03));
    assertThat(laplace.codes().square().mean().item_double()).isCloseTo(2, within(0.1));
    assertThat(laplace.codes().isfinite().all().item_bool()).isTrue();
    SourceCodes apart = NoiseSource.separated(3, 2, 3000, 4, 0);
    assertThat(Tensors.longs(apart.labels().narrow(0, 2999, 2))).containsExactly(0, 1);
    double distance = between(apart);
    assertThat(distance).isGreaterThan(1);
    assertThat(between(NoiseSource.separated(0, 2, 3000, 4, 0))).isLessThan(0.2);
    assertThat(between(NoiseSource.commonMean(3, 2, 3000, 4, 0))).isLessThan(0.2);
    assertThat(between(NoiseSource.shuffled(apart, 1))).isLessThan(distance / 5);
    assertThat(between(NoiseSource.permuted(apart, 1))).isCloseTo(distance, within(1e-4));
    assertThat(NoiseSource.gaussian(2, 5, 3, 1).codes().equal(apart.codes())).isFalse();
    assertThat(
            NoiseSource.laplace(2, 9, 3, 7).codes().equal(NoiseSource.laplace(2, 9, 3, 7).codes()))
        .isTrue();
  }

  /** The distance between the means of the two classes. */
  private static double between(SourceCodes source) {
    Tensor means =
        torch
            .one_hot(source.labels(), 2)
            .to(ScalarType.Float)
            .t()
            .matmul(source.codes())
            .div(torch.bincount(source.labels()).unsqueeze(1));
    return means.select(0, 0).sub(means.select(0, 1)).norm().item_double();
  }

  @Test
  void strongerClassesHaveWiderNoise() {
    SourceCodes source = NoiseSource.differentMoments(0.5, 3, 6, 2);
    long[] sizes = Tensors.longs(torch.bincount(source.labels()));
    assertThat(sizes).hasSize(3);
    assertThat(Arrays.stream(sizes)).allMatch(n -> n >= 100 && n <= 1000);
    assertThat(source.codes().shape()).containsExactly(sizes[0] + sizes[1] + sizes[2], 6);
    double narrow =
        source.codes().narrow(0, 0, sizes[0]).var(new long[] {0}, true, false).sum().item_double();
    double wide =
        source
            .codes()
            .narrow(0, sizes[0] + sizes[1], sizes[2])
            .var(new long[] {0}, true, false)
            .sum()
            .item_double();
    assertThat(wide).isGreaterThan(narrow);
    assertThatThrownBy(() -> NoiseSource.differentMoments(0, 3, 6, 2))
        .hasMessageContaining("alpha");
    assertThatThrownBy(() -> NoiseSource.gaussian(1, 3, 6, 2)).hasMessageContaining("classes");
  }

  // -- the study

  @Test
  void aStudyMeasuresEverySource() {
    SourceStudy study =
        SourceStudy.of(
            List.of(NoiseSource.separated(4, 3, 20, 8, 1), NoiseSource.uniform(3, 20, 8, 1)),
            data,
            truth,
            SHORT);
    assertThat(study.rows()).hasSize(2);
    Ktf.Fit clear = study.rows().get(0).fit();
    Ktf.Fit vague = study.rows().get(1).fit();
    assertThat(clear.lossSource()).isLessThan(vague.lossSource());
    assertThat(new Ktf.Fit(1, 1, 1.09, 0, 3).indistinct()).isTrue();
    assertThat(new Ktf.Fit(1, 1, 1.09, 0, 3).advice()).contains("harm");
    assertThat(new Ktf.Fit(1, 1, 0.5, 0, 3).indistinct()).isFalse();
    assertThat(SourceStudy.spearman(new double[] {1, 2, 3}, new double[] {9, 5, 4})).isEqualTo(-1);
    assertThat(SourceStudy.spearman(new double[] {1, 2, 2, 3}, new double[] {1, 3, 3, 4}))
        .isCloseTo(1, within(1e-12));
    assertThatThrownBy(() -> SourceStudy.spearman(new double[] {1, 1}, new double[] {1, 2}))
        .hasMessageContaining("constant");
  }

  @Test
  void trainingKeepsMemoryFlat() {
    Map<String, Tensor> weights = weights(rng);
    HeterogeneousData exact = doubles();
    long[] before = new long[1];
    Ktf.train(
        exact,
        weights,
        SHORT,
        (step, steps, loss) -> {
          if (step == 20) {
            before[0] = Pointer.totalBytes();
          }
          if (step == steps) {
            assertThat(Pointer.totalBytes() - before[0]).isLessThan(2_000);
          }
        });
    assertThat(before[0]).isPositive();
    Scopes.run(() -> assertThat(weights.get("w1").requires_grad()).isFalse());
  }
}
