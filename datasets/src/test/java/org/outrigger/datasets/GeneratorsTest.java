package org.outrigger.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.function.LongFunction;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Tensors;

class GeneratorsTest {
  static Stream<LongFunction<TensorDataset>> generators() {
    return Stream.of(
        seed -> Points.blobs(30, 3, 5, 1, seed),
        seed -> Points.moons(30, 0.1, seed),
        seed -> Points.spirals(30, 3, 1.5, 0.02, seed),
        seed -> UnknownImages.textures(12, new long[] {3, 16, 20}, seed),
        seed -> UnknownImages.noise(9, new long[] {1, 8, 8}, seed),
        seed -> new Tabular(4, 3, 2, seed).sample(40, Tabular.Shift.none(), seed));
  }

  @ParameterizedTest
  @MethodSource("generators")
  void sameSeedSameRows(LongFunction<TensorDataset> generator) {
    try (TensorDataset a = generator.apply(7);
        TensorDataset b = generator.apply(7);
        TensorDataset c = generator.apply(8)) {
      assertThat(Tensors.floats(a.inputs())).containsExactly(Tensors.floats(b.inputs()));
      assertThat(a.labels()).containsExactly(b.labels());
      assertThat(Tensors.floats(a.inputs())).isNotEqualTo(Tensors.floats(c.inputs()));
    }
  }

  @Test
  void moonsWithoutNoiseLieOnTheirCircles() {
    try (TensorDataset moons = Points.moons(50, 0, 1)) {
      float[] xy = Tensors.floats(moons.inputs());
      for (int i = 0; i < 50; i++) {
        int label = moons.label(i);
        assertThat(label).isEqualTo(i % 2);
        double dx = xy[2 * i] - label;
        double dy = xy[2 * i + 1] - 0.5 * label;
        assertThat(Math.hypot(dx, dy)).isEqualTo(1, within(1e-5));
        assertThat(dy * (label == 0 ? 1 : -1)).isGreaterThanOrEqualTo(-1e-6);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(UnknownImages.Kind.class)
  void unknownImagesAreInRangeVariedAndUnlabelled(UnknownImages.Kind kind) {
    try (PointerScope scope = new PointerScope();
        TensorDataset images = UnknownImages.of(20, new long[] {3, 28, 24}, 3, kind)) {
      assertThat(images.inputShape()).containsExactly(3, 28, 24);
      assertThat(images.labels()).hasSize(20).containsOnly(-1);
      Tensor x = images.inputs();
      assertThat(x.min().item_double()).isGreaterThanOrEqualTo(0);
      assertThat(x.max().item_double()).isLessThanOrEqualTo(1 + 1e-6);
      double[] flat = Tensors.doubles(x);
      int width = flat.length / 20;
      long distinct =
          java.util.stream.IntStream.range(0, 20)
              .mapToObj(i -> Arrays.toString(Arrays.copyOfRange(flat, i * width, (i + 1) * width)))
              .distinct()
              .count();
      assertThat(distinct).isEqualTo(20);
      Tensor pixels = x.flatten(2, -1);
      Tensor range = pixels.amax(new long[] {2}, false).sub(pixels.amin(new long[] {2}, false));
      double spread = range.min().item_double();
      if (kind == UnknownImages.Kind.CONSTANT) {
        assertThat(spread).isLessThan(1e-6);
      } else {
        assertThat(spread).isGreaterThan(0.01);
      }
      assertThat(images.read(new int[] {1}).ids().get(0)).startsWith(kind.name().toLowerCase());
    }
  }

  private static final Tabular TABLE = new Tabular(6, 3, 3, 5);

  private static TensorDataset sample(Tabular.Shift shift) {
    return TABLE.sample(6000, shift, 11);
  }

  @Test
  void shiftsMoveWhatTheySay() {
    try (PointerScope scope = new PointerScope();
        TensorDataset plain = sample(Tabular.Shift.none());
        TensorDataset moved = sample(Tabular.Shift.ofMean(2));
        TensorDataset scaled = sample(Tabular.Shift.ofScale(1.5));
        TensorDataset turned = sample(Tabular.Shift.ofRotation(Math.PI / 2));
        TensorDataset concept = sample(Tabular.Shift.ofConcept(0.25));
        TensorDataset priors = sample(Tabular.Shift.ofLabels(0.7, 0.2, 0.1))) {
      Tensor x = plain.inputs();
      Tensor step = moved.inputs().sub(x);
      assertThat(step.select(0, 0).norm().item_double()).isEqualTo(2, within(1e-5));
      assertThat(step.sub(step.narrow(0, 0, 1)).abs().max().item_double()).isLessThan(1e-5);
      double[] a = Tensors.doubles(x);
      double[] s = Tensors.doubles(scaled.inputs());
      double[] t = Tensors.doubles(turned.inputs());
      assertThat(s[7]).isEqualTo(1.5 * a[7], within(1e-5));
      assertThat(t[0]).isEqualTo(-a[1], within(1e-5));
      assertThat(t[1]).isEqualTo(a[0], within(1e-5));
      assertThat(Tensors.floats(concept.inputs())).containsExactly(Tensors.floats(x));
      int changed = 0;
      for (int i = 0; i < 6000; i++) {
        int step0 = Math.floorMod(concept.label(i) - plain.label(i), 3);
        assertThat(step0).isIn(0, 1);
        changed += step0;
      }
      assertThat(changed / 6000.0).isEqualTo(0.25, within(0.03));
      assertThat(Arrays.stream(priors.labels()).filter(l -> l == 0).count()).isEqualTo(4200);
      assertThat(Arrays.stream(plain.labels()).filter(l -> l == 2).count()).isEqualTo(2000);
    }
  }

  @Test
  void badRequestsNameTheValue() {
    assertThatThrownBy(() -> Points.blobs(0, 2, 2, 1, 0)).hasMessageContaining("rows = 0");
    assertThatThrownBy(() -> UnknownImages.textures(3, new long[] {8, 8}, 0))
        .hasMessageContaining("[C, H, W]");
    assertThatThrownBy(() -> Tabular.Shift.ofLabels(0.5, 0.2)).hasMessageContaining("sum to 0.7");
    assertThatThrownBy(() -> TABLE.sample(5, Tabular.Shift.ofLabels(0.5, 0.5), 0))
        .hasMessageContaining("2 priors were given for 3 classes");
    assertThatThrownBy(() -> Tabular.Shift.ofScale(0)).hasMessageContaining("scale = 0.0");
  }
}
