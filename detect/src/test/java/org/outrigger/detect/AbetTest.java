package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Heads;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Abet.Kind;
import org.outrigger.detect.Abet.Settings;
import org.outrigger.detect.Abet.Shaping;

/** AbeT: its scores, the head in a model, and its training. */
class AbetTest {
  private static final int CLASSES = 4;

  private static double score(Tensor cosines, double temperature) {
    return Abet.score(cosines.div(new Scalar(temperature))).item_double();
  }

  /** Cosines [1, C] from -1 to 1. */
  private static Tensor cosines(Rng rng) {
    return rng.uniform(ScalarType.Double, 1, CLASSES).mul(new Scalar(2.0)).sub(new Scalar(1.0));
  }

  @Property(tries = 50)
  void theScoreRisesWithASmallTemperatureIfACosineIsPositive(
      @ForAll long seed,
      @ForAll @DoubleRange(min = 0.01, max = 0.98) double part,
      @ForAll @DoubleRange(min = 0.01, max = 1) double top) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor g = cosines(rng);
            g.select(1, 2).fill_(new Scalar(top));
            // Up to here the largest cosine outweighs all negative ones, whatever they are.
            double limit = top / Math.log(CLASSES);
            assertThat(score(g, part * limit)).isLessThan(score(g, limit));
          }
        });
  }

  @Property(tries = 50)
  void theScoreRisesWithAnyTemperatureIfCosinesAreNotNegativeOnAverage(
      @ForAll long seed,
      @ForAll @DoubleRange(min = 0.01, max = 0.98) double part,
      @ForAll @DoubleRange(min = 0.01, max = 1) double temperature) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor g = cosines(rng);
            Tensor centred = g.sub(g.mean());
            assertThat(score(centred, part * temperature)).isLessThan(score(centred, temperature));
          }
        });
  }

  @Test
  void scoresStayFiniteAndPixelsAreScoredLikeRows() {
    Scopes.run(
        () -> {
          Tensor huge = Tensors.of(new double[][] {{1e12, -1e12, 3}, {-1e12, -1e12, -1e12}});
          assertThat(Tensors.doubles(Abet.score(huge.to(ScalarType.Float))))
              .containsExactly(new double[] {-1e12, 1e12}, within(1e6));
          try (Rng rng = new Rng(1)) {
            Tensor maps = rng.normal(ScalarType.Double, 2, 5, 3, 4);
            Tensor rows = maps.permute(0, 2, 3, 1).reshape(-1, 5);
            for (int background : new int[] {-1, 0, 3, 4}) {
              Tensor scores = Abet.score(maps, background);
              assertThat(scores.shape()).containsExactly(2, 3, 4);
              assertThat(Tensors.doubles(scores))
                  .containsExactly(Tensors.doubles(Abet.score(rows, background)), within(1e-12));
            }
            Tensor t = rng.uniform(ScalarType.Double, 2, 1, 3, 4);
            assertThat(Abet.forefront(Abet.score(maps), t).shape()).containsExactly(2, 3, 4);
            // A class that is left out does not matter, however large its logit is.
            Tensor raised = rows.clone();
            raised.select(1, 3).add_(new Scalar(50.0));
            assertThat(Abet.score(raised, 3).equal(Abet.score(rows, 3))).isTrue();
          }
        });
  }

  private static NeuralModel network(long seed) {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(16)), new long[] {2}, 3, seed);
  }

  private static TensorDataset clouds(long rows, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor labels = torch.arange(new Scalar(rows)).remainder(new Scalar(3));
            Tensor angle = labels.to(ScalarType.Float).mul(new Scalar(2 * Math.PI / 3));
            Tensor centres = torch.stack(new TensorVector(angle.cos(), angle.sin()), 1);
            return TensorDataset.of(
                centres.add(rng.normal(rows, 2).mul(new Scalar(0.4))), labels.to(ScalarType.Long));
          }
        });
  }

  private static Trainer trainer(NeuralModel model, TensorDataset train, int epochs) {
    TrainingObjective objective = new Abet().training();
    objective.prepare(model, train, 16, 3);
    return Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(16).withSeed(3))
        .optimiser(p -> new Sgd(p, Sgd.Settings.of(0.05)))
        .schedule(Schedule.constant())
        .objective(objective);
  }

  @Test
  void everyScoreIsWhatItsWordsSay() {
    try (NeuralModel model = network(0);
        TensorDataset train = clouds(96, 1);
        TensorDataset test = clouds(30, 2)) {
      trainer(model, train, 3).fit(train);
      try (RecordedOutputs known =
              RecordedOutputs.record(model, train, RecordedOutputs.Options.defaults());
          RecordedOutputs seen =
              RecordedOutputs.record(model, test, RecordedOutputs.Options.defaults())) {
        Scopes.run(
            () -> {
              TemperatureHead head = (TemperatureHead) model.lastLayer();
              Tensor h = seen.output().features();
              Tensor t = head.temperature().forward(h).to(ScalarType.Double);
              Tensor w = head.cosine().tensor("weight").detach();
              Tensor plain = Abet.score(seen.output().logits());
              Settings settings = Settings.defaults();
              same(known, seen, settings, plain);
              same(known, seen, settings.withKind(Kind.TEMPERATURE), t.squeeze(1));
              same(known, seen, settings.withKind(Kind.FOREFRONT), plain.mul(t.squeeze(1)));
              same(
                  known,
                  seen,
                  settings.withBackground(1),
                  Abet.score(seen.output().logits().index_select(1, Tensors.labels(0, 2))));
              Tensor features = known.output().features();
              double cut = Percentile.of(80, part -> part.accept(features.to(ScalarType.Double)));
              same(
                  known,
                  seen,
                  settings.withShaping(Shaping.REACT, 80),
                  energy(h.clamp_max(new Scalar(cut)), w, t));
              Tensor mean = features.to(ScalarType.Double).mean(0);
              same(
                  known,
                  seen,
                  settings.withShaping(Shaping.DICE, 50),
                  energy(h, Abet.sparse(mean, w, 50), t));
              same(
                  known,
                  seen,
                  settings.withShaping(Shaping.ASH_S, 65),
                  energy(Ash.shape(h, 65, Ash.Variant.S), w, t));
              same(
                  known,
                  seen,
                  settings.withShaping(Shaping.ASH_B, 65).withKind(Kind.FOREFRONT),
                  energy(Ash.shape(h, 65, Ash.Variant.B), w, t).mul(t.squeeze(1)));
            });
      }
    }
  }

  private static Tensor energy(Tensor features, Tensor weight, Tensor temperatures) {
    return TemperatureHead.cosines(features, weight).div(temperatures).logsumexp(1).neg();
  }

  private static void same(
      RecordedOutputs known, RecordedOutputs seen, Settings settings, Tensor expected) {
    try (Abet abet = new Abet(settings)) {
      abet.fit(known);
      double[] wanted = Tensors.doubles(expected);
      double[] scores = Tensors.doubles(abet.score(seen.output()));
      for (int i = 0; i < wanted.length; i++) {
        assertThat(scores[i]).isCloseTo(wanted[i], within(1e-4 * (1 + Math.abs(wanted[i]))));
      }
    }
  }

  @Test
  void aStepOfTheInputLowersItsScore() {
    try (NeuralModel model = network(0);
        TensorDataset train = clouds(96, 1);
        Abet still = new Abet();
        Abet stepped = new Abet(Settings.defaults().withNoise(0.01, List.of(0.5, 2.0)))) {
      trainer(model, train, 3).fit(train);
      try (RecordedOutputs known =
          RecordedOutputs.record(model, train, RecordedOutputs.Options.defaults())) {
        still.fit(known);
        stepped.fit(known);
      }
      assertThat(still.needs()).doesNotContain(Need.INPUT_GRADIENTS);
      assertThat(stepped.needs()).contains(Need.INPUT_GRADIENTS, Need.LEARNED_TEMPERATURE);
      Scopes.run(
          () -> {
            Tensor x = train.inputs();
            Output output = model.predict(x);
            double[] before = Tensors.doubles(still.score(model, x, output));
            double[] after = Tensors.doubles(stepped.score(model, x, output));
            assertThat(before).containsExactly(Tensors.doubles(still.score(output)));
            long lower =
                IntStream.range(0, before.length).filter(i -> after[i] < before[i]).count();
            assertThat(lower).isGreaterThan(90);
          });
    }
  }

  @Test
  void aSparseHeadKeepsWhatContributesMost() {
    Scopes.run(
        () -> {
          Tensor weight = Tensors.of(new double[][] {{1, -4, 2}, {0.5, 3, -1}});
          Tensor mean = Tensors.of(new double[] {1, 2, 0}, 3);
          Tensor sparse = Abet.sparse(mean, weight, 50);
          // Contributions 1, 8, 0, 0.5, 6, 0; their median is 0.75.
          assertThat(Tensors.doubles(sparse)).containsExactly(1, -4, 0, 0, 3, -0.0);
          assertThat(sparse.scalar_type().intern()).isEqualTo(ScalarType.Double);
        });
  }

  @Test
  void theHeadIsAttachedOnceAndPutBack() {
    try (NeuralModel model = network(0)) {
      Scopes.run(
          () -> {
            Tensor x = torch.randn(5, 2);
            Tensor before = model.predict(x).logits();
            model.train(false);
            Layer linear = Abet.attach(model, 7);
            Layer head = model.lastLayer();
            assertThat(head).isInstanceOf(TemperatureHead.class);
            assertThat(head.training()).isFalse();
            assertThat(model.predict(x).logits().equal(before)).isFalse();
            try (TensorDataset train = clouds(4, 1)) {
              new Abet().training().prepare(model, train, 4, 9);
            }
            assertThat(model.lastLayer()).isSameAs(head);
            assertThatThrownBy(() -> Abet.attach(model, 7)).hasMessageContaining("linear");
            model.root().replace(model.headPath(), linear).close();
            assertThat(model.predict(x).logits().equal(before)).isTrue();
          });
    }
  }

  @Test
  void theSameSeedGivesTheSameHead() {
    try (NeuralModel one = network(0);
        NeuralModel two = network(0);
        NeuralModel other = network(0)) {
      Abet.attach(one, 7).close();
      Abet.attach(two, 7).close();
      Abet.attach(other, 8).close();
      String name = "head.cosine.weight";
      assertThat(one.parameters().get(name).equal(two.parameters().get(name))).isTrue();
      assertThat(one.parameters().get(name).equal(other.parameters().get(name))).isFalse();
    }
  }

  @Test
  void aResumedRunEqualsAStraightOne(@TempDir Path folder) {
    Path file = folder.resolve("checkpoint");
    try (NeuralModel straight = network(0);
        NeuralModel first = network(0);
        NeuralModel second = network(9);
        TensorDataset train = clouds(96, 1)) {
      trainer(straight, train, 4).fit(train);
      trainer(first, train, 2).checkpoint(file).fit(train);
      trainer(second, train, 4).resume(file).fit(train);
      Map<String, Tensor> resumed = second.root().stateDict();
      straight
          .root()
          .stateDict()
          .forEach((name, tensor) -> assertThat(resumed.get(name).equal(tensor)).isTrue());
    }
  }

  @Test
  void trainingLearnsClassesAndLeavesOutliersOut() {
    try (NeuralModel model = network(0);
        TensorDataset train = clouds(240, 1)) {
      double accuracy = trainer(model, train, 15).fit(train).epochs().get(14).accuracy();
      assertThat(accuracy).isGreaterThan(0.9);
    }
    Scopes.run(
        () -> {
          TrainingObjective objective = new Abet().training();
          Tensor logits = Tensors.of(new double[][] {{2, 0}, {1, 5}, {9, -9}});
          double known =
              objective
                  .loss(new Output(logits.narrow(0, 0, 2), null), Tensors.labels(0, 1))
                  .item_double();
          Output all = new Output(logits, null);
          assertThat(objective.loss(all, Tensors.labels(0, 1, -1)).item_double()).isEqualTo(known);
          assertThatThrownBy(() -> objective.loss(all, Tensors.labels(0, 2, 1)))
              .isInstanceOf(OutriggerException.class);
        });
  }

  @Test
  void modelsWithoutALearnedTemperatureAreRefusedByName() {
    try (NeuralModel model = network(0);
        TensorDataset train = clouds(12, 1);
        Abet abet = new Abet();
        RecordedOutputs outputs =
            RecordedOutputs.record(model, train, RecordedOutputs.Options.defaults())) {
      assertThatThrownBy(() -> model.require(abet, Detector.class))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("AbeT needs a last layer with a learned temperature")
          .hasMessageContaining("mlp")
          .hasMessageContaining("energy");
      assertThatThrownBy(() -> abet.fit(outputs))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("AbeT needs a last layer with a learned temperature");
      Abet.attach(model, 0).close();
      model.require(abet, Detector.class);
      assertThatThrownBy(() -> model.require(new ReAct(), Detector.class))
          .hasMessageContaining("linear layer")
          .hasMessageContaining("abet");
    }
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    Settings plain = Settings.defaults();
    assertThatThrownBy(() -> plain.withShaping(Shaping.REACT, 100))
        .hasMessageContaining("percentile");
    assertThatThrownBy(() -> plain.withBackground(-2)).hasMessageContaining("background");
    assertThatThrownBy(() -> plain.withShaping(Shaping.DICE, 90).withKind(Kind.TEMPERATURE))
        .hasMessageContaining("shaping");
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, 3, 5);
          try (Rng rng = new Rng(1);
              TemperatureHead head = new TemperatureHead(5, 3, rng);
              TemperatureHead narrow = new TemperatureHead(4, 3, rng);
              Abet background = new Abet(plain.withBackground(3));
              Abet ash = new Abet(plain.withShaping(Shaping.ASH_S, 95));
              Abet abet = new Abet()) {
            Tensor features = blobs.near(12);
            Outputs known =
                Outputs.withHeads(
                    blobs.output(features), blobs.labels(12), new Heads(blobs.head, null, head));
            assertThatThrownBy(() -> background.fit(known)).hasMessageContaining("background");
            assertThatThrownBy(() -> ash.fit(known)).hasMessageContaining("percentile");
            Outputs other =
                Outputs.withHeads(
                    blobs.output(features), blobs.labels(12), new Heads(blobs.head, null, narrow));
            assertThatThrownBy(() -> abet.fit(other)).isInstanceOf(OutriggerException.class);
            assertThat(abet.fitted()).isFalse();
          }
        });
  }

  @Test
  void trainingAndScoringKeepMemoryFlat() {
    try (NeuralModel model = network(0);
        Abet abet = new Abet(Settings.defaults().withShaping(Shaping.REACT, 90));
        TensorDataset train = clouds(32, 1)) {
      trainer(model, train, 2).fit(train);
      try (RecordedOutputs known =
          RecordedOutputs.record(model, train, RecordedOutputs.Options.defaults())) {
        abet.fit(known);
        long before = 0;
        for (int i = 0; i < 60; i++) {
          if (i == 10) {
            before = Pointer.totalBytes();
          }
          try (PointerScope scope = new PointerScope()) {
            model.train(true);
            model.forward(train.inputs()).logits().sum().backward();
            abet.score(model.predict(train.inputs()));
          }
        }
        assertThat(Pointer.totalBytes() - before).isLessThan(2_000);
      }
    }
  }
}
