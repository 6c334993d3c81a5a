package org.outrigger.evaluate.corruption;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.corruption.Corruption.Settings;

class CorruptedDatasetTest {
  private static TensorDataset images() {
    return TensorDataset.of(
        Tensors.of(Pictures.make(7, 1, 28), 7, 1, 28, 28), Tensors.labels(0, 1, 2, 0, 1, 2, 0));
  }

  /** Hides that rows can be read by position. */
  private record Stream(Dataset source) implements Dataset {
    @Override
    public String name() {
      return source.name();
    }

    @Override
    public long size() {
      return source.size();
    }

    @Override
    public List<String> classNames() {
      return source.classNames();
    }

    @Override
    public boolean labelled() {
      return source.labelled();
    }

    @Override
    public long[] inputShape() {
      return source.inputShape();
    }

    @Override
    public Batches batches(int batchSize) {
      return source.batches(batchSize);
    }
  }

  private static List<float[]> walk(Dataset data, int batchSize) {
    List<float[]> rows = new ArrayList<>();
    List<String> ids = new ArrayList<>();
    try (Batches batches = data.batches(batchSize)) {
      while (batches.hasNext()) {
        try (Batch batch = batches.next()) {
          float[] all = Tensors.floats(batch.inputs());
          for (int i = 0; i < batch.size(); i++) {
            rows.add(Arrays.copyOfRange(all, i * 784, (i + 1) * 784));
          }
          ids.addAll(batch.ids());
          assertThat(batch.labels()).isNotNull();
        }
      }
    }
    assertThat(ids).containsExactly("0", "1", "2", "3", "4", "5", "6");
    return rows;
  }

  @Test
  void batchSizeAndWayOfReadingDoNotMatter() {
    try (PointerScope scope = new PointerScope()) {
      TensorDataset clean = images();
      Settings settings = Settings.seeded(4);
      IndexedDataset noisy = CorruptedDataset.of(clean, Corruption.GAUSSIAN_NOISE, 3, settings);
      List<float[]> whole = walk(noisy, 7);
      List<float[]> pieces = walk(noisy, 3);
      List<float[]> streamed =
          walk(CorruptedDataset.of(new Stream(clean), Corruption.GAUSSIAN_NOISE, 3, settings), 2);
      Batch picked = noisy.read(new int[] {5, 1});
      float[] all = Tensors.floats(picked.inputs());
      for (int i = 0; i < 7; i++) {
        assertThat(pieces.get(i)).isEqualTo(whole.get(i));
        assertThat(streamed.get(i)).isEqualTo(whole.get(i));
      }
      assertThat(Arrays.copyOf(all, 784)).isEqualTo(whole.get(5));
      assertThat(Arrays.copyOfRange(all, 784, 1568)).isEqualTo(whole.get(1));
      assertThat(noisy.label(2)).isEqualTo(2);
      assertThat(noisy.name()).endsWith("gaussian_noise 3");
    }
  }

  @Test
  void aSweepHasTheFiveSeverities() {
    try (PointerScope scope = new PointerScope()) {
      List<Dataset> sweep =
          CorruptedDataset.sweep(images(), Corruption.CONTRAST, Settings.seeded(0));
      assertThat(sweep).hasSize(5);
      double last = Double.POSITIVE_INFINITY;
      for (Dataset data : sweep) {
        float[] row = walk(data, 4).get(0);
        float min = Float.MAX_VALUE;
        float max = 0;
        for (float v : row) {
          min = Math.min(min, v);
          max = Math.max(max, v);
        }
        assertThat((double) max - min).isLessThan(last);
        last = max - min;
      }
    }
  }

  @Test
  void tablesAndWrongSeveritiesAreRefusedBeforeReading() {
    try (PointerScope scope = new PointerScope()) {
      TensorDataset table = TensorDataset.of(Tensors.of(new float[6], 2, 3), null);
      assertThatThrownBy(() -> CorruptedDataset.of(table, Corruption.FOG, 1, Settings.seeded(0)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("need images");
      TensorDataset clean = images();
      assertThatThrownBy(() -> CorruptedDataset.of(clean, Corruption.FOG, 9, Settings.seeded(0)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("severity = 9");
    }
  }
}
