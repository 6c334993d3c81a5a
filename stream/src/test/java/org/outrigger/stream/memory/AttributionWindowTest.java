package org.outrigger.stream.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class AttributionWindowTest {
  private static void serve(AttributionWindow window, double time, String... ids) {
    double[][] keys = new double[ids.length][];
    double[] base = new double[ids.length];
    for (int i = 0; i < ids.length; i++) {
      keys[i] = new double[] {time, i};
      base[i] = 0.5;
    }
    window.served(List.of(ids), Tensors.of(keys), Tensors.of(base, base.length), time);
  }

  @Test
  void anEventIsNegativeOnlyWhenItsWindowHasPassed() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      AttributionWindow window = new AttributionWindow(10, 100);
      serve(window, 0, "a", "b");
      serve(window, 5, "c");
      assertThat(window.matured(9.9)).isEmpty();
      assertThat(window.labelled("b", 1)).isTrue();
      assertThat(window.labelled("nobody", 1)).isFalse();
      AttributionWindow.Matured sure = window.matured(10).orElseThrow();
      assertThat(sure.ids()).containsExactly("a", "b");
      assertThat(Tensors.doubles(sure.labels())).containsExactly(0, 1);
      assertThat(Tensors.doubles(sure.keys())).containsExactly(0, 0, 0, 1);
      assertThat(window.labelled("b", 1)).isFalse();
      assertThat(window.size()).isEqualTo(1);
    }
  }

  @Test
  void beyondItsCapacityTheOldestAreGivenUpAndCounted() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      AttributionWindow window = new AttributionWindow(1, 2);
      serve(window, 0, "a", "b", "c");
      assertThat(window.givenUp()).isEqualTo(1);
      assertThat(window.matured(1).orElseThrow().ids()).containsExactly("b", "c");
    }
  }

  @Test
  void aSavedWindowGoesOn(@TempDir Path folder) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      AttributionWindow window = new AttributionWindow(3, 2);
      serve(window, 0, "a", "b", "c");
      window.labelled("c", 1);
      Path file = folder.resolve("w.safetensors");
      StateFiles.write(file, window.state());
      AttributionWindow restored = new AttributionWindow(3, 2);
      restored.restore(StateFiles.read(file));
      assertThat(restored.givenUp()).isEqualTo(1);
      AttributionWindow.Matured sure = restored.matured(3).orElseThrow();
      assertThat(sure.ids()).containsExactly("b", "c");
      assertThat(Tensors.doubles(sure.labels())).containsExactly(0, 1);
      AttributionWindow empty = new AttributionWindow(3, 2);
      StateFiles.write(folder.resolve("e.safetensors"), empty.state());
      restored.restore(StateFiles.read(folder.resolve("e.safetensors")));
      assertThat(restored.size()).isZero();
    }
  }

  @Test
  void badEventsAndStatesChangeNothing() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      AttributionWindow window = new AttributionWindow(3, 5);
      serve(window, 0, "a");
      assertThatThrownBy(() -> serve(window, 1, "b", "a"))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("'a' waits");
      Tensor nan = Tensors.of(new double[][] {{Double.NaN, 0}});
      assertThatThrownBy(
              () -> window.served(List.of("d"), nan, Tensors.of(new double[] {0.5}, 1), 1))
          .hasMessageContaining("NaN");
      assertThatThrownBy(() -> window.labelled("a", 2)).hasMessageContaining("label");
      State good = window.state();
      assertThatThrownBy(
              () ->
                  window.restore(new State(good.type(), 1, Map.of("window", 3.0), good.tensors())))
          .hasMessageContaining("ids");
      assertThatThrownBy(() -> new AttributionWindow(4, 5).restore(good))
          .hasMessageContaining("does not fit");
      assertThat(window.size()).isEqualTo(1);
    }
  }
}
