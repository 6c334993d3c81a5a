package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class RankEnsembleTest {
  @Property(tries = 20)
  void ranksSurviveRisingTransformsOfAMembersScores(
      @ForAll long seed, @ForAll @DoubleRange(min = 0.01, max = 5) double scale) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            // Rounded, so that there are ties.
            Tensor known = rng.normal(ScalarType.Double, 50).mul(new Scalar(4.0)).round();
            Tensor tested = rng.normal(ScalarType.Double, 20).mul(new Scalar(4.0)).round();
            double[] plain = Tensors.doubles(RankEnsemble.ranks(tested, known.sort().get0()));
            Tensor bent = known.mul(new Scalar(scale)).exp();
            double[] again =
                Tensors.doubles(
                    RankEnsemble.ranks(tested.mul(new Scalar(scale)).exp(), bent.sort().get0()));
            assertThat(again).containsExactly(plain);
          }
        });
  }

  @Test
  void ranksCountTiesHalf() {
    Scopes.run(
        () -> {
          Tensor sorted = Tensors.of(new double[] {1, 2, 2, 3}, 4);
          Tensor x = Tensors.of(new double[] {0, 1, 2, 2.5, 9}, 5);
          assertThat(Tensors.doubles(RankEnsemble.ranks(x, sorted)))
              .containsExactly(0, 0.125, 0.5, 0.75, 1);
        });
  }

  @Test
  void theScoreIsTheMeanOrTheLargestRankOfItsMembers() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(1, 3, 6);
          Outputs known = blobs.known(blobs.near(90));
          Output tested = blobs.output(blobs.near(30));
          try (RankEnsemble mean =
                  new RankEnsemble(
                      new RankEnsemble.Settings("energy/temperature=2+knn/k=5", "mean"));
              RankEnsemble max =
                  new RankEnsemble(
                      new RankEnsemble.Settings("energy/temperature=2+knn/k=5", "max"));
              Knn knn = new Knn(5)) {
            mean.fit(known);
            max.fit(known);
            knn.fit(known);
            Energy energy = new Energy(new Energy.Settings(2));
            Output all = blobs.output(known.features());
            Tensor a =
                RankEnsemble.ranks(energy.score(tested), exact(energy.score(all)).sort().get0());
            Tensor b = RankEnsemble.ranks(knn.score(tested), exact(knn.score(all)).sort().get0());
            assertThat(mean.score(tested).allclose(a.add(b).mul(new Scalar(0.5)))).isTrue();
            assertThat(max.score(tested).equal(a.maximum(b))).isTrue();
          }
        });
  }

  private static Tensor exact(Tensor scores) {
    return scores.to(ScalarType.Double);
  }

  @Test
  void aSavedEnsembleScoresTheSameToTheLastBitAndAFailedFitChangesNothing(@TempDir Path folder) {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 3, 6);
          Outputs known = blobs.known(blobs.near(90));
          Output tested = blobs.output(blobs.near(30));
          try (RankEnsemble saved =
                  RankEnsemble.of(
                      List.of(new Msp(), new Mahalanobis(), new Knn(3), new KlMatching()), "max");
              RankEnsemble restored = new RankEnsemble()) {
            assertThatThrownBy(() -> saved.score(tested)).hasMessageContaining("not been fitted");
            saved.fit(known);
            double[] scores = Tensors.doubles(saved.score(tested));
            Path file = folder.resolve("ensemble.safetensors");
            StateFiles.write(file, saved.state());
            restored.restore(StateFiles.read(file));
            assertThat(Tensors.doubles(restored.score(tested))).containsExactly(scores);
            assertThat(restored.members()).hasSize(4);
            Tensor outliers = blobs.labels(30).sub(new Scalar(9));
            assertThatThrownBy(() -> saved.fit(Outputs.of(tested, outliers, blobs.head)))
                .hasMessageContaining("below 0");
            assertThat(Tensors.doubles(saved.score(tested))).containsExactly(scores);
          }
        });
  }

  @Test
  void membersThatNeedTheModelAndInnerLayersAreServed() {
    Scopes.run(
        () -> {
          try (NeuralModel model =
                  NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 2, 5);
              Rng rng = new Rng(4);
              RankEnsemble ensemble =
                  RankEnsemble.of(
                      List.of(new Odin(), new Gram(new Gram.Settings(List.of("conv1"), 2, 0))),
                      "mean")) {
            Tensor inputs = rng.normal(20, 1, 8, 8);
            Tensor labels =
                Tensors.labels(
                    new int[] {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, -1});
            assertThat(ensemble.maps(model)).containsExactly("conv1");
            Output output = model.predict(inputs, ensemble.maps(model));
            Outputs outputs = Outputs.of(output, labels, model.head());
            assertThatThrownBy(() -> ensemble.fit(outputs)).hasMessageContaining("ODIN");
            Dataset data = TensorDataset.of(inputs, labels);
            ensemble.fit(model, data, outputs);
            double[] scores = Tensors.doubles(ensemble.score(model, inputs, output));
            assertThat(scores).hasSize(20);
            assertThat(List.of(scores[0], scores[1])).allMatch(s -> s >= 0 && s <= 1);
            // Ranks of the fitted rows themselves average one half.
            double mean = 0;
            for (int i = 0; i < 19; i++) {
              mean += scores[i] / 19;
            }
            assertThat(mean).isCloseTo(0.5, within(1e-6));
          }
        });
  }

  @Test
  void badSettingsNameWhatIsWrong() {
    assertThatThrownBy(() -> new RankEnsemble.Settings("", "mean")).hasMessageContaining("members");
    assertThatThrownBy(() -> new RankEnsemble.Settings("msp", "sum"))
        .hasMessageContaining("combine");
    assertThatThrownBy(() -> new RankEnsemble(new RankEnsemble.Settings("msp+enrgy", "mean")))
        .hasMessageContaining("energy");
    assertThatThrownBy(() -> new RankEnsemble(new RankEnsemble.Settings("rank-ensemble", "mean")))
        .hasMessageContaining("other detectors");
  }
}
