package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

class TrainerTest {
  private static final TensorDataset TRAIN = Blobs.of(150, 3, 1);
  private static final TensorDataset VALIDATION = Blobs.of(90, 3, 2);

  private static Trainer.Settings settings(int epochs) {
    return Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(16).withSeed(5);
  }

  private static Map<String, List<Double>> weights(TinyModel model) {
    Map<String, List<Double>> all = new TreeMap<>();
    Map<String, Tensor> tensors = new TreeMap<>(model.parameters());
    tensors.putAll(model.buffers());
    tensors.forEach(
        (name, t) -> {
          List<Double> values = new ArrayList<>();
          for (double v : Tensors.doubles(t)) {
            values.add(v);
          }
          all.put(name, values);
        });
    return all;
  }

  @Test
  void learnsSeparableClouds() {
    try (TinyModel model = new TinyModel(2, 16, 3, 0)) {
      TrainingListener.Report report =
          Trainer.of(model)
              .settings(settings(8))
              .optimiser(p -> new Adam(p, Adam.Settings.of(0.02)))
              .validation(VALIDATION)
              .fit(TRAIN);
      assertThat(report.epochs()).hasSize(8);
      assertThat(report.steps()).isEqualTo(80);
      assertThat(report.epochs().get(7).validation().accuracy()).isGreaterThan(0.95);
      assertThat(report.epochs().get(7).loss()).isLessThan(report.epochs().get(0).loss());
      assertThat(model.training).isFalse();
    }
  }

  /** Everything at once: averages, outliers, noise, patience, dropout, clipping, warm-up. */
  private static Trainer full(TinyModel model, int epochs) {
    return Trainer.of(model)
        .settings(
            settings(epochs)
                .withClipNorm(0.5)
                .withEmaDecay(0.9)
                .withPatience(50, Trainer.Monitor.ACCURACY))
        .optimiser(p -> new AdamW(p, AdamW.settings(0.02)))
        .schedule(Schedule.cosine(40).warmUp(5))
        .outliers(Blobs.of(33, 3, 9), 0.3)
        .augment((x, rng) -> x.add(rng.normal(x.shape()).mul(new Scalar(0.1))))
        .validation(VALIDATION);
  }

  @Test
  void resumedTrainingEqualsStraightTrainingToTheLastBit(@TempDir Path folder) {
    Path file = folder.resolve("run.safetensors");
    try (TinyModel straight = new TinyModel(2, 16, 3, 0);
        TinyModel first = new TinyModel(2, 16, 3, 0);
        TinyModel second = new TinyModel(2, 16, 3, 77)) {
      TrainingListener.Report whole = full(straight, 4).fit(TRAIN);
      full(first, 2).checkpoint(file).fit(TRAIN);
      TrainingListener.Report resumed = full(second, 4).resume(file).fit(TRAIN);
      assertThat(weights(second)).isEqualTo(weights(straight));
      assertThat(resumed).isEqualTo(whole);
    }
  }

  @Test
  void runThatDiedWithinAnEpochResumesToTheLastBit(@TempDir Path folder) {
    Path file = folder.resolve("run.safetensors");
    TrainingListener dies =
        new TrainingListener() {
          @Override
          public void stepped(Plan plan, Step step) {
            if (step.epoch() == 1 && step.step() == 6) {
              throw new IllegalStateException("power cut");
            }
          }
        };
    try (TinyModel straight = new TinyModel(2, 16, 3, 0);
        TinyModel first = new TinyModel(2, 16, 3, 0);
        TinyModel second = new TinyModel(2, 16, 3, 77)) {
      TrainingListener.Report whole = full(straight, 3).fit(TRAIN);
      assertThatThrownBy(() -> full(first, 3).checkpoint(file, 4).listener(dies).fit(TRAIN))
          .hasMessage("power cut");
      List<Long> begun = new ArrayList<>();
      TrainingListener.Report resumed =
          full(second, 3)
              .resume(file)
              .listener(
                  new TrainingListener() {
                    @Override
                    public void started(Plan plan, long done) {
                      begun.add(done);
                    }
                  })
              .fit(TRAIN);
      assertThat(begun).containsExactly(16L);
      assertThat(weights(second)).isEqualTo(weights(straight));
      assertThat(resumed).isEqualTo(whole);
    }
  }

  @Test
  void checkpointOfAnotherRunChangesNothing(@TempDir Path folder) {
    Path file = folder.resolve("run.safetensors");
    try (TinyModel model = new TinyModel(2, 16, 3, 0);
        TinyModel wider = new TinyModel(2, 17, 3, 0)) {
      Trainer.of(model).settings(settings(1)).checkpoint(file).fit(TRAIN);
      Map<String, List<Double>> before = weights(wider);
      assertThatThrownBy(() -> Trainer.of(wider).settings(settings(2)).resume(file).fit(TRAIN))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("does not fit the model: 'model/w1'");
      assertThat(weights(wider)).isEqualTo(before);
      assertThatThrownBy(
              () ->
                  Trainer.of(model).settings(settings(2).withBatchSize(8)).resume(file).fit(TRAIN))
          .hasMessageContaining("batchSize = 16, this one has 8");
    }
  }

  @Test
  void earlyStoppingEndsWithTheBestWeights() {
    try (TinyModel model = new TinyModel(2, 16, 3, 0)) {
      // Validation labels are wrong on purpose: the better the training, the worse the score.
      int[] wrong = Arrays.stream(VALIDATION.labels()).map(label -> (label + 1) % 3).toArray();
      Map<String, List<Double>> afterFirst = new TreeMap<>();
      TrainingListener.Report report =
          Trainer.of(model)
              .settings(settings(30).withPatience(3, Trainer.Monitor.LOSS))
              .optimiser(p -> new Sgd(p, Sgd.Settings.of(0.05)))
              .validation(TensorDataset.of(VALIDATION.inputs(), Tensors.labels(wrong)))
              .listener(
                  new TrainingListener() {
                    @Override
                    public void epochEnded(Plan plan, Epoch epoch) {
                      if (epoch.best()) {
                        afterFirst.putAll(weights(model));
                      }
                    }
                  })
              .fit(TRAIN);
      assertThat(report.stoppedEarly()).isTrue();
      assertThat(report.epochs()).hasSize(report.bestEpoch() + 4);
      assertThat(weights(model)).isEqualTo(afterFirst);
    }
  }

  @Test
  void outliersShareTheForwardPassWithLabelMinusOne() {
    List<long[]> seen = new ArrayList<>();
    Objective spy =
        (Output output, Tensor labels) -> {
          long unknown = Arrays.stream(Tensors.longs(labels)).filter(l -> l == -1).count();
          seen.add(new long[] {labels.size(0), unknown});
          return CrossEntropy.loss(output.logits(), labels, 0);
        };
    try (TinyModel model = new TinyModel(2, 4, 3, 0)) {
      Trainer.of(model)
          .settings(settings(1).withBatchSize(50))
          .objective(spy)
          .outliers(Blobs.of(7, 3, 3), 0.5)
          .fit(TRAIN);
    }
    assertThat(seen).hasSize(3).allSatisfy(s -> assertThat(s).containsExactly(75, 25));
  }

  @Test
  void outliersOfAKnownClassAreWarnedOfByName() {
    List<String> warnings = new ArrayList<>();
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void warned(String warning) {
            warnings.add(warning);
          }
        };
    try (TinyModel model = new TinyModel(2, 4, 3, 0);
        TensorDataset train = named(Blobs.of(30, 3, 0), "a", "b", "c");
        TensorDataset other = named(Blobs.of(6, 2, 3), "d", "b");
        TensorDataset unnamed = Blobs.of(6, 2, 3)) {
      Trainer trainer = Trainer.of(model).settings(settings(1)).listener(listener);
      trainer.outliers(unnamed, 0.5).fit(train);
      trainer.outliers(other.asUnknown(), 0.5).fit(train);
      // The name is shared, but no row bears it.
      trainer.outliers(other.subset(0, 2), 0.5).fit(train);
      assertThat(warnings).isEmpty();
      trainer.outliers(other, 0.5).fit(train);
      assertThat(warnings).singleElement().asString().contains("known classes b,", "leave");
    }
  }

  private static TensorDataset named(TensorDataset data, String... names) {
    return TensorDataset.builder(data.inputs())
        .labels(Tensors.labels(data.labels()))
        .classNames(List.of(names))
        .build();
  }

  /** Runs the network twice a step and picks the outliers that look least like class 0. */
  private static final class Choosy implements StepObjective, OutlierChoice {
    final List<int[]> chosen = new ArrayList<>();
    final List<Long> unknown = new ArrayList<>();

    @Override
    public Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng) {
      unknown.add(labels.lt(new Scalar(0)).sum().item_long());
      Tensor noisy = inputs.add(rng.normal(inputs.shape()).mul(new Scalar(0.1)));
      Tensor plain = network.apply(inputs).logits();
      Tensor loss =
          CrossEntropy.loss(plain, labels, 0)
              .add(CrossEntropy.loss(network.apply(noisy).logits(), labels, 0));
      Tensor known = labels.ge(new Scalar(0)).nonzero().flatten();
      return new Result(loss, plain.index_select(0, known), labels.index_select(0, known));
    }

    @Override
    public Tensor loss(Output output, Tensor labels) {
      return CrossEntropy.loss(output.logits(), labels, 0);
    }

    @Override
    public int[] choose(Model model, IndexedDataset outliers, int count, Rng rng) {
      try (PointerScope scope = new PointerScope()) {
        int[] drawn = Arrays.copyOf(Tensors.ints(rng.permutation(outliers.size())), 20);
        Tensor logits = model.predict(outliers.read(drawn).inputs()).logits();
        int[] order = Tensors.ints(logits.select(1, 0).argsort());
        int[] rows = Arrays.stream(order).limit(Math.min(3, count)).map(i -> drawn[i]).toArray();
        chosen.add(rows);
        return rows;
      }
    }
  }

  private static Trainer choosy(TinyModel model, Choosy objective, int epochs) {
    return Trainer.of(model)
        .settings(settings(epochs))
        .optimiser(p -> new Sgd(p, Sgd.Settings.of(0.05)))
        .objective(objective)
        .outliers(Blobs.of(33, 3, 9), 0.5)
        .validation(VALIDATION);
  }

  @Test
  void anObjectiveMayRunTheNetworkItselfAndChooseItsOutliers() {
    try (TinyModel model = new TinyModel(2, 16, 3, 0)) {
      Choosy objective = new Choosy();
      TrainingListener.Report report = choosy(model, objective, 3).fit(TRAIN);
      assertThat(objective.chosen).hasSize(3);
      assertThat(objective.chosen.get(0)).isNotEqualTo(objective.chosen.get(2));
      assertThat(objective.unknown).hasSize(30).containsOnly(8L);
      assertThat(report.epochs().get(2).validation().accuracy()).isGreaterThan(0.8);
    }
  }

  @Test
  void chosenOutliersSurviveAPowerCutWithinTheEpoch(@TempDir Path folder) {
    Path file = folder.resolve("run.safetensors");
    TrainingListener dies =
        new TrainingListener() {
          @Override
          public void stepped(Plan plan, Step step) {
            if (step.epoch() == 1 && step.step() == 6) {
              throw new IllegalStateException("power cut");
            }
          }
        };
    try (TinyModel straight = new TinyModel(2, 16, 3, 0);
        TinyModel first = new TinyModel(2, 16, 3, 0);
        TinyModel second = new TinyModel(2, 16, 3, 77)) {
      choosy(straight, new Choosy(), 3).fit(TRAIN);
      assertThatThrownBy(
              () -> choosy(first, new Choosy(), 3).checkpoint(file, 4).listener(dies).fit(TRAIN))
          .hasMessage("power cut");
      Choosy resumed = new Choosy();
      choosy(second, resumed, 3).resume(file).fit(TRAIN);
      assertThat(resumed.chosen).hasSize(1);
      assertThat(weights(second)).isEqualTo(weights(straight));
      assertThatThrownBy(
              () ->
                  choosy(second, new Choosy(), 3)
                      .outliers(Blobs.of(2, 2, 9), 0.5)
                      .resume(file)
                      .fit(TRAIN))
          .hasMessageContaining("outliers");
    }
  }

  @Test
  void divergedLossStopsWithAdvice() {
    try (TinyModel model = new TinyModel(2, 16, 3, 0)) {
      Objective bad = (output, labels) -> output.logits().mul(new Scalar(1e38)).exp().sum();
      assertThatThrownBy(() -> Trainer.of(model).settings(settings(1)).objective(bad).fit(TRAIN))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("Training stopped at step 0 (epoch 0): the loss is")
          .hasMessageContaining("Lower the learning rate (now 0.1)");
      TensorDataset dirty =
          TensorDataset.of(
              Blobs.rows(new float[][] {{Float.NaN, 0}, {1, 1}}), Tensors.labels(0, 1));
      assertThatThrownBy(() -> Trainer.of(model).settings(settings(1)).fit(dirty))
          .hasMessageContaining("inputs of this batch hold NaN");
    }
  }

  @Test
  void badDataIsAClearError() {
    try (TinyModel model = new TinyModel(2, 4, 2, 0)) {
      assertThatThrownBy(() -> Trainer.of(model).fit(TRAIN))
          .hasMessageContaining("Row 2 of 'blobs' has label 2, but the model has 2 classes");
      assertThatThrownBy(() -> Trainer.of(model).fit(TRAIN.subset()))
          .hasMessageContaining("is empty");
      TensorDataset images = TensorDataset.of(Blobs.rows(new float[][] {{1, 2, 3}}), null);
      assertThatThrownBy(() -> Trainer.of(model).outliers(images, 1).fit(Blobs.of(10, 2, 0)))
          .hasMessageContaining("Outliers have shape [3]");
      assertThatThrownBy(
              () ->
                  Trainer.of(model)
                      .settings(settings(1).withPatience(2, Trainer.Monitor.LOSS))
                      .fit(Blobs.of(10, 2, 0)))
          .hasMessageContaining("needs validation data");
    }
  }

  @Test
  void singleRowLeftOverIsLeftOut() {
    List<Long> sizes = new ArrayList<>();
    Objective spy =
        (output, labels) -> {
          sizes.add(labels.size(0));
          return CrossEntropy.loss(output.logits(), labels, 0);
        };
    try (TinyModel model = new TinyModel(2, 4, 3, 0)) {
      Trainer.of(model).settings(settings(1)).objective(spy).fit(TRAIN.limit(33));
      assertThat(sizes).containsExactly(16L, 16L);
    }
  }

  @Test
  void outliersComeInEndlessOrderWithoutARepeatInAPass() {
    RowCycle cycle = new RowCycle(4, "outliers", 5);
    int[] ten = cycle.rows(0, 10);
    assertThat(Arrays.copyOf(ten, 5)).containsExactlyInAnyOrder(0, 1, 2, 3, 4);
    assertThat(Arrays.copyOfRange(ten, 5, 10)).containsExactlyInAnyOrder(0, 1, 2, 3, 4);
    assertThat(new RowCycle(4, "outliers", 5).rows(3, 4))
        .containsExactly(Arrays.copyOfRange(ten, 3, 7));
  }

  @Test
  void rowThatCannotBeReadIsReportedAndLeftOut() {
    List<String> skipped = new ArrayList<>();
    float[][] inputs = {{1, 2}, {Float.NaN, 0}, {3, 1}, {0, 1}};
    try (PointerScope scope = new PointerScope();
        TinyModel model = new TinyModel(2, 4, 2, 0);
        TensorDataset dirty =
            TensorDataset.builder(Blobs.rows(inputs))
                .labels(Tensors.labels(0, 1, 0, 1))
                .skipNotFinite(true)
                .build()) {
      Trainer.of(model)
          .settings(settings(1))
          .listener(
              new TrainingListener() {
                @Override
                public void skipped(Plan plan, int epoch, List<Batches.Skipped> rows) {
                  rows.forEach(row -> skipped.add(row.id()));
                }
              })
          .fit(dirty);
    }
    assertThat(skipped).containsExactly("1");
  }

  @Test
  void cropAndFlipShiftsAndMirrors() {
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3);
        Rng same = new Rng(3)) {
      float[] image = {1, 2, 3, 4, 5, 6};
      Tensor one = Tensors.of(image, 1, 1, 2, 3);
      assertThat(Tensors.floats(new CropAndFlip(0, false).apply(one, rng))).containsExactly(image);
      same.uniform(org.bytedeco.pytorch.global.torch.ScalarType.Double, 1, 1);
      same.uniform(org.bytedeco.pytorch.global.torch.ScalarType.Double, 1, 1);
      Tensor many = one.expand(400, 1, 2, 3);
      Tensor flipped = new CropAndFlip(0, true).apply(many, rng);
      List<String> kinds = new ArrayList<>();
      float[] flat = Tensors.floats(flipped);
      for (int i = 0; i < 400; i++) {
        kinds.add(Arrays.toString(Arrays.copyOfRange(flat, 6 * i, 6 * i + 6)));
      }
      assertThat(kinds)
          .containsOnly("[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", "[3.0, 2.0, 1.0, 6.0, 5.0, 4.0]");
      assertThat(kinds.stream().filter(k -> k.startsWith("[1")).count()).isBetween(150L, 250L);
      assertThat(Tensors.floats(new CropAndFlip(0, true).apply(many, same))).containsExactly(flat);
      float[] shifted = Tensors.floats(new CropAndFlip(2, false).apply(many, rng));
      List<Float> corner = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        corner.add(shifted[6 * i]);
      }
      // The corner shows any pixel of the image or the zeros around it.
      assertThat(corner).containsOnly(0f, 1f, 2f, 3f, 4f, 5f, 6f);
    }
  }

  @Test
  void memoryStaysFlat() {
    TensorDataset rows = Blobs.of(64, 3, 0);
    try (TinyModel model = new TinyModel(2, 64, 3, 0)) {
      long[] after = new long[2];
      Trainer.of(model)
          .settings(settings(40).withBatchSize(4).withEmaDecay(0.9).withClipNorm(1))
          .optimiser(p -> new AdamW(p, AdamW.settings(1e-3)))
          .listener(
              new TrainingListener() {
                @Override
                public void epochEnded(Plan plan, Epoch epoch) {
                  after[epoch.epoch() < 15 ? 0 : 1] = Pointer.totalBytes();
                }
              })
          .fit(rows);
      assertThat(after[1]).isLessThanOrEqualTo(after[0]);
    }
  }
}
