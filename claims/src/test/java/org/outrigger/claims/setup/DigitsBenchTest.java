package org.outrigger.claims.setup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.claims.setup.DigitsNet.Norm;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.stream.StreamEvaluation;
import org.outrigger.evaluate.stream.StreamPredictor;

class DigitsBenchTest {
  private static double accuracy(NeuralModel model, IndexedDataset data) {
    try (RecordedOutputs outputs =
        RecordedOutputs.record(model, data, RecordedOutputs.Options.defaults())) {
      return Accuracy.of(outputs.output().logits(), outputs.labels("Accuracy"));
    }
  }

  private static int[] counts(IndexedDataset data, int classes) {
    int[] counts = new int[classes];
    Arrays.stream(data.labels()).filter(label -> label >= 0).forEach(label -> counts[label]++);
    return counts;
  }

  private static float[] pixels(IndexedDataset data, int... rows) {
    return Scopes.scoped(() -> Tensors.floats(data.read(rows).inputs()));
  }

  @Test
  void aFewEpochsTeachTheCleanDigitsAndCorruptionsHurt() {
    try (DigitsBench bench = DigitsBench.open(0, Scale.FULL);
        NeuralModel model = bench.source(Recipe.defaults().withEpochs(8))) {
      assertThat(bench.train().size()).isEqualTo(1000);
      assertThat(bench.test().size()).isEqualTo(797);
      double clean = accuracy(model, bench.test());
      assertThat(clean).isGreaterThanOrEqualTo(.97);
      for (Shift shift : bench.hard()) {
        assertThat(accuracy(model, shift.of(bench.test())))
            .as(shift.name())
            .isLessThan(clean - .15);
      }
    }
  }

  @Test
  void aSourceModelIsTrainedOnceAndHandedOutAsCopies() {
    Recipe recipe = Recipe.defaults().withNorm(Norm.GROUP).withEpochs(1);
    try (DigitsBench bench = DigitsBench.open(3, Scale.SMOKE);
        NeuralModel first = bench.source(recipe)) {
      float[] weights = Tensors.floats(first.parameters().get("fc.weight"));
      Scopes.run(() -> first.parameters().get("fc.weight").detach().zero_());
      try (NeuralModel second = bench.source(recipe)) {
        assertThat(Tensors.floats(second.parameters().get("fc.weight"))).isEqualTo(weights);
        assertThat(second.parameters().get("fc.weight").requires_grad()).isTrue();
      }
      try (NeuralModel other = bench.source(recipe.withEpochs(2))) {
        assertThat(Tensors.floats(other.parameters().get("fc.weight"))).isNotEqualTo(weights);
      }
    }
  }

  @Test
  void someClassesCanBeUnknownAndTheTailLong() {
    try (DigitsBench bench = DigitsBench.open(1, Scale.FULL)) {
      Recipe seven = Recipe.defaults().withClasses(0, 1, 2, 3, 4, 5, 6);
      assertThat(Arrays.stream(counts(bench.train(seven), 7)).min().orElseThrow())
          .isGreaterThan(80);
      assertThat(bench.test(seven).size()).isEqualTo(797);
      assertThat(Arrays.stream(bench.test(seven).labels()).filter(label -> label < 0).count())
          .isBetween(200L, 270L);
      int[] tail = counts(bench.train(Recipe.defaults().withImbalance(20)), 10);
      assertThat(tail[0]).isBetween(80, 100);
      assertThat(tail[9]).isBetween(4, 5);
      for (int c = 1; c < 10; c++) {
        assertThat(tail[c]).isLessThan(tail[c - 1]);
      }
    }
  }

  @Test
  void aRowIsCorruptedAlikeInEveryPassAndBatch() {
    try (DigitsBench bench = DigitsBench.open(2, Scale.SMOKE)) {
      for (List<Shift> shifts : List.of(bench.mild(), bench.hard())) {
        for (Shift shift : shifts) {
          float[] both = pixels(shift.of(bench.test()), 5, 9);
          float[] alone = pixels(shift.of(bench.test()), 9);
          assertThat(Arrays.copyOfRange(both, 256, 512)).as(shift.name()).isEqualTo(alone);
          assertThat(alone).isNotEqualTo(pixels(bench.test(), 9));
          for (float pixel : both) {
            assertThat(pixel).isBetween(0f, 1f);
          }
        }
      }
    }
  }

  @Test
  void corruptionsHaveTheStrengthsOfTheBench() {
    try (DigitsBench bench = DigitsBench.open(2, Scale.SMOKE)) {
      Scopes.run(
          () -> {
            int[] rows = new int[100];
            Arrays.setAll(rows, i -> i);
            Tensor clean = bench.test().read(rows).inputs();
            Tensor impulse = bench.mild("impulse").get(0).of(bench.test()).read(rows).inputs();
            Tensor grey = clean.gt(new Scalar(0.0)).logical_and(clean.lt(new Scalar(1.0)));
            double hit =
                impulse.ne(clean).logical_and(grey).sum().item_double() / grey.sum().item_double();
            assertThat(hit).isBetween(.08, .12);
            Tensor stripe = bench.mild("stripe").get(0).of(bench.test()).read(rows).inputs();
            assertThat(stripe.add(clean).narrow(3, 0, 3).sub(new Scalar(1.0)).abs().max())
                .returns(0f, Tensor::item_float);
            assertThat(stripe.sub(clean).narrow(3, 3, 13).abs().max())
                .returns(0f, Tensor::item_float);
            Tensor contrast = bench.mild("contrast").get(0).of(bench.test()).read(rows).inputs();
            assertThat(contrast.std().div(clean.std()).item_double()).isBetween(.55, .65);
          });
    }
  }

  @Test
  void batchStatisticsHelpInAShuffledStreamAndLessInACorrelatedOne() {
    try (DigitsBench bench = DigitsBench.open(0, Scale.FULL);
        NeuralModel source = bench.source(Recipe.defaults().withEpochs(8));
        NeuralModel batchStatistics = source.deepCopy()) {
      // Running statistics move in training mode, but are not used.
      batchStatistics.train(true);
      double frozen = accuracy(bench, "continual", source);
      double shuffled = accuracy(bench, "continual", batchStatistics);
      double correlated = accuracy(bench, "correlated", batchStatistics);
      assertThat(shuffled).isGreaterThan(frozen + .1);
      assertThat(correlated).isLessThan(shuffled - .05);
    }
  }

  private static double accuracy(DigitsBench bench, String protocol, NeuralModel model) {
    return StreamEvaluation.of(
            bench.protocol(protocol).over(bench.test(), bench.mild("contrast", "fog", "blur")))
        .run(StreamPredictor.frozen(model::forward))
        .accuracy();
  }

  @Test
  void anUnknownCorruptionIsNamedWithThoseThereAre() {
    try (DigitsBench bench = DigitsBench.open(2, Scale.SMOKE)) {
      assertThat(bench.mild("fog", "blur")).extracting(Shift::name).containsExactly("fog", "blur");
      assertThatThrownBy(() -> bench.hard("fog"))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("'fog'")
          .hasMessageContaining("gauss, impulse, stripe, contrast");
    }
  }
}
