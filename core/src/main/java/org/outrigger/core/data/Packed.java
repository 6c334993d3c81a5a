package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Several modalities of the same rows side by side: what the architecture {@code multimodal} takes
 * apart again. Labels, names and times are those of the first modality that has them; where several
 * have labels or names, they must agree. A row of which one modality is missing, that is, holds NaN
 * or infinite values, cannot be read.
 */
final class Packed implements IndexedDataset {
  private final Map<String, IndexedDataset> modalities;
  private final IndexedDataset first;
  private final @Nullable IndexedDataset labels;
  private final long width;

  Packed(Map<String, ? extends IndexedDataset> parts) {
    modalities = new LinkedHashMap<>(parts);
    if (modalities.size() < 2) {
      throw new OutriggerException(
          "There are " + modalities.size() + " modalities to pack: two or more are needed.");
    }
    first = modalities.values().iterator().next();
    labels = modalities.values().stream().filter(IndexedDataset::labelled).findFirst().orElse(null);
    long sum = 0;
    for (Map.Entry<String, IndexedDataset> part : modalities.entrySet()) {
      IndexedDataset data = part.getValue();
      long values = Arrays.stream(data.inputShape()).reduce(1, Math::multiplyExact);
      if (values < 1) {
        throw new OutriggerException(
            "The rows of the modality '"
                + part.getKey()
                + "' differ in size: give them one, for images with resize.");
      }
      if (data.size() != first.size()) {
        throw new OutriggerException(
            "The modality '"
                + part.getKey()
                + "' has "
                + data.size()
                + " rows, but the first one has "
                + first.size()
                + ": every row needs all modalities, in the same order.");
      }
      checkLabels(part.getKey(), data);
      sum = Math.addExact(sum, values);
    }
    width = sum;
  }

  private void checkLabels(String name, IndexedDataset data) {
    if (labels == null || labels == data || !data.labelled()) {
      return;
    }
    int row = Arrays.mismatch(labels.labels(), data.labels());
    if (row >= 0 || !labels.classNames().equals(data.classNames())) {
      throw new OutriggerException(
          "The modality '"
              + name
              + "' is labelled otherwise than the one before it"
              + (row < 0 ? ", with other class names" : " from row " + row + " on")
              + ": the rows are not in the same order.");
    }
  }

  @Override
  public String name() {
    return modalities.values().stream()
        .map(IndexedDataset::name)
        .distinct()
        .collect(Collectors.joining(" with "));
  }

  @Override
  public long size() {
    return first.size();
  }

  @Override
  public List<String> classNames() {
    return labels == null ? List.of() : labels.classNames();
  }

  @Override
  public boolean labelled() {
    return labels != null;
  }

  @Override
  public long[] inputShape() {
    return new long[] {width};
  }

  @Override
  public boolean inMemory() {
    return modalities.values().stream().allMatch(IndexedDataset::inMemory);
  }

  @Override
  public int label(int row) {
    return labels == null ? -1 : labels.label(row);
  }

  @Override
  public Batch read(int[] rows) {
    List<String> ids = new ArrayList<>();
    List<String> times = new ArrayList<>();
    Tensor inputs =
        Scopes.tensor(
            () -> {
              TensorVector columns = new TensorVector();
              modalities.forEach(
                  (name, data) -> {
                    Batch part = data.read(rows);
                    aligned(name, ids, part.ids());
                    if (times.isEmpty()) {
                      times.addAll(part.times());
                    }
                    Tensor values = part.inputs().flatten(1, -1);
                    complete(name, values, ids);
                    columns.push_back(values);
                  });
              return torch.cat(columns, 1);
            });
    Tensor shared =
        labels == null ? null : Tensors.labels(Arrays.stream(rows).map(this::label).toArray());
    return new Batch(inputs, shared, ids, times);
  }

  /** Names that are more than row numbers must be the same in all modalities. */
  private static void aligned(String name, List<String> ids, List<String> own) {
    if (ids.isEmpty()) {
      ids.addAll(own);
      return;
    }
    for (int i = 0; i < ids.size(); i++) {
      boolean numbers = ids.get(i).matches("\\d+") || own.get(i).matches("\\d+");
      if (!numbers && !stem(ids.get(i)).equals(stem(own.get(i)))) {
        throw new OutriggerException(
            "The modality '"
                + name
                + "' has the row '"
                + own.get(i)
                + "' where the first one has '"
                + ids.get(i)
                + "': the rows are not in the same order.");
      }
    }
  }

  /** A file's name without its ending, which differs between kinds of files. */
  private static String stem(String id) {
    return id.replaceFirst("\\.[^./\\\\]{1,5}$", "");
  }

  private static void complete(String name, Tensor values, List<String> ids) {
    if (Double.isFinite(values.sum().item_double())) {
      return;
    }
    long[] bad = Tensors.longs(values.isfinite().logical_not().any(1).nonzero().flatten());
    if (bad.length > 0) {
      throw new UnreadableRow(
          ids.get((int) bad[0]), "the modality '" + name + "' holds NaN or infinite values");
    }
  }
}
