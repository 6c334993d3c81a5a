package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.Quantiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Adaptation.Outcome;

class MolTest {
  static Mol.Settings settings(Object... changes) {
    Map<String, Object> map = new LinkedHashMap<>(Map.of("support", 2, "query", 3, "outliers", 4));
    for (int i = 0; i < changes.length; i += 2) {
      map.put((String) changes[i], changes[i + 1]);
    }
    try (Mol mol = Methods.create(Mol.class, "mol", map)) {
      return mol.settings();
    }
  }

  // -- three blobs on a circle that turns, outliers in the middle

  private static Tensor turn(Tensor x, double degrees) {
    double a = Math.toRadians(degrees);
    double[] matrix = {Math.cos(a), Math.sin(a), -Math.sin(a), Math.cos(a)};
    return x.mm(Tensors.of(matrix, 2, 2).to(x.scalar_type()));
  }

  private static Shift by(double degrees) {
    return Shift.of("turned by " + degrees, x -> turn(x, degrees));
  }

  static final List<Shift> TRAINING = IntStream.range(0, 9).mapToObj(i -> by(15 * i)).toList();

  static TensorDataset blobs(int rows, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            int[] labels = IntStream.range(0, rows).map(i -> i % 3).toArray();
            List<Tensor> inputs = new ArrayList<>();
            Tensor east = Tensors.of(new float[] {3, 0}, 1, 2);
            for (int label : labels) {
              inputs.add(turn(east, 120 * label));
            }
            Tensor centres = torch.cat(new TensorVector(inputs.toArray(new Tensor[0])), 0);
            return TensorDataset.of(
                centres.add(rng.normal(rows, 2), new Scalar(0.4)), Tensors.labels(labels));
          }
        });
  }

  static TensorDataset middle(int rows, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed)) {
            return TensorDataset.of(rng.normal(rows, 2).mul(new Scalar(0.4)), null);
          }
        });
  }

  static NeuralModel mlp(long seed) {
    return NeuralModel.create("mlp", Map.of("hidden", "16"), new long[] {2}, 3, seed);
  }

  private static NeuralModel normed(long seed) {
    try (Rng rng = new Rng(seed)) {
      Map<String, Layer> layers = new LinkedHashMap<>();
      layers.put("fc", new Linear(2, 8, rng));
      layers.put("bn", new BatchNorm1d(8));
      layers.put("act", Activation.relu());
      layers.put("head", new Linear(8, 3, rng));
      return NeuralModel.of("normed", new Sequential(layers), "head", new long[] {2}, List.of());
    }
  }

  private static Mol trained(NeuralModel model, Mol.Settings settings, int iterations) {
    Mol mol = new Mol(settings);
    mol.attach(model);
    train(mol, iterations);
    return mol;
  }

  private static Mol.Progress train(Mol mol, int iterations) {
    try (TensorDataset known = blobs(60, 1);
        TensorDataset outliers = middle(20, 2)) {
      return mol.train(mol.tasks(known, outliers, TRAINING), iterations, step -> {});
    }
  }

  private static Batch support(Shift shift, long seed) {
    try (TensorDataset rows = blobs(9, seed)) {
      return shift.of(rows).read(IntStream.range(0, 9).toArray());
    }
  }

  static float[] weights(Mol mol, String which) {
    return Tensors.floats(mol.state().tensor(which + "/head.weight"));
  }

  @Test
  void aMetaTrainedNetworkFollowsAShiftThatAnUnadaptedOneDoesNot() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol mol = trained(model, settings("outerRate", 0.01), 250);
              TensorDataset test = blobs(300, 8);
              TensorDataset strange = middle(200, 9)) {
            Shift shift = by(170);
            Tensor known = shift.of(test).read(IntStream.range(0, 300).toArray()).inputs();
            Tensor labels = Tensors.labels(test.labels());
            double before = Accuracy.of(mol.predict(known).logits(), labels);
            Adaptation adaptation = mol.adapt(support(shift, 7));
            double after = Accuracy.of(mol.predict(known).logits(), labels);
            assertThat(after).isGreaterThan(0.9).isGreaterThan(before + 0.2);
            assertThat(adaptation.lossAfter()).isLessThan(adaptation.lossBefore());
            double familiar = mol.score(known).mean().item_double();
            assertThat(mol.score(strange.inputs()).mean().item_double())
                .isGreaterThan(familiar + 0.3);
            // The model itself is what it was, and the adapted one predicts the same on its own.
            assertThat(Accuracy.of(model.predict(known).logits(), labels)).isLessThan(0.9);
            try (NeuralModel adapted = mol.model()) {
              assertThat(Tensors.floats(adapted.predict(known).logits()))
                  .isEqualTo(Tensors.floats(mol.predict(known).logits()));
            }
          }
        });
  }

  @Test
  void theSameSeedLearnsTheSameAndAnotherOneDoesNot() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol one = trained(model, settings("seed", 4), 5);
              Mol same = trained(model, settings("seed", 4), 5);
              Mol other = trained(model, settings("seed", 5), 5)) {
            assertThat(weights(one, "initial")).isEqualTo(weights(same, "initial"));
            assertThat(weights(one, "initial")).isNotEqualTo(weights(other, "initial"));
          }
        });
  }

  @Test
  void aSavedOneContinuesToTheLastBitInTrainingAndInAdapting(@TempDir Path folder) {
    Scopes.run(
        () -> {
          Path file = folder.resolve("mol.safetensors");
          try (NeuralModel model = normed(5);
              NeuralModel fresh = normed(6);
              Mol whole = trained(model, settings("chain", 2), 6);
              Mol half = trained(model, settings("chain", 2), 3);
              Mol resumed = new Mol()) {
            StateFiles.write(file, half.state());
            resumed.restore(StateFiles.read(file));
            resumed.attach(fresh);
            assertThat(resumed.settings()).isEqualTo(half.settings());
            train(resumed, 3);
            assertThat(resumed.iteration()).isEqualTo(6);
            assertThat(weights(resumed, "initial")).isEqualTo(weights(whole, "initial"));

            resumed.adapt(support(by(20), 3));
            whole.adapt(support(by(20), 3));
            try (Mol copy = resumed.copy()) {
              StateFiles.write(file, resumed.state());
              half.restore(StateFiles.read(file));
              Batch next = support(by(40), 4);
              Adaptation expected = whole.adapt(next);
              assertThat(half.adapt(next)).isEqualTo(expected);
              assertThat(copy.adapt(next)).isEqualTo(expected);
              assertThat(half.adaptations()).isEqualTo(2);
              Tensor some = next.inputs();
              float[] logits = Tensors.floats(whole.predict(some).logits());
              assertThat(Tensors.floats(half.predict(some).logits())).isEqualTo(logits);
              assertThat(Tensors.floats(copy.predict(some).logits())).isEqualTo(logits);
              // The one that was copied has not moved.
              assertThat(resumed.adaptations()).isEqualTo(1);
            }
          }
        });
  }

  @Test
  void resetGoesBackAndTheModeThatAlwaysStartsAnewForgetsWhatWasBefore() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol mol = trained(model, settings("mode", "RESET"), 5)) {
            float[] initial = weights(mol, "initial");
            Batch rows = support(by(30), 3);
            Adaptation first = mol.adapt(rows);
            float[] adapted = weights(mol, "current");
            assertThat(first.outcome()).isEqualTo(Outcome.RESET);
            mol.adapt(support(by(90), 4));
            assertThat(weights(mol, "current")).isNotEqualTo(adapted);
            assertThat(mol.adapt(rows)).isEqualTo(first);
            assertThat(weights(mol, "current")).isEqualTo(adapted);
            assertThat(mol.threshold()).isEqualTo(first.threshold());
            mol.reset();
            assertThat(weights(mol, "current")).isEqualTo(initial).isNotEqualTo(adapted);
            assertThat(mol.threshold()).isNaN();
          }
        });
  }

  @Test
  void continuingStartsAnewWhereThatGetsALowerLoss() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol mol = trained(model, settings("innerSteps", 1, "innerRate", 0.05), 0)) {
            Batch rows = support(by(0), 3);
            Batch misleading =
                new Batch(
                    rows.inputs(),
                    Tensors.labels(1, 2, 0, 1, 2, 0, 1, 2, 0),
                    rows.ids(),
                    List.of());
            assertThat(mol.adapt(rows).outcome()).isEqualTo(Outcome.CONTINUED);
            double once = mol.threshold();
            Adaptation again = mol.adapt(rows);
            assertThat(again.outcome()).isEqualTo(Outcome.CONTINUED);
            // Half of the threshold stays, half is new.
            try (Mol copy = mol.copy()) {
              double[] energies = Tensors.doubles(copy.score(rows.inputs()));
              double own = Quantiles.of(energies, 0.95);
              assertThat(again.threshold()).isCloseTo((once + own) / 2, within(1e-6));
            }
            for (int i = 0; i < 60; i++) {
              mol.adapt(rows);
            }
            assertThat(mol.adapt(misleading).outcome()).isEqualTo(Outcome.RESET);
          }
        });
  }

  @Test
  void stepsThatDivergeAreTakenBackAndReported() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol mol = new Mol(settings("innerRate", 1e6))) {
            mol.attach(model);
            float[] before = weights(mol, "current");
            Adaptation adaptation = mol.adapt(support(by(0), 3));
            assertThat(adaptation.outcome()).isEqualTo(Outcome.REVERTED);
            assertThat(adaptation.lossAfter()).isInfinite();
            assertThat(weights(mol, "current")).isEqualTo(before);
            assertThat(mol.adaptations()).isZero();
            assertThatThrownBy(() -> train(mol, 3))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("all 6 episodes diverged")
                .hasMessageContaining("innerRate");
            assertThat(weights(mol, "initial")).isEqualTo(before);
          }
        });
  }

  @Test
  void batchNormTakesTheStatisticsOfTheLastSupportSetAndNoAverage() {
    Scopes.run(
        () -> {
          try (NeuralModel model = normed(5);
              Mol mol = trained(model, settings(), 3)) {
            assertThat(Tensors.floats(model.root().get("bn").tensor("running_mean")))
                .containsOnly(0);
            Batch rows = support(by(50), 3);
            mol.adapt(rows);
            try (NeuralModel adapted = mol.model()) {
              Tensor before = adapted.predict(rows.inputs(), List.of("fc")).maps().get("fc");
              Layer norm = adapted.root().get("bn");
              assertThat(Tensors.floats(norm.tensor("running_mean")))
                  .containsExactly(Tensors.floats(before.mean(0)), within(1e-5f));
              assertThat(Tensors.floats(norm.tensor("running_var")))
                  .containsExactly(
                      Tensors.floats(before.var(new long[] {0}, true, false)), within(1e-4f));
              // So a row is scored by itself.
              Tensor one = mol.score(rows.inputs().narrow(0, 2, 1));
              assertThat(one.item_double())
                  .isCloseTo(mol.score(rows.inputs()).select(0, 2).item_double(), within(1e-5));
            }
          }
        });
  }

  @Test
  void frozenParametersStayAsTheyAre() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5)) {
            model.root().freeze("fc1");
            float[] frozen = Tensors.floats(model.root().get("fc1").tensor("weight"));
            try (Mol mol = trained(model, settings(), 3)) {
              mol.adapt(support(by(0), 3));
              assertThat(mol.state().tensors()).doesNotContainKey("current/fc1.weight");
              try (NeuralModel adapted = mol.model()) {
                assertThat(Tensors.floats(adapted.root().get("fc1").tensor("weight")))
                    .isEqualTo(frozen);
              }
            }
            model.root().freeze("head");
            assertThatThrownBy(() -> new Mol().attach(model))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("no trainable parameter");
          }
        });
  }

  @Test
  void loopsKeepNoMemory() {
    Scopes.run(
        () -> {
          try (NeuralModel model = normed(5);
              TensorDataset known = blobs(60, 1);
              TensorDataset outliers = middle(20, 2);
              Mol mol = trained(model, settings(), 5)) {
            MetaTasks tasks = mol.tasks(known, outliers, TRAINING);
            Batch rows = support(by(30), 3);
            mol.adapt(rows);
            Scopes.run(() -> mol.score(rows.inputs()));
            long before = Pointer.totalCount();
            mol.train(tasks, 40, step -> {});
            for (int i = 0; i < 40; i++) {
              mol.adapt(rows);
              Scopes.run(() -> mol.score(rows.inputs()));
            }
            assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before + 8);
          }
        });
  }

  @Test
  void supportSetsThatDoNotFitAreRefusedBeforeAnythingChanges() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              Mol mol = trained(model, settings(), 2)) {
            float[] before = weights(mol, "current");
            Tensor rows = support(by(0), 3).inputs().narrow(0, 0, 3);
            refused(mol, rows, Tensors.labels(0, 1, 1), "class 2", "every class");
            refused(mol, rows, Tensors.labels(0, 1, 3), "0 to 2");
            refused(mol, rows, Tensors.labels(0, 1, -1), "0 to 2");
            refused(mol, rows, Tensors.labels(0, 1), "[2]");
            refused(mol, rows.narrow(0, 0, 0), Tensors.labels(), "is empty");
            refused(mol, rows.narrow(1, 0, 1), Tensors.labels(0, 1, 2), "takes inputs of shape");
            refused(mol, rows.mul(new Scalar(Double.NaN)), Tensors.labels(0, 1, 2), "NaN");
            refused(mol, rows, Tensors.labels(0, 1, 2).to(ScalarType.Float), "int64");
            assertThat(weights(mol, "current")).isEqualTo(before);
            assertThat(mol.adaptations()).isZero();
            assertThatThrownBy(() -> mol.adapt(new Batch(rows, null, List.of(), List.of())))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("no labels");
            assertThatThrownBy(() -> new Mol().adapt(rows, Tensors.labels(0, 1, 2)))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("attach");
          }
        });
  }

  private static void refused(Mol mol, Tensor rows, Tensor labels, String... words) {
    assertThatThrownBy(() -> mol.adapt(rows, labels))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContainingAll(words);
  }

  @Test
  void aDamagedStateIsRefusedAndNothingChanges() {
    Scopes.run(
        () -> {
          try (NeuralModel model = mlp(5);
              NeuralModel wide =
                  NeuralModel.create("mlp", Map.of("hidden", "17"), new long[] {2}, 3, 1);
              Mol mol = trained(model, settings(), 2);
              Mol other = new Mol(settings("seed", 9))) {
            State good = mol.state();
            other.attach(wide);
            float[] before = weights(other, "initial");
            assertThatThrownBy(() -> other.restore(good))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("do not fit the model");
            for (String lost : List.of("current/head.weight", "initial/head.weight")) {
              Map<String, Tensor> less = new LinkedHashMap<>(good.tensors());
              less.remove(lost);
              damaged(mol, new State(good.type(), 1, good.values(), less));
            }
            Map<String, Tensor> notFinite = new LinkedHashMap<>(good.tensors());
            notFinite.put("current/head.bias", torch.full(new long[] {3}, new Scalar(Double.NaN)));
            damaged(mol, new State(good.type(), 1, good.values(), notFinite));
            Map<String, Object> negative = new LinkedHashMap<>(good.values());
            negative.put("iteration", -1);
            damaged(mol, new State(good.type(), 1, negative, good.tensors()));
            Map<String, Object> forgetful = new LinkedHashMap<>(good.values());
            forgetful.remove("outer");
            damaged(mol, new State(good.type(), 1, forgetful, good.tensors()));
            damaged(mol, new State("detector/energy", 1, good.values(), good.tensors()));
            assertThat(weights(other, "initial")).isEqualTo(before);
            assertThat(other.settings().seed()).isEqualTo(9);
          }
        });
  }

  private static void damaged(Mol mol, State state) {
    float[] before = weights(mol, "current");
    assertThatThrownBy(() -> mol.restore(state)).isInstanceOf(OutriggerException.class);
    assertThat(weights(mol, "current")).isEqualTo(before);
    assertThat(mol.iteration()).isEqualTo(2);
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    for (Object[] bad :
        new Object[][] {
          {"innerRate", 0}, {"innerSteps", -1}, {"tasks", 0}, {"chain", 0}, {"support", 0},
          {"query", 0}, {"outliers", 0}, {"lambda", -1}, {"outerRate", 0}, {"iterations", -1},
          {"accept", 1}, {"blend", 1},
        }) {
      assertThatThrownBy(() -> settings(bad))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining((String) bad[0]);
    }
  }
}
