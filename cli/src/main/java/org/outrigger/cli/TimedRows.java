package org.outrigger.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.ImageFolder;
import org.outrigger.core.torch.Tensors;

/**
 * Rows in the order of their times; equal times keep the order of the file. A table that is in
 * order is streamed: a first walk reads the times alone. Another one is held in memory. Images are
 * ordered by when their files were last changed, and are read one batch at a time.
 */
final class TimedRows {
  /** Takes rows, in a scope. */
  interface Taker {
    /**
     * @param labels of the rows; null without labels
     */
    void take(Tensor inputs, List<String> ids, int @Nullable [] labels, List<Instant> times);
  }

  private final Dataset data;
  private final int batchSize;
  private boolean sorted;
  private List<Batches.Skipped> skipped = List.of();

  TimedRows(Dataset data, int batchSize) {
    this.data = data;
    this.batchSize = batchSize;
  }

  /** Whether rows had to be held in memory to bring them in order. */
  boolean sorted() {
    return sorted;
  }

  /** What could not be read. */
  List<Batches.Skipped> skipped() {
    return skipped;
  }

  void walk(Taker taker) {
    if (data instanceof ImageFolder folder) {
      images(folder, taker);
    } else if (ordered()) {
      stream(data, batch -> taker.take(batch.inputs(), batch.ids(), labels(batch), times(batch)));
    } else {
      sorted = true;
      inMemory(taker);
    }
  }

  private interface Each {
    void take(Batch batch);
  }

  private void stream(Dataset rows, Each each) {
    try (Batches batches = rows.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          each.take(batch);
        }
      }
      skipped = List.copyOf(batches.skipped());
    }
  }

  private boolean ordered() {
    Instant[] last = {Instant.MIN};
    boolean[] ordered = {true};
    long[] rows = {0};
    stream(
        data,
        batch -> {
          for (Instant time : times(batch)) {
            ordered[0] &= !time.isBefore(last[0]);
            last[0] = time;
          }
          rows[0] += batch.size();
        });
    if (rows[0] == 0) {
      throw new OutriggerException("No row of " + data.name() + " could be read.");
    }
    return ordered[0];
  }

  private static int @Nullable [] labels(Batch batch) {
    return batch.labels() == null ? null : Tensors.ints(batch.labels());
  }

  private static List<Instant> times(Batch batch) {
    List<Instant> times = new ArrayList<>(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      String text = batch.times().isEmpty() ? "" : batch.times().get(i);
      times.add(TimeText.parse(text, batch.ids().get(i)));
    }
    return times;
  }

  private void inMemory(Taker taker) {
    List<float[]> inputs = new ArrayList<>();
    List<String> ids = new ArrayList<>();
    List<Instant> times = new ArrayList<>();
    List<Integer> labels = new ArrayList<>();
    stream(
        data,
        batch -> {
          float[] all = Tensors.floats(batch.inputs());
          int width = all.length / batch.size();
          int[] given = labels(batch);
          for (int i = 0; i < batch.size(); i++) {
            inputs.add(Arrays.copyOfRange(all, i * width, (i + 1) * width));
            if (given != null) {
              labels.add(given[i]);
            }
          }
          ids.addAll(batch.ids());
          times.addAll(times(batch));
        });
    int[] order =
        IntStream.range(0, times.size())
            .boxed()
            .sorted(Comparator.comparing(times::get))
            .mapToInt(Integer::intValue)
            .toArray();
    long[] inner = data.inputShape();
    for (int from = 0; from < order.length; from += batchSize) {
      int[] part = Arrays.copyOfRange(order, from, Math.min(order.length, from + batchSize));
      int width = inputs.get(0).length;
      float[] flat = new float[part.length * width];
      for (int i = 0; i < part.length; i++) {
        System.arraycopy(inputs.get(part[i]), 0, flat, i * width, width);
      }
      long[] shape = new long[inner.length + 1];
      shape[0] = part.length;
      System.arraycopy(inner, 0, shape, 1, inner.length);
      try (PointerScope scope = new PointerScope()) {
        taker.take(
            Tensors.of(flat, shape),
            Arrays.stream(part).mapToObj(ids::get).toList(),
            labels.isEmpty() ? null : Arrays.stream(part).map(labels::get).toArray(),
            Arrays.stream(part).mapToObj(times::get).toList());
      }
    }
  }

  private void images(ImageFolder folder, Taker taker) {
    List<Path> files = List.copyOf(folder.files());
    List<Instant> changed = files.stream().map(TimedRows::changed).toList();
    int[] order =
        IntStream.range(0, files.size())
            .boxed()
            .sorted(Comparator.comparing(changed::get))
            .mapToInt(Integer::intValue)
            .toArray();
    Path root = folder.root();
    Map<String, Instant> times = new HashMap<>();
    for (int i = 0; i < files.size(); i++) {
      times.put(root.relativize(files.get(i)).toString().replace('\\', '/'), changed.get(i));
    }
    stream(
        folder.subset(order),
        batch ->
            taker.take(
                batch.inputs(),
                batch.ids(),
                labels(batch),
                batch.ids().stream().map(id -> times.getOrDefault(id, Instant.EPOCH)).toList()));
  }

  private static Instant changed(Path file) {
    try {
      return Files.getLastModifiedTime(file).toInstant();
    } catch (IOException e) {
      throw new OutriggerException("The time of " + file + " cannot be read: " + e.getMessage(), e);
    }
  }
}
