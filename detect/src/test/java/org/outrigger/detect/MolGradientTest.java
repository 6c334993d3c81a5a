package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.MolGradient.Episode;
import org.outrigger.detect.MolGradient.Network;

/** The mathematics of MOL. */
class MolGradientTest {
  private static Tensor get(Map<String, Tensor> weights, String name) {
    return Objects.requireNonNull(weights.get(name));
  }

  private static final Network SMOOTH = (x, w) -> x.mm(get(w, "first")).tanh().mm(get(w, "second"));

  private static Map<String, Tensor> smooth(Rng rng) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    weights.put("first", rng.normal(ScalarType.Double, 3, 4).requires_grad_(true));
    weights.put("second", rng.normal(ScalarType.Double, 4, 3).requires_grad_(true));
    return weights;
  }

  private static MetaTask task(Rng rng) {
    return new MetaTask(
        "random",
        rng.normal(ScalarType.Double, 6, 3),
        Tensors.labels(0, 1, 2, 0, 1, 2),
        rng.normal(ScalarType.Double, 4, 3),
        Tensors.labels(2, 0, 1, 0),
        rng.normal(ScalarType.Double, 5, 3));
  }

  @Property(tries = 15)
  void theMetaGradientAgreesWithDifferencesOfTheWholeEpisode(
      @ForAll long seed,
      @ForAll @IntRange(max = 3) int steps,
      @ForAll @IntRange(min = 1, max = 2) int chain) {
    Mol.Settings settings =
        MolTest.settings("innerSteps", steps, "lambda", 0.3, "marginIn", -2, "marginOut", 1);
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Map<String, Tensor> weights = smooth(rng);
            List<MetaTask> tasks = IntStream.range(0, chain).mapToObj(i -> task(rng)).toList();
            Episode episode = MolGradient.episode(SMOOTH, weights, tasks, settings);
            for (String name : weights.keySet()) {
              Tensor direction = rng.normal(ScalarType.Double, get(weights, name).shape());
              double slope = get(episode.gradient(), name).mul(direction).sum().item_double();
              double h = 1e-5;
              double[] ends = new double[2];
              for (int side = 0; side < 2; side++) {
                Map<String, Tensor> moved = new LinkedHashMap<>(weights);
                Scalar by = new Scalar(side == 0 ? -h : h);
                moved.put(
                    name, get(weights, name).detach().add(direction, by).requires_grad_(true));
                ends[side] = MolGradient.episode(SMOOTH, moved, tasks, settings).loss();
              }
              assertThat(slope)
                  .isCloseTo((ends[1] - ends[0]) / (2 * h), within(1e-5 * (1 + Math.abs(slope))));
            }
          }
        });
  }

  @Property(tries = 15)
  void theOrdersAgreeWithoutInnerStepsAndDifferOnlyInTheGradientWithSome(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Map<String, Tensor> weights = smooth(rng);
            List<MetaTask> tasks = List.of(task(rng));
            for (int steps : new int[] {0, 2}) {
              Episode first =
                  MolGradient.episode(
                      SMOOTH,
                      weights,
                      tasks,
                      MolTest.settings("innerSteps", steps, "order", "FIRST"));
              Episode second =
                  MolGradient.episode(
                      SMOOTH,
                      weights,
                      tasks,
                      MolTest.settings("innerSteps", steps, "order", "SECOND"));
              assertThat(first.loss()).isEqualTo(second.loss());
              Tensor difference =
                  get(first.gradient(), "first").sub(get(second.gradient(), "first")).abs().max();
              if (steps == 0) {
                assertThat(difference.item_double()).isZero();
              } else {
                assertThat(difference.item_double()).isGreaterThan(1e-6);
              }
            }
          }
        });
  }

  @Test
  void withoutOutliersOrWithMarginsOutOfReachTheEnergyPartsAreZero() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor logits = rng.normal(ScalarType.Double, 4, 3);
            Tensor labels = Tensors.labels(0, 1, 2, 2);
            Tensor outliers = rng.normal(ScalarType.Double, 5, 3);
            double plain = torch.cross_entropy_loss(logits, labels).item_double();
            assertThat(MolGradient.outerLoss(logits, labels, outliers, 1, 50, -50).item_double())
                .isEqualTo(plain);
            double inner = MolGradient.innerLoss(logits, labels, 0.5, -3).item_double();
            assertThat(inner).isGreaterThan(plain);
            assertThat(MolGradient.outerLoss(logits, labels, null, 0.5, -3, 9).item_double())
                .isEqualTo(inner);
            MetaTask task = task(rng);
            Episode silent =
                MolGradient.episode(
                    SMOOTH,
                    smooth(rng),
                    List.of(task),
                    MolTest.settings("marginIn", 50, "marginOut", -50));
            assertThat(silent.activeIn()).isZero();
            assertThat(silent.activeOut()).isZero();
            Episode loud =
                MolGradient.episode(
                    SMOOTH,
                    smooth(rng),
                    List.of(task),
                    MolTest.settings("marginIn", -50, "marginOut", 50));
            assertThat(loud.activeIn()).isEqualTo(1);
            assertThat(loud.activeOut()).isEqualTo(1);
          }
        });
  }
}
