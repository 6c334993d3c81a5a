package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** The rule that chooses a detector, and the unknown inputs that it is chosen on. */
class AutoSelectTest {
  @Property(tries = 20)
  void shuffledImagesKeepTheirPixelsAndPermutedTablesTheirColumns(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor images = rng.normal(4, 3, 5, 2);
            Tensor shuffled = GeneratedUnknowns.SHUFFLED_PIXELS.make(images, seed);
            assertThat(shuffled.flatten(2, -1).sort(-1, false).get0())
                .satisfies(
                    s ->
                        assertThat(s.equal(images.flatten(2, -1).sort(-1, false).get0())).isTrue());
            assertThat(shuffled.equal(images)).isFalse();
            // Channels move together: the pixel vectors are the same set.
            assertThat(
                    shuffled
                        .sum(1)
                        .flatten(1, -1)
                        .sort(-1, false)
                        .get0()
                        .allclose(
                            images.sum(1).flatten(1, -1).sort(-1, false).get0(), 1e-5, 1e-5, false))
                .isTrue();
            Tensor table = rng.normal(30, 4);
            Tensor permuted = GeneratedUnknowns.PERMUTED_COLUMNS.make(table, seed);
            assertThat(permuted.sort(0, false).get0().equal(table.sort(0, false).get0())).isTrue();
            assertThat(permuted.equal(table)).isFalse();
          }
        });
  }

  @Property(tries = 20)
  void shuffledCellsKeepWhatIsInsideACell(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor images = rng.normal(3, 2, 10, 13);
            Tensor made = GeneratedUnknowns.SHUFFLED_CELLS.make(images, seed);
            assertThat(sortedCells(made)).isDeepEqualTo(sortedCells(images));
            assertThat(made.equal(images)).isFalse();
            // 10 x 13 pixels hold 4 x 4 cells of 2 x 3; what is beyond them stays.
            assertThat(made.narrow(2, 8, 2).equal(images.narrow(2, 8, 2))).isTrue();
            assertThat(made.narrow(3, 12, 1).equal(images.narrow(3, 12, 1))).isTrue();
          }
        });
  }

  /** For each image the cells' first channel by their first pixel, read pixel by pixel. */
  private static float[][] sortedCells(Tensor images) {
    float[] flat = Tensors.floats(images.contiguous());
    float[][] sorted = new float[3][];
    for (int n = 0; n < 3; n++) {
      float[][] cells = new float[16][12];
      for (int i = 0; i < 16 * 12; i++) {
        int channel = i % 12 / 6;
        int y = 2 * (i / 12 / 4) + i % 6 / 3;
        int x = 3 * (i / 12 % 4) + i % 3;
        cells[i / 12][i % 12] = flat[((n * 2 + channel) * 10 + y) * 13 + x];
      }
      Arrays.sort(cells, (a, b) -> Float.compare(a[0], b[0]));
      sorted[n] = new float[16 * 12];
      for (int c = 0; c < 16; c++) {
        System.arraycopy(cells[c], 0, sorted[n], 12 * c, 12);
      }
    }
    return sorted;
  }

  @Test
  void noiseMatchesMeanAndDeviationOfEachChannelAndBlendsMixTwoRows() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor images =
                rng.normal(50, 2, 8, 8)
                    .mul(Tensors.of(new float[] {1, 5}, 1, 2, 1, 1))
                    .add(Tensors.of(new float[] {-3, 7}, 1, 2, 1, 1));
            for (GeneratedUnknowns kind :
                List.of(GeneratedUnknowns.GAUSSIAN_NOISE, GeneratedUnknowns.UNIFORM_NOISE)) {
              Tensor noise = kind.make(images, 1);
              double[] mean = Tensors.doubles(noise.mean(0, 2, 3));
              double[] std = Tensors.doubles(noise.transpose(0, 1).flatten(1, -1).std(1));
              assertThat(mean[0]).isCloseTo(-3, within(0.1));
              assertThat(mean[1]).isCloseTo(7, within(0.5));
              assertThat(std[0]).isCloseTo(1, within(0.05));
              assertThat(std[1]).isCloseTo(5, within(0.25));
            }
            Tensor rows = Tensors.of(new float[] {1, 2, 4}, 3, 1);
            float[] blends = Tensors.floats(GeneratedUnknowns.BLENDS.make(rows, 5));
            Arrays.sort(blends);
            assertThat(blends).containsExactly(1.5f, 2.5f, 3f);
          }
        });
  }

  @Test
  void sameSeedSameInputsAndOtherShapesAreErrors() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor images = rng.normal(3, 1, 4, 4);
            Map<String, Tensor> once = GeneratedUnknowns.all(images, 9);
            assertThat(once)
                .containsOnlyKeys("shuffled-pixels", "gaussian-noise", "uniform-noise", "blends");
            GeneratedUnknowns.all(images, 9)
                .forEach((kind, made) -> assertThat(made.equal(once.get(kind))).isTrue());
            assertThat(
                    GeneratedUnknowns.BLENDS.make(images, 10).equal(once.get("blends"))
                        && GeneratedUnknowns.GAUSSIAN_NOISE
                            .make(images, 10)
                            .equal(once.get("gaussian-noise")))
                .isFalse();
            assertThatThrownBy(() -> GeneratedUnknowns.all(rng.normal(3), 0))
                .hasMessageContaining("[N, C, H, W] or rows [N, D]");
            assertThat(GeneratedUnknowns.kinds(rng.normal(3, 1, 8, 8)))
                .contains(GeneratedUnknowns.SHUFFLED_CELLS);
            assertThatThrownBy(() -> GeneratedUnknowns.SHUFFLED_CELLS.make(images, 0))
                .hasMessageContaining("does not fit");
            assertThatThrownBy(() -> GeneratedUnknowns.BLENDS.make(rng.normal(1, 4), 0))
                .hasMessageContaining("at least two");
            assertThatThrownBy(() -> GeneratedUnknowns.PERMUTED_COLUMNS.make(images, 0))
                .hasMessageContaining("does not fit");
          }
        });
  }

  @Test
  void theSimplestWithinTheMarginWins() {
    double nan = Double.NaN;
    assertThat(AutoSelect.pick(new double[] {0.80, 0.90, 0.905}, 0.01)).isEqualTo(1);
    assertThat(AutoSelect.pick(new double[] {0.80, 0.90, 0.92}, 0.01)).isEqualTo(2);
    assertThat(AutoSelect.pick(new double[] {0.80, 0.90, 0.92}, 0.2)).isZero();
    assertThat(AutoSelect.pick(new double[] {nan, 0.7, 0.3}, 0)).isEqualTo(1);
    assertThatThrownBy(() -> AutoSelect.pick(new double[] {nan, nan}, 0.1))
        .hasMessageContaining("left out");
    assertThatThrownBy(() -> new AutoSelect.Settings(2, 0)).hasMessageContaining("margin");
  }

  @Test
  void featuresThatLogitsDoNotShowCallForADistance() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(6, 3, 8);
          Tensor held = blobs.near(60);
          // The made rows have the logits of known ones: only features tell them apart.
          Tensor logits = blobs.output(blobs.near(60)).logits();
          Outputs unknown =
              Outputs.of(new Output(logits, held.add(new Scalar(50.0))), null, blobs.head);
          AutoSelect.Choice choice =
              AutoSelect.select(
                  List.of(new Msp(), new Knn(1000), new Mahalanobis()),
                  blobs.known(blobs.near(90)),
                  blobs.known(held),
                  Map.of("shifted", unknown),
                  0.05);
          try (Detector chosen = choice.detector()) {
            assertThat(chosen.card().slug()).isEqualTo("mahalanobis");
            assertThat(chosen.fitted()).isTrue();
            assertThat(choice.table()).hasSize(3);
            assertThat(choice.table().get(0).mean()).isBetween(0.3, 0.7);
            assertThat(choice.table().get(1).leftOut()).isPresent();
            assertThat(choice.table().get(2).auroc()).containsEntry("shifted", 1.0);
          }
        });
  }

  @Test
  void aModelIsServedFromInputsAndTheChoiceIsTheSameForTheSameSeed() {
    Scopes.run(
        () -> {
          try (NeuralModel model = NeuralModel.create("mlp", Map.of(), new long[] {6}, 3, 5);
              Rng rng = new Rng(4)) {
            Tensor inputs = rng.normal(90, 6);
            Output output = model.predict(inputs);
            Outputs fit = Outputs.of(output, Classes.predicted(output.logits()), model.head());
            Tensor held = rng.normal(30, 6);
            AutoSelect.Settings settings = AutoSelect.Settings.defaults();
            AutoSelect.Choice one =
                AutoSelect.select(model, AutoSelect.candidates(), fit, held, settings);
            AutoSelect.Choice two =
                AutoSelect.select(model, AutoSelect.candidates(), fit, held, settings);
            try (Detector a = one.detector();
                Detector b = two.detector()) {
              assertThat(a.card().slug()).isEqualTo(b.card().slug());
              assertThat(one.table()).isEqualTo(two.table());
              assertThat(one.table().get(0).auroc())
                  .containsOnlyKeys(
                      "permuted-columns", "gaussian-noise", "uniform-noise", "blends");
            }
          }
        });
  }

  @Test
  void withoutAnyCandidateTheReasonsAreGiven() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(6, 3, 8);
          Outputs known = blobs.known(blobs.near(20));
          assertThatThrownBy(
                  () ->
                      AutoSelect.select(
                          List.of(new Knn(1000)), known, known, Map.of("same", known), 0.05))
              .hasMessageContaining("every candidate was left out")
              .hasMessageContaining("knn");
          assertThatThrownBy(
                  () -> AutoSelect.select(List.of(new Msp()), known, known, Map.of(), 0.05))
              .hasMessageContaining("at least one kind");
        });
  }
}
