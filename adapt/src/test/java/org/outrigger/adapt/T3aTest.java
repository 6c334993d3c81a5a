package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.T3a.Supports;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class T3aTest {
  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Supports supports(double[] features, long[] labels, double[] entropies) {
    return new Supports(
        Tensors.of(features, labels.length, features.length / labels.length),
        Tensors.of(labels, labels.length),
        Tensors.of(entropies, entropies.length));
  }

  @Test
  void aClassKeepsItsSurestAndOfEqualOnesTheEarlier() {
    Supports all =
        supports(
            new double[] {1, 2, 3, 4, 5, 6},
            new long[] {2, 0, 2, 0, 2, 2},
            new double[] {.3, .9, .1, .2, .3, .4});
    Supports kept = all.filter(2, 3);
    assertThat(Tensors.longs(kept.labels())).containsExactly(0, 0, 2, 2);
    assertThat(Tensors.doubles(kept.features())).containsExactly(4, 2, 3, 1);
    assertThat(Tensors.doubles(all.filter(-1, 3).features())).containsExactly(4, 2, 3, 1, 5, 6);
  }

  @Test
  void aPrototypeIsTheDirectionOfTheSumOfUnitSupports() {
    Supports all = supports(new double[] {3, 0, 0, 5}, new long[] {1, 1}, new double[] {.1, .2});
    Tensor prototypes = all.prototypes(2);
    double half = Math.sqrt(.5);
    assertThat(Tensors.doubles(prototypes))
        .containsExactly(new double[] {0, 0, half, half}, within(1e-12));
  }

  @Test
  void theClassifierItselfIsTheStart() {
    try (Rng rng = new Rng(5)) {
      LinearHead head =
          new LinearHead(rng.normal(ScalarType.Double, 3, 4), rng.normal(ScalarType.Double, 3));
      Supports start = Supports.of(head);
      assertThat(start.labels().size(0)).isEqualTo(3);
      assertThat(Arrays.stream(Tensors.doubles(start.entropies())))
          .allMatch(h -> h >= 0 && h <= Math.log(3) + 1e-12);
    }
  }

  @Test
  void zeroSupportsAClassAreRefused() {
    assertThatThrownBy(() -> new T3a.Settings(0)).hasMessageContaining("filterK = 0");
  }
}
