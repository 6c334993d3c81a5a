package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class ClassHoldOutTest {
  @Test
  void bothSidesCoverTheDataAndTheKnownClassesAreNumberedAnew() {
    Scopes.run(
        () -> {
          try (TensorDataset data =
              TensorDataset.builder(Tensors.of(new float[] {0, 1, 2, 3, 4, 5}, 6, 1))
                  .labels(Tensors.labels(0, 1, 2, 3, 1, 0))
                  .classNames(List.of("a", "b", "c", "d"))
                  .build()) {
            ClassHoldOut holdOut = ClassHoldOut.of(4, 3, 1);
            assertThat(holdOut.known()).containsExactly(0, 2);
            assertThat(holdOut.heldOut()).containsExactly(1, 3);
            assertThat(holdOut.known(data).labels()).containsExactly(0, 1, 0);
            assertThat(holdOut.known(data).classNames()).containsExactly("a", "c");
            assertThat(holdOut.unknown(data).labels()).containsExactly(-1, -1, -1);
          }
        });
  }

  @Property(tries = 50)
  void withinGroupsEveryHeldOutClassHasAKnownRelative(
      @ForAll long seed, @ForAll @IntRange(min = 4, max = 40) int classes) {
    int[] groups = IntStream.range(0, classes).map(c -> c % Math.max(2, classes / 4)).toArray();
    ClassHoldOut holdOut = ClassHoldOut.withinGroups(groups, 0.5, seed);
    assertThat(holdOut.known().size() + holdOut.heldOut().size()).isEqualTo(classes);
    List<Integer> knownGroups = holdOut.known().stream().map(c -> groups[c]).toList();
    assertThat(knownGroups).containsAll(holdOut.heldOut().stream().map(c -> groups[c]).toList());
    assertThat(ClassHoldOut.withinGroups(groups, 0.5, seed)).isEqualTo(holdOut);
  }

  @Property(tries = 20)
  void aRandomHoldOutHoldsOutAsManyAsAsked(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 8) int count) {
    ClassHoldOut holdOut = ClassHoldOut.random(10, count, seed);
    assertThat(holdOut.heldOut()).hasSize(count);
    assertThat(holdOut.known()).hasSize(10 - count).doesNotContainAnyElementsOf(holdOut.heldOut());
  }

  @Test
  void hugeSharesAndStrangeClassesAreClearErrors() {
    assertThatThrownBy(() -> ClassHoldOut.random(10, 9, 0))
        .hasMessageContaining("at least 2 known classes");
    assertThatThrownBy(() -> ClassHoldOut.random(10, 0, 0)).hasMessageContaining("1 held out");
    assertThatThrownBy(() -> ClassHoldOut.of(3, 3)).hasMessageContaining("classes 0 to 2");
    assertThatThrownBy(() -> new ClassHoldOut(Arrays.asList(0, 1), List.of(1)))
        .hasMessageContaining("named once");
    assertThatThrownBy(() -> ClassHoldOut.withinGroups(new int[] {0, 1, 2}, 0.5, 0))
        .hasMessageContaining("groups are too small");
    assertThatThrownBy(() -> ClassHoldOut.withinGroups(new int[] {0, 0, 0}, 1, 0))
        .hasMessageContaining("share above 0");
  }
}
