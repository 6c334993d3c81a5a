package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.GaussianNoise;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.optim.TrainingListener.Plan;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Palm.Settings;

/** PALM: its mathematics on small numbers, then as an objective. */
class PalmTest {
  private static final int CLASSES = 3;

  private static Settings settings(int cacheSize, int k, double momentum, double lambda) {
    return new Settings(cacheSize, k, momentum, 0.1, 0.05, 3, lambda, 6, true, 1);
  }

  private static Tensor unit(Rng rng, long rows, long dimension) {
    return ProjectionHead.unit(rng.normal(ScalarType.Double, rows, dimension));
  }

  private static double furthestFromOne(Tensor lengths) {
    return lengths.sub(new Scalar(1.0)).abs().amax().item_double();
  }

  private static Tensor lengths(Tensor rows) {
    return rows.detach().square().sum(1).sqrt();
  }

  @Property(tries = 30)
  void everySampleIsSharedOutInFull(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int samples) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor embeddings = unit(rng, samples, 5);
            Tensor prototypes = unit(rng, 12, 5);
            Tensor q = PrototypeMixture.sinkhorn(embeddings, prototypes, 0.05, 3);
            assertThat(furthestFromOne(q.sum(1))).isLessThan(1e-9);
            assertThat(q.amin().item_double()).isNotNegative();
            // With many rounds every prototype gets as much as any other.
            Tensor even = PrototypeMixture.sinkhorn(embeddings, prototypes, 0.5, 300);
            assertThat(furthestFromOne(even.sum(0).mul(new Scalar(12.0 / samples))))
                .isLessThan(1e-3);
            // A sharp assignment overflows nothing, in float32 either.
            Tensor sharp =
                PrototypeMixture.sinkhorn(
                    embeddings.to(ScalarType.Float), prototypes.to(ScalarType.Float), 1e-3, 3);
            assertThat(sharp.isfinite().all().item_bool()).isTrue();
          }
        });
  }

  @Property(tries = 20)
  void aStepKeepsPrototypesOnTheSphereAndMovesOnlyThoseOfClassesInTheBatch(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor start = unit(rng, 12, 5);
            Tensor labels = Tensors.labels(0, 2, 0, 0, 2, 2, 0);
            PrototypeMixture step =
                PrototypeMixture.step(
                    unit(rng, 7, 5), start, labels, CLASSES, settings(4, 2, 0.8, 1));
            Tensor moved = step.prototypes();
            assertThat(furthestFromOne(lengths(moved))).isLessThan(1e-9);
            for (int p = 0; p < 12; p++) {
              double change = moved.select(0, p).sub(start.select(0, p)).abs().amax().item_double();
              if (p % CLASSES == 1) {
                assertThat(change).isLessThan(1e-12);
              }
            }
            assertThat(moved.sub(start).abs().amax().item_double()).isGreaterThan(1e-3);
            assertThat(step.loss(1).item_double()).isFinite();
          }
        });
  }

  @Property(tries = 20)
  void gradientsAgreeWithDifferences(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor embeddings = unit(rng, 6, 4);
            Tensor prototypes = unit(rng, 3, 4);
            Tensor labels = Tensors.labels(0, 1, 2, 0, 1, 2);
            Tensor weights = torch.softmax(rng.normal(ScalarType.Double, 6, 3), 1);
            agree(embeddings, z -> PrototypeMixture.likelihood(z, prototypes, weights, 0.1));
            agree(unit(rng, 6, 4), p -> PrototypeMixture.contrast(p, CLASSES));
            // One prototype a class: the assignment is constant, and all that is left to the
            // contrast goes through the prototypes' move.
            Settings one = new Settings(1, 1, 0.7, 0.1, 0.5, 3, 1, 6, true, 1);
            agree(
                embeddings,
                z -> PrototypeMixture.step(z, prototypes, labels, CLASSES, one).contrast());
          }
        });
  }

  private static void agree(Tensor at, UnaryOperator<Tensor> loss) {
    Tensor leaf = at.detach().clone().requires_grad_(true);
    Tensor gradient = Gradients.of(loss.apply(leaf), leaf).view(-1);
    for (int i = 0; i < 5; i++) {
      Tensor step = torch.zeros_like(at);
      step.view(-1).narrow(0, i, 1).fill_(new Scalar(1e-5));
      double up = loss.apply(at.add(step)).item_double();
      double down = loss.apply(at.sub(step)).item_double();
      assertThat((up - down) / 2e-5)
          .isCloseTo(gradient.narrow(0, i, 1).item_double(), within(1e-6));
    }
  }

  @Test
  void theGradientThroughThePrototypesShrinksWithTheirMomentum() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(8)) {
            Tensor prototypes = unit(rng, 6, 4);
            Tensor labels = Tensors.labels(0, 1, 2, 0);
            Tensor embeddings = unit(rng, 4, 4).requires_grad_(true);
            double[] size = new double[2];
            double[] momentum = {0.99, 0.999};
            for (int i = 0; i < 2; i++) {
              PrototypeMixture step =
                  PrototypeMixture.step(
                      embeddings, prototypes, labels, CLASSES, settings(2, 0, momentum[i], 1));
              size[i] = Gradients.of(step.contrast(), embeddings).abs().sum().item_double();
            }
            assertThat(size[0] / size[1]).isCloseTo(10, within(0.5));
          }
        });
  }

  @Test
  void moreKeptThanThereAreIsAllOfThemAndOneRowIsSharedEvenly() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(2)) {
            Tensor embeddings = unit(rng, 5, 4);
            Tensor prototypes = unit(rng, 6, 4);
            Tensor labels = Tensors.labels(0, 1, 2, 2, 0);
            double all = loss(embeddings, prototypes, labels, settings(2, 0, 0.9, 1));
            assertThat(loss(embeddings, prototypes, labels, settings(2, 9, 0.9, 1)))
                .isEqualTo(all)
                .isEqualTo(loss(embeddings, prototypes, labels, settings(2, 2, 0.9, 1)));
            assertThat(loss(embeddings, prototypes, labels, settings(2, 1, 0.9, 1)))
                .isNotEqualTo(all);
            Tensor one = PrototypeMixture.sinkhorn(embeddings.narrow(0, 0, 1), prototypes, 0.05, 3);
            assertThat(Tensors.doubles(one)).containsOnly(new double[] {1 / 6.0}, within(1e-9));
            assertThat(
                    loss(
                        embeddings.narrow(0, 0, 1),
                        prototypes,
                        Tensors.labels(2),
                        settings(2, 1, 0.9, 1)))
                .isFinite();
          }
        });
  }

  private static double loss(
      Tensor embeddings, Tensor prototypes, Tensor labels, Settings settings) {
    return PrototypeMixture.step(embeddings, prototypes, labels, CLASSES, settings)
        .loss(settings.lambda())
        .item_double();
  }

  @Test
  void prototypesThatOverflowAreScaledFirst() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor embeddings = unit(rng, 5, 4);
            Tensor prototypes = unit(rng, 6, 4);
            Tensor labels = Tensors.labels(0, 1, 2, 2, 0);
            Settings settings = settings(2, 1, 0.9, 1);
            assertThat(loss(embeddings, prototypes.mul(new Scalar(1e4)), labels, settings))
                .isCloseTo(loss(embeddings, prototypes, labels, settings), within(1e-9));
          }
        });
  }

  @Test
  void onePrototypeAClassOnlyRepelsAndOneInAllHasNoContrast() {
    Scopes.run(
        () -> {
          Tensor close = ProjectionHead.unit(Tensors.of(new double[][] {{1, 0.1}, {1, -0.1}}));
          Tensor opposite = Tensors.of(new double[][] {{1, 0}, {-1, 0}});
          assertThat(PrototypeMixture.contrast(opposite, 2).item_double())
              .isLessThan(PrototypeMixture.contrast(close, 2).item_double());
          // As two of one class they should be close, with nothing else to be far from: constant.
          assertThat(PrototypeMixture.contrast(opposite, 1).item_double())
              .isCloseTo(PrototypeMixture.contrast(close, 1).item_double(), within(1e-12));
          assertThat(PrototypeMixture.contrast(close.narrow(0, 0, 1), 1).item_double()).isZero();
        });
  }

  @Test
  void theRateRisesForTenEpochsThenFallsToAThousandth() {
    Plan plan = new Plan(20, 5);
    assertThat(Palm.rateAfter(0, plan)).isZero();
    assertThat(Palm.rateAfter(25, plan)).isEqualTo(0.5);
    assertThat(Palm.rateAfter(50, plan)).isEqualTo(1);
    assertThat(Palm.rateAfter(100, plan)).isCloseTo(0.001, within(1e-12));
    Schedule schedule = Palm.schedule(plan);
    assertThat(new double[] {schedule.factor(0), schedule.factor(1), schedule.factor(51)})
        .containsExactly(1, 0, 1);
    assertThat(Palm.rateAfter(14, new Plan(3, 5))).isEqualTo(14 / 50.0);
  }

  @Test
  void trainingTheHeadLowersTheLossAndARestoredOneContinues() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, CLASSES, 5);
          Tensor features = blobs.near(30);
          Tensor labels = blobs.labels(30);
          Output output = new Output(blobs.head.apply(features), features);
          try (Palm palm = new Palm(settings(3, 2, 0.9, 1));
              Palm other = new Palm(settings(3, 2, 0.9, 1))) {
            palm.initialise(5, CLASSES);
            other.initialise(5, CLASSES);
            double first = palm.loss(output, labels).item_double();
            assertThat(other.loss(output, labels).item_double()).isEqualTo(first);
            for (int step = 0; step < 40; step++) {
              Scopes.run(() -> descend(palm, output, labels));
              assertThat(furthestFromOne(lengths(palm.prototypes()))).isLessThan(1e-5);
            }
            other.restore(palm.state());
            double now = palm.loss(output, labels).item_double();
            assertThat(now).isLessThan(first);
            assertThat(other.loss(output, labels).item_double()).isEqualTo(now);
            assertThat(other.prototypes().equal(palm.prototypes())).isTrue();
            assertThat(Tensors.longs(other.seen())).containsExactly(420, 420, 420);
            try (Palm fresh = new Palm(settings(3, 2, 0.9, 1))) {
              fresh.restore(palm.state());
              assertThat(fresh.embed(features).equal(palm.embed(features))).isTrue();
            }
            Tensor before = palm.prototypes().clone();
            assertThat(palm.loss(output, labels.sub(new Scalar(9))).item_double()).isZero();
            assertThat(palm.prototypes().equal(before)).isTrue();
          }
        });
  }

  private static void descend(Palm palm, Output output, Tensor labels) {
    List<Tensor> parameters = new ArrayList<>(palm.parameters().values());
    List<Tensor> gradients = Gradients.of(palm.loss(output, labels), parameters, false);
    Scopes.grad(
        false,
        () -> {
          for (int i = 0; i < parameters.size(); i++) {
            parameters.get(i).sub_(gradients.get(i).mul(new Scalar(0.05)));
          }
          return true;
        });
  }

  @Test
  void withoutLabelsThereAreKPrototypesInAllAndClassesDoNotMatter() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, CLASSES, 5);
          Tensor features = blobs.near(12);
          Output output = new Output(blobs.head.apply(features), features);
          Settings settings = settings(3, 2, 0.9, 1).unlabelled(7);
          try (Palm one = new Palm(settings);
              Palm two = new Palm(settings)) {
            one.initialise(5, CLASSES);
            two.initialise(5, CLASSES);
            assertThat(one.prototypes().shape()).containsExactly(7, 6);
            Tensor zeros = torch.zeros_like(blobs.labels(12));
            assertThat(one.loss(output, blobs.labels(12)).item_double())
                .isEqualTo(two.loss(output, zeros).item_double());
            assertThat(Tensors.longs(one.seen())).containsExactly(12);
          }
        });
  }

  private static NeuralModel network(long seed) {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(8)), new long[] {2}, CLASSES, seed);
  }

  private static TensorDataset clouds(int... classes) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(1)) {
            Tensor labels = Tensors.labels(classes).repeat(16);
            Tensor place = labels.to(ScalarType.Float).unsqueeze(1).mul(new Scalar(3.0));
            return TensorDataset.of(rng.normal(labels.size(0), 2).add(place), labels);
          }
        });
  }

  private static Trainer trainer(NeuralModel model, Palm palm, int epochs) {
    return Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(16).withSeed(3))
        .optimiser(p -> new Sgd(p, Sgd.Settings.nesterov(0.05)))
        .schedule(Schedule.constant())
        .augment(new GaussianNoise(0.3))
        .objective(palm);
  }

  @Test
  void aResumedRunEqualsAStraightOneAndPrototypesStayOnTheSphere(@TempDir Path folder) {
    Path file = folder.resolve("run.safetensors");
    Settings settings = settings(2, 1, 0.9, 1);
    try (NeuralModel straight = network(0);
        NeuralModel first = network(0);
        NeuralModel second = network(9);
        Palm one = new Palm(settings);
        Palm two = new Palm(settings);
        Palm three = new Palm(settings);
        TensorDataset train = clouds(0, 1, 2)) {
      for (Map.Entry<Palm, NeuralModel> pair :
          Map.of(one, straight, two, first, three, second).entrySet()) {
        pair.getKey().prepare(pair.getValue(), train, 16);
      }
      double[] furthest = {0};
      trainer(straight, one, 4)
          .listener(
              new TrainingListener() {
                @Override
                public void stepped(Plan plan, Step step) {
                  Scopes.run(
                      () ->
                          furthest[0] =
                              Math.max(furthest[0], furthestFromOne(lengths(one.prototypes()))));
                }
              })
          .fit(train);
      trainer(first, two, 2).checkpoint(file).fit(train);
      trainer(second, three, 4).resume(file).fit(train);
      straight
          .parameters()
          .forEach((name, p) -> assertThat(second.parameters().get(name).equal(p)).isTrue());
      assertThat(three.prototypes().equal(one.prototypes())).isTrue();
      // Two views of 48 rows in each of 4 epochs.
      assertThat(Tensors.longs(three.seen())).containsExactly(128, 128, 128);
      assertThat(furthest[0]).isLessThan(1e-5);
    }
  }

  @Test
  void aClassWithoutRowsKeepsItsPrototypes() {
    Settings settings = settings(2, 1, 0.9, 1);
    try (NeuralModel model = network(0);
        Palm palm = new Palm(settings);
        TensorDataset train = clouds(0, 2)) {
      palm.prepare(model, train, 16);
      Scopes.run(
          () -> {
            Tensor before = palm.prototypes().clone();
            trainer(model, palm, 2).fit(train);
            Tensor change = palm.prototypes().sub(before).abs().amax(new long[] {1}, false);
            double[] moved = Tensors.doubles(change);
            assertThat(moved[1]).isLessThan(1e-6);
            assertThat(moved[4]).isLessThan(1e-6);
            assertThat(moved[0] + moved[3]).isGreaterThan(1e-3);
            assertThat(Tensors.longs(palm.seen())).containsExactly(64, 0, 64);
          });
    }
  }

  @Test
  void manyLossesLeaveNoMemoryBehind() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, CLASSES, 5);
          Tensor features = blobs.near(30);
          Tensor labels = blobs.labels(30);
          Output output = new Output(blobs.head.apply(features), features);
          try (Palm palm = new Palm(settings(3, 2, 0.9, 1))) {
            palm.initialise(5, CLASSES);
            Scopes.run(() -> descend(palm, output, labels));
            long before = Pointer.totalBytes();
            for (int i = 0; i < 50; i++) {
              Scopes.run(() -> descend(palm, output, labels));
            }
            assertThat(Pointer.totalBytes() - before).isLessThan(2_000);
          }
        });
  }

  @Test
  void badInputIsAClearErrorAndChangesNothing() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, CLASSES, 5);
          Tensor features = blobs.near(6);
          Tensor labels = blobs.labels(6);
          try (Palm palm = new Palm(settings(2, 1, 0.9, 1))) {
            Output output = new Output(blobs.head.apply(features), features);
            assertThatThrownBy(() -> palm.loss(output, labels))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("call initialise");
            assertThatThrownBy(palm::state).hasMessageContaining("call initialise");
            assertThat(palm.parameters()).isEmpty();
            palm.initialise(5, CLASSES);
            Tensor before = palm.prototypes().clone();
            assertThatThrownBy(() -> palm.loss(output, labels.add(new Scalar(1))))
                .hasMessageContaining("classes are 0 to 2");
            assertThatThrownBy(() -> palm.loss(output, labels.narrow(0, 0, 5)))
                .hasMessageContaining("shape");
            Tensor spoilt = features.clone();
            spoilt.select(0, 2).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(() -> palm.loss(new Output(spoilt, spoilt), labels))
                .hasMessageContaining("NaN")
                .hasMessageContaining("clean the data");
            Tensor wide = torch.cat(new TensorVector(features, features), 1);
            assertThatThrownBy(() -> palm.loss(new Output(wide, wide), labels))
                .hasMessageContaining("shape [6, 10]");
            Tensor none = features.narrow(0, 0, 0);
            assertThatThrownBy(() -> palm.loss(new Output(none, none), labels.narrow(0, 0, 0)))
                .hasMessageContaining("empty");
            assertThat(palm.prototypes().equal(before)).isTrue();
            assertThat(palm.seen().sum().item_long()).isZero();
          }
          Tensor z = ProjectionHead.unit(features);
          Tensor p = ProjectionHead.unit(blobs.near(7));
          Settings settings = settings(2, 1, 0.9, 1);
          assertThatThrownBy(() -> PrototypeMixture.step(z, p, labels, CLASSES, settings))
              .hasMessageContaining("cannot be shared evenly");
          assertThatThrownBy(
                  () ->
                      PrototypeMixture.step(
                          z.mul(new Scalar(2.0)), p.narrow(0, 0, 6), labels, CLASSES, settings))
              .hasMessageContaining("rows of length 1");
        });
  }

  @Test
  void damagedStatesAndSettingsOutOfRangeAreRefused() {
    Scopes.run(
        () -> {
          try (Palm palm = new Palm(settings(2, 1, 0.9, 1));
              Palm larger = new Palm(settings(3, 1, 0.9, 1));
              Palm other = new Palm(settings(2, 1, 0.9, 1))) {
            palm.initialise(5, CLASSES);
            larger.initialise(5, CLASSES);
            other.initialise(4, CLASSES);
            Tensor before = palm.prototypes().clone();
            State state = palm.state();
            assertThatThrownBy(() -> larger.restore(state)).hasMessageContaining("cacheSize");
            assertThatThrownBy(() -> other.restore(state)).hasMessageContaining("projection head");
            Map<String, Tensor> tensors = new LinkedHashMap<>(state.tensors());
            tensors.put("prototypes", before.mul(new Scalar(3.0)));
            State damaged = new State(state.type(), 1, state.values(), tensors);
            assertThatThrownBy(() -> palm.restore(damaged)).hasMessageContaining("damaged");
            tensors.remove("head.2.bias");
            tensors.put("prototypes", before);
            State partial = new State(state.type(), 1, state.values(), tensors);
            assertThatThrownBy(() -> palm.restore(partial)).hasMessageContaining("head.2.bias");
            assertThat(palm.prototypes().equal(before)).isTrue();
          }
        });
    assertThatThrownBy(() -> settings(0, 1, 0.9, 1)).hasMessageContaining("cacheSize");
    assertThatThrownBy(() -> settings(1, -1, 0.9, 1)).hasMessageContaining("k = -1");
    assertThatThrownBy(() -> settings(1, 1, 1.1, 1)).hasMessageContaining("prototypeMomentum");
    assertThatThrownBy(() -> settings(1, 1, 0.9, -1)).hasMessageContaining("lambda");
    try (Palm palm = new Palm()) {
      assertThatThrownBy(() -> palm.initialise(0, 2)).hasMessageContaining("features");
    }
  }
}
