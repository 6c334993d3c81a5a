package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.MixOe.Box;
import org.outrigger.detect.MixOe.MixOp;
import org.outrigger.detect.MixOe.Settings;

/** MixOE and outlier exposure with hard outliers. */
class MixOeTest {
  /** Remembers what goes through it; logits are the first three values of a row. */
  private static final class Spy implements Function<Tensor, Output> {
    final List<Tensor> inputs = new ArrayList<>();

    @Override
    public Output apply(Tensor x) {
      inputs.add(x);
      return new Output(x.flatten(1, -1).narrow(1, 0, 3), null);
    }
  }

  @Property(tries = 50)
  void aBoxLiesInTheImageAndLeavesAtLeastItsShareKnown(
      @ForAll @IntRange(min = 1, max = 40) int height,
      @ForAll @IntRange(min = 1, max = 40) int width,
      @ForAll @DoubleRange(min = 0, max = 1) double lambda,
      @ForAll @DoubleRange(min = 0, max = 0.99) double place) {
    Box box = Box.around(height, width, lambda, (int) (place * height), (int) (place * width));
    assertThat(box.top()).isBetween(0, box.bottom());
    assertThat(box.bottom()).isLessThanOrEqualTo(height);
    assertThat(box.left()).isBetween(0, box.right());
    assertThat(box.right()).isLessThanOrEqualTo(width);
    assertThat(box.lambda(height, width)).isBetween(lambda - 1e-9, 1.0);
  }

  @Property(tries = 20)
  void cutmixTakesEachPixelFromOneOfBothAndLambdaCountsThem(
      @ForAll long seed, @ForAll @DoubleRange(min = 0, max = 1) double lambda) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor known = rng.uniform(ScalarType.Double, 3, 2, 7, 5);
            Tensor outliers = known.neg().sub(new Scalar(1.0));
            Box box = Box.around(7, 5, lambda, (int) Math.floorMod(seed, 7L), 2);
            Tensor mixed = MixOe.cutmix(known, outliers, box);
            Tensor fromKnown = mixed.eq(known);
            assertThat(fromKnown.logical_or(mixed.eq(outliers)).all().item_bool()).isTrue();
            assertThat(fromKnown.to(ScalarType.Double).mean().item_double())
                .isCloseTo(box.lambda(7, 5), within(1e-12));
          }
        });
  }

  @Property(tries = 20)
  void targetsSumToOneAndTheLossIsPlainAtOneAndUniformAtZero(
      @ForAll long seed, @ForAll @DoubleRange(min = 0, max = 1) double lambda) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor labels = Tensors.labels(0, 3, 1, 2, 2);
            Tensor known = rng.normal(ScalarType.Double, 5, 4);
            Tensor mixed = rng.normal(ScalarType.Double, 5, 4);
            Tensor targets = MixOe.targets(labels, 4, lambda);
            assertThat(targets.sum(1).sub(new Scalar(1.0)).abs().max().item_double())
                .isLessThan(1e-12);
            double plain = torch.cross_entropy_loss(known, labels).item_double();
            assertThat(MixOe.loss(known, mixed, labels, 1, 5).item_double())
                .isCloseTo(
                    plain + 5 * torch.cross_entropy_loss(mixed, labels).item_double(),
                    within(1e-9));
            assertThat(MixOe.loss(known, mixed, labels, 0, 2).item_double())
                .isCloseTo(
                    plain + 2 * Losses.uniformCrossEntropy(mixed).mean().item_double(),
                    within(1e-9));
          }
        });
  }

  @Property(tries = 20)
  void theGradientOfTheMixturesIsSoftmaxMinusTargetAndAgreesWithDifferences(
      @ForAll long seed, @ForAll @DoubleRange(min = 0, max = 1) double lambda) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor labels = Tensors.labels(1, 0, 2);
            Tensor targets = MixOe.targets(labels, 3, lambda);
            Tensor logits = rng.normal(ScalarType.Double, 3, 3).requires_grad_(true);
            Tensor gradient = Gradients.of(MixOe.softCrossEntropy(logits, targets), logits);
            Tensor plain = logits.detach();
            Tensor expected = torch.softmax(plain, 1).sub(targets).div(new Scalar(3.0));
            assertThat(gradient.allclose(expected, 1e-9, 1e-12, false)).isTrue();
            Tensor step = torch.zeros_like(plain);
            step.view(-1).narrow(0, 4, 1).fill_(new Scalar(1e-6));
            double up = MixOe.softCrossEntropy(plain.add(step), targets).item_double();
            double down = MixOe.softCrossEntropy(plain.sub(step), targets).item_double();
            assertThat((up - down) / 2e-6)
                .isCloseTo(gradient.view(-1).narrow(0, 4, 1).item_double(), within(1e-6));
          }
        });
  }

  @Test
  void aStepRunsKnownRowsAndMixturesInTwoPassesAndUsesOutliersAgain() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(4);
              Rng same = new Rng(4)) {
            Tensor inputs =
                torch.cat(
                    new TensorVector(
                        rng.uniform(4, 1, 3, 3),
                        torch.full_like(rng.uniform(2, 1, 3, 3), new Scalar(9))),
                    0);
            Tensor labels = Tensors.labels(0, 2, 1, 1, -1, -1);
            Spy spy = new Spy();
            MixOe mixoe = new MixOe(Settings.mixup());
            same.uniform(4, 1, 3, 3);
            same.uniform(2, 1, 3, 3);
            StepObjective.Result result = mixoe.step(spy, inputs, labels, rng);
            assertThat(spy.inputs).hasSize(2);
            assertThat(spy.inputs.get(0).equal(inputs.narrow(0, 0, 4))).isTrue();
            assertThat(spy.inputs.get(1).size(0)).isEqualTo(4);
            // Every mixture holds the same share of its outlier, whose values are all 9.
            Tensor known = inputs.narrow(0, 0, 4);
            Tensor share = spy.inputs.get(1).sub(known).div(known.neg().add(new Scalar(9.0)));
            assertThat(share.max().item_double() - share.min().item_double()).isLessThan(1e-5);
            assertThat(result.labels().size(0)).isEqualTo(4);
            assertThat(mixoe.step(spy, inputs, labels, same).loss().item_double())
                .isEqualTo(result.loss().item_double());
          }
        });
  }

  @Test
  void lambdaHasTheMeanOfItsDistribution() {
    assertThat(meanShare(new Settings(MixOp.MIXUP, 2, 0, 5))).isCloseTo(0.5, within(0.06));
    assertThat(meanShare(new Settings(MixOp.MIXUP, 0.1, 1, 5))).isCloseTo(0.1 / 1.1, within(0.05));
  }

  private static double meanShare(Settings settings) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(1)) {
            Tensor inputs = Tensors.of(new double[][] {{1, 1, 1}, {0, 0, 0}});
            double sum = 0;
            for (int i = 0; i < 300; i++) {
              Spy spy = new Spy();
              new MixOe(settings).step(spy, inputs, Tensors.labels(0, -1), rng);
              sum += spy.inputs.get(1).mean().item_double();
            }
            return sum / 300;
          }
        });
  }

  @Test
  void badInputIsAClearError() {
    assertThatThrownBy(() -> new Settings(MixOp.MIXUP, 0, 0, 5)).hasMessageContaining("alpha");
    assertThatThrownBy(() -> new Settings(MixOp.MIXUP, 1, -1, 5))
        .hasMessageContaining("alphaOutlier");
    assertThatThrownBy(() -> new Settings(MixOp.MIXUP, 1, 0, 0)).hasMessageContaining("beta");
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            MixOe cutmix = new MixOe();
            MixOe mixup = new MixOe(Settings.mixup());
            Tensor rows = rng.normal(2, 3);
            assertThatThrownBy(() -> cutmix.step(new Spy(), rows, Tensors.labels(0, -1), rng))
                .hasMessageContaining("use mixup");
            assertThatThrownBy(() -> mixup.step(new Spy(), rows, Tensors.labels(0, 1), rng))
                .hasMessageContaining("give the trainer outliers");
            assertThatThrownBy(() -> mixup.step(new Spy(), rows, Tensors.labels(-1, -1), rng))
                .hasMessageContaining("0 and 2");
            assertThatThrownBy(() -> mixup.step(new Spy(), rows, Tensors.labels(7, -1), rng))
                .hasMessageContaining("classes are 0 to 2");
            assertThatThrownBy(() -> mixup.step(new Spy(), rows, Tensors.labels(0), rng))
                .hasMessageContaining("shape");
          }
        });
  }

  @Test
  void inputsThatCannotBeMixedAreRefused() {
    assertThatThrownBy(() -> new Box(2, 0, 1, 3)).hasMessageContaining("rows 2 .. 1");
    assertThatThrownBy(() -> Box.around(4, 4, 1.5, 0, 0)).hasMessageContaining("lambda");
    assertThatThrownBy(() -> Box.around(4, 4, 0.5, 4, 0)).hasMessageContaining("row");
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            Tensor known = rng.normal(2, 1, 4, 4);
            Box box = new Box(0, 0, 2, 2);
            // One outlier would be spread over all rows, a smaller one be cut out of nothing.
            assertThatThrownBy(() -> MixOe.mixup(known, rng.normal(1, 1, 4, 4), 0.5))
                .hasMessageContaining("[1, 1, 4, 4]")
                .hasMessageContaining("of the same size");
            assertThatThrownBy(() -> MixOe.cutmix(known, rng.normal(2, 1, 3, 3), box))
                .hasMessageContaining("of the same size");
            assertThatThrownBy(() -> MixOe.cutmix(known.flatten(1, -1), known, box))
                .hasMessageContaining("known images");
            assertThatThrownBy(() -> MixOe.cutmix(known, known, new Box(0, 0, 5, 2)))
                .hasMessageContaining("bottom");
            assertThatThrownBy(() -> MixOe.mixup(known, known, Double.NaN))
                .hasMessageContaining("lambda");
            assertThatThrownBy(() -> MixOe.targets(Tensors.labels(0, 3), 3, 0.5))
                .hasMessageContaining("classes are 0 to 2");
            assertThatThrownBy(() -> MixOe.targets(Tensors.labels(0, 0), 1, 0.5))
                .hasMessageContaining("classes");
          }
        });
  }

  @Test
  void anEmptyBoxLeavesTheImageAndAWholeOneTheOutlier() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(2)) {
            Tensor known = rng.normal(2, 3, 6, 4);
            Tensor outliers = rng.normal(2, 3, 6, 4);
            Box none = Box.around(6, 4, 1, 3, 2);
            assertThat(none.lambda(6, 4)).isEqualTo(1);
            assertThat(MixOe.cutmix(known, outliers, none).equal(known)).isTrue();
            Box all = Box.around(6, 4, 0, 3, 2);
            assertThat(all.lambda(6, 4)).isEqualTo(0);
            assertThat(MixOe.cutmix(known, outliers, all).equal(outliers)).isTrue();
          }
        });
  }

  private static NeuralModel network(long seed) {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(16)), new long[] {2}, 3, seed);
  }

  private static TensorDataset clouds(long rows, double shift, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor labels = torch.arange(new Scalar(rows)).remainder(new Scalar(3));
            Tensor angle = labels.to(ScalarType.Float).mul(new Scalar(2 * Math.PI / 3));
            Tensor centres = torch.stack(new TensorVector(angle.cos(), angle.sin()), 1);
            return TensorDataset.of(
                centres
                    .mul(new Scalar(3.0))
                    .add(rng.normal(rows, 2).mul(new Scalar(0.4)))
                    .add(new Scalar(shift)),
                labels.to(ScalarType.Long));
          }
        });
  }

  private static Trainer trainer(NeuralModel model, TrainingObjective objective, int epochs) {
    return Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(16).withSeed(3))
        .optimiser(p -> new Sgd(p, Sgd.Settings.of(0.05)))
        .schedule(Schedule.constant())
        .objective(objective)
        .outliers(clouds(50, 9, 8).asUnknown(), objective instanceof MixOe ? 1 : 2);
  }

  @Test
  void confidenceOfMixturesFallsFromTheKnownToTheOutliers() {
    try (NeuralModel model = network(0);
        TensorDataset train = clouds(240, 0, 1)) {
      trainer(model, new MixOe(Settings.mixup()), 30).fit(train);
      Scopes.run(
          () -> {
            Tensor outliers = clouds(240, 9, 5).inputs();
            double last = 1;
            for (double lambda : new double[] {1, 0.75, 0.5, 0.25, 0}) {
              Tensor mixed = MixOe.mixup(train.inputs(), outliers, lambda);
              double confidence = -Msp.score(model.predict(mixed).logits(), 1).mean().item_double();
              assertThat(confidence).isLessThan(last);
              last = confidence;
            }
            assertThat(last).isCloseTo(1 / 3.0, within(0.1));
          });
    }
  }

  @Test
  void aResumedRunEqualsAStraightOne(@TempDir Path folder) {
    for (TrainingObjective objective :
        List.of(
            new MixOe(Settings.mixup()),
            new HardOutlierExposure(new HardOutlierExposure.Settings(1, 30)))) {
      Path file = folder.resolve(objective.card().slug());
      try (NeuralModel straight = network(0);
          NeuralModel first = network(0);
          NeuralModel second = network(9);
          TensorDataset train = clouds(96, 0, 1)) {
        trainer(straight, objective, 4).fit(train);
        trainer(first, objective, 2).checkpoint(file).fit(train);
        trainer(second, objective, 4).resume(file).fit(train);
        straight
            .parameters()
            .forEach((name, p) -> assertThat(second.parameters().get(name).equal(p)).isTrue());
      }
    }
  }

  @Test
  void hardOutliersAreTheMostConfidentOnes() {
    Scopes.run(
        () -> {
          Tensor logits = Tensors.of(new double[][] {{0, 0}, {9, 0}, {0, 3}, {1, 0}});
          assertThat(Tensors.ints(HardOutlierExposure.mostConfident(logits, 3)))
              .containsExactly(1, 2, 3);
        });
    try (NeuralModel model = network(0);
        TensorDataset outliers = clouds(60, 2, 4);
        Rng rng = new Rng(2)) {
      HardOutlierExposure all = new HardOutlierExposure();
      int[] chosen = all.choose(model, outliers, 10, rng);
      assertThat(chosen).hasSize(10).doesNotHaveDuplicates();
      Scopes.run(
          () -> {
            double[] confidence =
                Tensors.doubles(Msp.score(model.predict(outliers.inputs()).logits(), 1).neg());
            double least = Arrays.stream(chosen).mapToDouble(i -> confidence[i]).min().orElse(0);
            assertThat(Arrays.stream(confidence).filter(c -> c > least + 1e-9).count())
                .isLessThan(10);
          });
      HardOutlierExposure few = new HardOutlierExposure(new HardOutlierExposure.Settings(1, 5));
      assertThat(few.choose(model, outliers, 10, rng)).hasSize(5);
    }
    assertThatThrownBy(() -> new HardOutlierExposure.Settings(1, 0))
        .hasMessageContaining("candidates");
  }

  @Test
  void hardOutliersLeaveOutWhatCannotBeRead() {
    Scopes.run(
        () -> {
          Tensor rows = clouds(20, 0, 1).inputs().clone();
          rows.narrow(0, 3, 1).fill_(new Scalar(Double.NaN));
          try (NeuralModel model = network(0);
              TensorDataset dirty = TensorDataset.builder(rows).skipNotFinite(true).build();
              Rng rng = new Rng(1)) {
            assertThat(new HardOutlierExposure().choose(model, dirty, 20, rng))
                .hasSize(19)
                .doesNotContain(3);
          }
        });
  }
}
