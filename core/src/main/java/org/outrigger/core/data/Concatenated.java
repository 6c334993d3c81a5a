package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Several data sets one after the other. Their inputs have one shape. Their class names agree;
 * unlabelled parts, and parts without class names, count as unknown inputs when another part has
 * labels.
 */
final class Concatenated implements IndexedDataset {
  private final List<IndexedDataset> parts;
  private final int[] starts;
  private final List<String> classNames;

  Concatenated(List<IndexedDataset> parts) {
    if (parts.isEmpty()) {
      throw new OutriggerException("There is no data set to concatenate.");
    }
    this.parts = parts;
    starts = new int[parts.size() + 1];
    List<String> names = List.of();
    for (int i = 0; i < parts.size(); i++) {
      IndexedDataset part = parts.get(i);
      starts[i + 1] = Math.addExact(starts[i], Math.toIntExact(part.size()));
      if (!Arrays.equals(part.inputShape(), parts.get(0).inputShape())) {
        throw new OutriggerException(
            part.name()
                + " has inputs of shape "
                + Arrays.toString(part.inputShape())
                + ", but "
                + parts.get(0).name()
                + " of "
                + Arrays.toString(parts.get(0).inputShape())
                + ": they cannot be joined.");
      }
      if (names.isEmpty()) {
        names = part.classNames();
      } else if (!part.classNames().isEmpty() && !part.classNames().equals(names)) {
        throw new OutriggerException(
            part.name()
                + " has the classes "
                + part.classNames()
                + ", but the data before it "
                + names
                + ": they cannot be joined.");
      }
    }
    classNames = names;
  }

  private int part(int row) {
    int found = Arrays.binarySearch(starts, row);
    int part = found >= 0 ? found : -found - 2;
    // An empty part starts where the next one does.
    while (starts[part + 1] == row) {
      part++;
    }
    return part;
  }

  @Override
  public String name() {
    return parts.stream().map(IndexedDataset::name).distinct().collect(Collectors.joining("+"));
  }

  @Override
  public long size() {
    return starts[parts.size()];
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public List<String> featureColumns() {
    return parts.get(0).featureColumns();
  }

  @Override
  public boolean labelled() {
    return parts.stream().anyMatch(IndexedDataset::labelled);
  }

  @Override
  public long[] inputShape() {
    return parts.get(0).inputShape();
  }

  @Override
  public boolean inMemory() {
    return parts.stream().allMatch(IndexedDataset::inMemory);
  }

  @Override
  public int label(int row) {
    int part = part(row);
    return parts.get(part).labelled() ? parts.get(part).label(row - starts[part]) : -1;
  }

  /** Reads each run of rows of one part at once and joins the runs. */
  @Override
  public Batch read(int[] rows) {
    List<int[]> runs = new ArrayList<>();
    List<IndexedDataset> sources = new ArrayList<>();
    int from = 0;
    for (int i = 1; i <= rows.length; i++) {
      if (i == rows.length || part(rows[i]) != part(rows[from])) {
        int part = part(rows[from]);
        runs.add(Arrays.stream(rows, from, i).map(row -> row - starts[part]).toArray());
        sources.add(parts.get(part));
        from = i;
      }
    }
    List<String> ids = new ArrayList<>();
    List<String> times = new ArrayList<>();
    Tensor inputs =
        Scopes.tensor(
            () -> {
              List<Tensor> pieces = new ArrayList<>();
              for (int i = 0; i < runs.size(); i++) {
                Batch piece = sources.get(i).read(runs.get(i));
                pieces.add(piece.inputs());
                ids.addAll(piece.ids());
                times.addAll(piece.times());
              }
              return pieces.size() == 1
                  ? pieces.get(0)
                  : torch.cat(new TensorVector(pieces.toArray(new Tensor[0])), 0);
            });
    return new Batch(inputs, labels(rows), ids, times.size() == ids.size() ? times : List.of());
  }

  private @Nullable Tensor labels(int[] rows) {
    return labelled() ? Tensors.labels(Arrays.stream(rows).map(this::label).toArray()) : null;
  }
}
