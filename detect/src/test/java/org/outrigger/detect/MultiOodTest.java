package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
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
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Capabilities.Modality;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.MultiOod.Settings;

/** MultiOOD and the discrepancy of modalities. */
class MultiOodTest {
  private static final Settings QUICK =
      new Settings(0.5, 0.5, 0.5, Discrepancy.HELLINGER, 3, 10, 4, 1, true, 0);

  private static NeuralModel model(long seed) {
    return NeuralModel.create(
        "multimodal",
        Map.of("parts", "left:2+right:3", "encoders", "mlp:hidden=8"),
        new long[] {5},
        4,
        seed);
  }

  /** Rows whose both parts follow their class. */
  private static TensorDataset rows(int count, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed);
              Rng fixed = new Rng(77)) {
            Tensor labels = torch.arange(new Scalar(count)).remainder(new Scalar(4));
            Tensor centres = fixed.normal(4, 5).mul(new Scalar(2.0));
            Tensor inputs =
                centres
                    .index_select(0, labels.to(ScalarType.Long))
                    .add(rng.normal(count, 5).mul(new Scalar(0.3)));
            return TensorDataset.of(inputs, labels.to(ScalarType.Long));
          }
        });
  }

  private static Tensor softmax(Rng rng, long rows, long classes) {
    return torch.softmax(rng.normal(ScalarType.Double, rows, classes), 1);
  }

  @Property(tries = 20)
  void everyDiscrepancyIsSymmetricZeroForEqualsAndAboveForOthers(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor p = softmax(rng, 6, 4);
            Tensor q = softmax(rng, 6, 4);
            for (Discrepancy distance : Discrepancy.values()) {
              double there = distance.between(p, q).item_double();
              assertThat(distance.between(q, p).item_double()).isCloseTo(there, within(1e-12));
              assertThat(there).isGreaterThan(1e-4);
              assertThat(distance.between(p, p).item_double()).isCloseTo(0, within(1e-6));
              if (distance.ofRows()) {
                assertThat(distance.rows(p, q).mean().item_double())
                    .isCloseTo(there, within(1e-12));
              }
            }
            assertThat(Discrepancy.HELLINGER.rows(p, q).max().item_double()).isLessThan(1);
          }
        });
  }

  @Property(tries = 10)
  void gradientsAgreeWithDifferencesForEveryDistance(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor labels = Tensors.labels(1, 0, 3);
            Tensor first = rng.normal(ScalarType.Double, 3, 4);
            Tensor second = rng.normal(ScalarType.Double, 3, 4);
            Tensor third = rng.normal(ScalarType.Double, 3, 4);
            for (Discrepancy distance : Discrepancy.values()) {
              Tensor x = first.clone().requires_grad_(true);
              Tensor gradient =
                  Gradients.of(
                      MultiOod.agreeToDisagree(List.of(x, second, third), labels, distance), x);
              // The true class is left out, so nothing pulls at it.
              assertThat(gradient.gather(1, labels.unsqueeze(1)).abs().max().item_double())
                  .isZero();
              Tensor step = torch.zeros_like(first);
              step.view(-1).narrow(0, 6, 1).fill_(new Scalar(1e-6));
              double up =
                  MultiOod.agreeToDisagree(
                          List.of(first.add(step), second, third), labels, distance)
                      .item_double();
              double down =
                  MultiOod.agreeToDisagree(
                          List.of(first.sub(step), second, third), labels, distance)
                      .item_double();
              assertThat((up - down) / 2e-6)
                  .isCloseTo(gradient.view(-1).narrow(0, 6, 1).item_double(), within(1e-6));
            }
          }
        });
  }

  @Test
  void equalPredictionsHaveAGradientOfZeroAndNotNan() {
    Scopes.run(
        () -> {
          Tensor x = Tensors.of(new double[][] {{1, 2, 3}, {90, 0, -90}}).requires_grad_(true);
          Tensor same = x.detach().clone();
          for (Discrepancy distance : Discrepancy.values()) {
            Tensor loss =
                MultiOod.agreeToDisagree(List.of(x, same), Tensors.labels(0, 1), distance);
            assertThat(Gradients.of(loss, x).abs().max().item_double()).isZero();
          }
        });
  }

  @Property(tries = 40)
  void aFullMemoryIsFirstInFirstOutForEachClass(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 12) int rows) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor memory = rng.normal(3, 4, 1);
            Tensor features = rng.normal(rows, 1);
            Tensor labels =
                rng.uniform(ScalarType.Double, rows).mul(new Scalar(3)).floor().to(ScalarType.Long);
            double[][] expected = new double[3][];
            int[] label = Tensors.ints(labels);
            double[] values = Tensors.doubles(features);
            for (int c = 0; c < 3; c++) {
              List<Double> queue = new ArrayList<>();
              for (double each : Tensors.doubles(memory.select(0, c))) {
                queue.add(each);
              }
              for (int i = 0; i < rows; i++) {
                if (label[i] == c) {
                  queue.remove(0);
                  queue.add(values[i]);
                }
              }
              expected[c] = queue.stream().mapToDouble(Double::doubleValue).toArray();
            }
            Tensor after = NpMix.push(memory, features, labels);
            for (int c = 0; c < 3; c++) {
              assertThat(Tensors.doubles(after.select(0, c))).containsExactly(expected[c]);
            }
          }
        });
  }

  @Test
  void classesFillUpAndRowsBeyondAreDroppedUntilAllAreFull() {
    Scopes.run(
        () -> {
          try (NpMix memory = new NpMix(2, 2, 1)) {
            Tensor features = Tensors.of(new float[] {1, 2, 3, 4}, 4, 1);
            memory.add(features, Tensors.labels(0, 0, 0, 1));
            assertThat(memory.fill().counts()).containsExactly(2, 1);
            assertThat(memory.fill().full()).isFalse();
            assertThat(memory.fill().toString()).contains("1 of 2 classes", "class 1: 1");
            assertThat(Tensors.floats(memory.memory())).containsExactly(1, 2, 4, 0);
            memory.add(features, Tensors.labels(0, 1, 1, 1));
            assertThat(Tensors.floats(memory.memory())).containsExactly(1, 2, 4, 2);
            assertThat(memory.fill().full()).isTrue();
            memory.add(features, Tensors.labels(0, 1, 1, 1));
            assertThat(Tensors.floats(memory.memory())).containsExactly(2, 1, 3, 4);
          }
        });
  }

  @Test
  void outliersLieBetweenAClassAndOneOfItsNearest() {
    Scopes.run(
        () -> {
          Tensor prototypes = Tensors.of(new double[][] {{0, 0}, {1, 0}, {0, 0}, {9, 9}});
          // Class 2 has the same prototype as class 0 and is not mistaken for it.
          Tensor nearby = NpMix.neighbours(prototypes, 3);
          assertThat(Tensors.ints(nearby.select(0, 0))).containsExactly(2, 1);
          assertThat(Tensors.ints(nearby.select(0, 2))).containsExactly(0, 1);
          assertThat(Tensors.ints(nearby.select(0, 3))[0]).isEqualTo(1);
          assertThat(NpMix.neighbours(prototypes, 2).shape()).containsExactly(4, 1);
          try (Rng rng = new Rng(3)) {
            Tensor memory = rng.normal(ScalarType.Double, 4, 5, 2);
            Map<Integer, Integer> drawn = new HashMap<>();
            double lambda = 0;
            for (int i = 0; i < 200; i++) {
              NpMix.Draws draws = NpMix.draw(NpMix.neighbours(prototypes, 3), 5, 10, rng);
              drawn.merge(Tensors.ints(draws.neighbour())[0], 1, Integer::sum);
              assertThat(draws.row().min().item_long()).isBetween(0L, 4L);
              assertThat(draws.row().max().item_long()).isBetween(0L, 4L);
              lambda += draws.lambda().mean().item_double() / 200;
              Tensor a = memory.select(0, 1).index_select(0, draws.row().narrow(0, 1, 1));
              Tensor b =
                  memory
                      .index_select(0, draws.neighbour().narrow(0, 1, 1))
                      .squeeze(0)
                      .index_select(0, draws.neighbourRow().narrow(0, 1, 1));
              Tensor share = draws.lambda().narrow(0, 1, 1);
              Tensor expected = b.add(a.sub(b).mul(share));
              assertThat(
                      NpMix.mix(memory, draws)
                          .narrow(0, 1, 1)
                          .allclose(expected, 1e-9, 1e-12, false))
                  .isTrue();
            }
            assertThat(drawn.keySet()).containsExactlyInAnyOrder(1, 2);
            assertThat(drawn.get(1)).isBetween(70, 130);
            assertThat(lambda).isCloseTo(0.5, within(0.02));
          }
        });
  }

  /** Steps until the memory is full, then the gradients of one with outliers and one without. */
  @Test
  void outliersReachTheHeadsOfTheModalitiesAndNothingElse() {
    Settings outliersOnly = new Settings(0, 0.5, 0.5, Discrepancy.HELLINGER, 3, 10, 4, 0, true, 0);
    Settings none = new Settings(0, 0, 0, Discrepancy.HELLINGER, 3, 10, 4, 0, true, 0);
    Scopes.run(
        () -> {
          try (NeuralModel model = model(1);
              TensorDataset rows = rows(16, 2);
              MultiOod with = new MultiOod(outliersOnly);
              MultiOod without = new MultiOod(none)) {
            with.attach(model);
            without.attach(model);
            Map<String, Tensor> plain = gradients(model, without, rows);
            Map<String, Tensor> filling = gradients(model, with, rows);
            assertThat(with.fill().orElseThrow().full()).isTrue();
            Map<String, Tensor> mixed = gradients(model, with, rows);
            plain.forEach(
                (name, gradient) -> {
                  assertThat(filling.get(name).equal(gradient)).as(name).isTrue();
                  assertThat(mixed.get(name).equal(gradient))
                      .as(name)
                      .isEqualTo(!name.startsWith("heads."));
                });
          }
        });
  }

  private static Map<String, Tensor> gradients(
      NeuralModel model, MultiOod objective, TensorDataset rows) {
    try (Rng rng = new Rng(5)) {
      Tensor loss =
          objective.step(model::forward, rows.inputs(), Tensors.labels(rows.labels()), rng).loss();
      List<String> names = List.copyOf(model.parameters().keySet());
      List<Tensor> all = Gradients.of(loss, List.copyOf(model.parameters().values()), false);
      Map<String, Tensor> gradients = new HashMap<>();
      for (int i = 0; i < names.size(); i++) {
        gradients.put(names.get(i), all.get(i));
      }
      return gradients;
    }
  }

  @Test
  void theLossIsTheMeanOfAllHeadsOrOfTheJointOneAlone() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            Tensor labels = Tensors.labels(0, 2, 1);
            Tensor joint = rng.normal(ScalarType.Double, 3, 3);
            List<Tensor> own =
                List.of(rng.normal(ScalarType.Double, 3, 3), rng.normal(ScalarType.Double, 3, 3));
            double all =
                (crossEntropy(joint, labels)
                        + crossEntropy(own.get(0), labels)
                        + crossEntropy(own.get(1), labels))
                    / 3;
            assertThat(loss(joint, own, labels, 0, true, 0)).isCloseTo(all, within(1e-12));
            assertThat(loss(joint, own, labels, 0, false, 0))
                .isCloseTo(crossEntropy(joint, labels), within(1e-12));
            double apart =
                MultiOod.agreeToDisagree(own, labels, Discrepancy.HELLINGER).item_double();
            assertThat(loss(joint, own, labels, 2, true, 0))
                .isCloseTo(all + 2 * apart, within(1e-9));
            assertThat(loss(joint, own, labels, 0, false, 0.04))
                .isCloseTo(LogitNorm.loss(joint, labels, 0.04).item_double(), within(1e-9));
          }
        });
  }

  private static double crossEntropy(Tensor logits, Tensor labels) {
    return torch.cross_entropy_loss(logits, labels).item_double();
  }

  private static double loss(
      Tensor joint, List<Tensor> own, Tensor labels, double ratio, boolean single, double tau) {
    return MultiOod.loss(
            joint,
            own,
            labels,
            List.of(),
            new Settings(ratio, 0, 0, Discrepancy.HELLINGER, 3, 10, 4, 0, single, tau))
        .item_double();
  }

  private static Trainer trainer(NeuralModel model, MultiOod objective, int epochs) {
    objective.attach(model);
    return Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(16).withSeed(3))
        .optimiser(p -> new Adam(p, Adam.Settings.of(0.01)))
        .schedule(Schedule.constant())
        .objective(objective);
  }

  @Test
  void aResumedRunEqualsAStraightOneToTheLastBit(@TempDir Path folder) {
    Path file = folder.resolve("checkpoint");
    // Nine steps an epoch, so that the run stops within an epoch that makes outliers.
    try (NeuralModel straight = model(1);
        NeuralModel first = model(1);
        NeuralModel second = model(9);
        MultiOod a = new MultiOod(QUICK);
        MultiOod b = new MultiOod(QUICK);
        MultiOod c = new MultiOod(QUICK);
        TensorDataset rows = rows(136, 2)) {
      trainer(straight, a, 4).fit(rows);
      trainer(first, b, 2).checkpoint(file, 5).fit(rows);
      trainer(second, c, 4).resume(file).fit(rows);
      assertThat(a.fill().orElseThrow().full()).isTrue();
      straight
          .parameters()
          .forEach((name, p) -> assertThat(second.parameters().get(name).equal(p)).isTrue());
      Scopes.run(
          () -> assertThat(c.state().tensor("memory").equal(a.state().tensor("memory"))).isTrue());
    }
  }

  @Test
  void a2dMakesModalitiesDisagreeMoreAndOutliersChangeTheHeads() {
    double plain = trained(new Settings(0, 0, 0, Discrepancy.HELLINGER, 3, 10, 4, 1, true, 0));
    double a2d = trained(Settings.a2d());
    assertThat(a2d).isGreaterThan(plain + 0.02);
    assertThat(trained(QUICK)).isNotEqualTo(a2d);
  }

  /** The discrepancy without the true class on the rows that a model was trained on. */
  private static double trained(Settings settings) {
    try (NeuralModel model = model(1);
        MultiOod objective = new MultiOod(settings);
        TensorDataset rows = rows(120, 2)) {
      trainer(model, objective, 12).fit(rows);
      return Scopes.scoped(
          () -> {
            Tensor features = model.predict(rows.inputs()).features();
            List<Tensor> own =
                model.as(HasModalities.class).orElseThrow().modalities().stream()
                    .map(part -> part.logits(features))
                    .toList();
            return -MultiOod.agreeToDisagree(
                    own, Tensors.labels(rows.labels()), Discrepancy.HELLINGER)
                .item_double();
          });
    }
  }

  @Test
  void measuringLeavesTheMemoryAsItIs() {
    Scopes.run(
        () -> {
          try (NeuralModel model = model(1);
              TensorDataset rows = rows(16, 2);
              MultiOod objective = new MultiOod(QUICK)) {
            objective.attach(model);
            Tensor labels = Tensors.labels(rows.labels());
            Output output = model.predict(rows.inputs());
            double all = objective.loss(output, labels).item_double();
            assertThat(objective.fill().orElseThrow().counts()).containsOnly(0);
            // Outliers in a batch are left out.
            Tensor more = torch.cat(new TensorVector(rows.inputs(), rows.inputs()), 0);
            Tensor none = torch.full_like(labels, new Scalar(-1));
            assertThat(
                    objective
                        .loss(model.predict(more), torch.cat(new TensorVector(labels, none), 0))
                        .item_double())
                .isCloseTo(all, within(1e-6));
          }
        });
  }

  @Test
  void badInputIsAClearErrorBeforeTheMemoryChanges() {
    assertThatThrownBy(() -> new Settings(-1, 0, 0, Discrepancy.L1, 3, 10, 4, 0, true, 0))
        .hasMessageContaining("a2dRatio");
    assertThatThrownBy(() -> new Settings(1, 1, 1, Discrepancy.L1, 1, 10, 4, 0, true, 0))
        .hasMessageContaining("nnK");
    assertThatThrownBy(() -> new Settings(1, 1, 1, Discrepancy.L1, 3, 0, 4, 0, true, 0))
        .hasMessageContaining("mixupAlpha");
    Scopes.run(
        () -> {
          try (NeuralModel model = model(1);
              NeuralModel two = NeuralModel.create("multimodal", Map.of(), new long[] {4}, 2, 1);
              NeuralModel three = NeuralModel.create("multimodal", Map.of(), new long[] {4}, 3, 1);
              NeuralModel single = NeuralModel.create("mlp", Map.of(), new long[] {4}, 3, 1);
              TensorDataset rows = rows(8, 2);
              Rng rng = new Rng(1);
              MultiOod objective = new MultiOod(QUICK);
              MultiOod many =
                  new MultiOod(
                      new Settings(1, 1, 1, Discrepancy.HELLINGER, 4, 10, 4, 0, true, 0))) {
            Tensor labels = Tensors.labels(rows.labels());
            assertThatThrownBy(() -> objective.loss(model.predict(rows.inputs()), labels))
                .hasMessageContaining("call attach");
            assertThatThrownBy(() -> objective.attach(two)).hasMessageContaining("three");
            assertThatThrownBy(() -> objective.attach(single)).hasMessageContaining("multimodal");
            assertThatThrownBy(() -> many.attach(three)).hasMessageContaining("nnK = 4");
            objective.attach(model);
            assertThatThrownBy(() -> objective.attach(three)).hasMessageContaining("C = 3");
            Tensor broken = rows.inputs().clone();
            broken.narrow(0, 2, 1).narrow(1, 2, 3).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(() -> objective.step(model::forward, broken, labels, rng))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("'right'")
                .hasMessageContaining("1 of 8 rows");
            assertThatThrownBy(
                    () ->
                        objective.step(model::forward, rows.inputs(), labels.narrow(0, 0, 7), rng))
                .hasMessageContaining("[7]");
            assertThatThrownBy(
                    () ->
                        objective.step(
                            model::forward,
                            rows.inputs(),
                            torch.full_like(labels, new Scalar(-1)),
                            rng))
                .hasMessageContaining("below 0");
            assertThatThrownBy(
                    () ->
                        objective.step(
                            model::forward,
                            rows.inputs(),
                            torch.full_like(labels, new Scalar(4)),
                            rng))
                .hasMessageContaining("classes are 0 to 3");
            assertThat(objective.fill().orElseThrow().counts()).containsOnly(0);
          }
        });
  }

  @Test
  void aDamagedStateIsRefusedAndChangesNothing() {
    Scopes.run(
        () -> {
          try (NeuralModel model = model(1);
              TensorDataset rows = rows(16, 2);
              MultiOod objective = new MultiOod(QUICK);
              MultiOod other = new MultiOod(QUICK)) {
            objective.attach(model);
            gradients(model, objective, rows);
            State good = objective.state();
            assertThatThrownBy(() -> other.restore(good)).hasMessageContaining("attach");
            other.attach(model);
            State wrong =
                new State(
                    good.type(),
                    1,
                    good.values(),
                    Map.of("memory", good.tensor("memory"), "count", Tensors.labels(9, 0, 0, 0)));
            assertThatThrownBy(() -> other.restore(wrong)).hasMessageContaining("damaged");
            State narrow =
                new State(
                    good.type(),
                    1,
                    good.values(),
                    Map.of(
                        "memory",
                        good.tensor("memory").narrow(2, 0, 3),
                        "count",
                        good.tensor("count")));
            assertThatThrownBy(() -> other.restore(narrow)).isInstanceOf(OutriggerException.class);
            assertThat(other.fill().orElseThrow().counts()).containsOnly(0);
            other.restore(good);
            assertThat(other.fill().orElseThrow().full()).isTrue();
            assertThat(other.state().tensor("memory").equal(good.tensor("memory"))).isTrue();
          }
        });
  }

  @Test
  void theDiscrepancyOfAModelIsThatOfItsHeads() {
    Scopes.run(
        () -> {
          try (NeuralModel model = model(1);
              TensorDataset rows = rows(12, 2)) {
            for (Discrepancy distance :
                List.of(Discrepancy.HELLINGER, Discrepancy.L1, Discrepancy.MSE)) {
              ModalityDiscrepancy detector =
                  new ModalityDiscrepancy(new ModalityDiscrepancy.Settings(distance));
              Output output = model.predict(rows.inputs(), detector.maps(model));
              List<Modality> parts = model.as(HasModalities.class).orElseThrow().modalities();
              Tensor expected =
                  distance.rows(
                      torch.softmax(parts.get(0).logits(output.features()), 1),
                      torch.softmax(parts.get(1).logits(output.features()), 1));
              assertThat(detector.score(output).allclose(expected, 1e-5, 1e-7, false)).isTrue();
              ModalityDiscrepancy restored = new ModalityDiscrepancy();
              restored.restore(detector.state());
              assertThat(restored.settings()).isEqualTo(detector.settings());
              assertThat(restored.score(output).equal(detector.score(output))).isTrue();
            }
            ModalityDiscrepancy detector = new ModalityDiscrepancy();
            assertThatThrownBy(() -> detector.score(model.predict(rows.inputs())))
                .hasMessageContaining("maps(model)");
            Output output = model.predict(rows.inputs(), detector.maps(model));
            Output one =
                new Output(
                    output.logits(),
                    null,
                    Map.of("heads", output.maps().get("heads").narrow(1, 0, 4)));
            assertThatThrownBy(() -> detector.score(one)).hasMessageContaining("two or more");
            Tensor broken = output.maps().get("heads").clone();
            broken.select(0, 3).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(
                    () ->
                        detector.score(new Output(output.logits(), null, Map.of("heads", broken))))
                .hasMessageContaining("1 of 12 rows");
          }
        });
    assertThatThrownBy(() -> new ModalityDiscrepancy.Settings(Discrepancy.WASSERSTEIN))
        .hasMessageContaining("HELLINGER");
  }
}
