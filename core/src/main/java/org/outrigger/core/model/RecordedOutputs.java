package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * What a model said about a data set, kept in memory: the model runs once, detectors and
 * calibrators are fitted on this as often as they like. Of a data set with more than {@code
 * maxRows} rows a uniform sample is kept, the same for the same seed.
 */
public final class RecordedOutputs implements Outputs {
  private static final int SLICE = 8192;

  private final Output output;
  private final @Nullable Tensor labels;
  private final Heads heads;
  private final int classes;
  private final List<String> ids;
  private final long[] rows;
  private final long seen;
  private final List<Batches.Skipped> skipped;

  private RecordedOutputs(
      Output output,
      @Nullable Tensor labels,
      Heads heads,
      List<String> ids,
      long[] rows,
      long seen,
      List<Batches.Skipped> skipped) {
    this.output = output;
    this.labels = labels;
    this.heads = heads;
    this.classes = Math.toIntExact(output.logits().size(1));
    this.ids = ids;
    this.rows = rows;
    this.seen = seen;
    this.skipped = skipped;
  }

  /**
   * How to record.
   *
   * @param batchSize rows a forward pass
   * @param maps inner layers to keep too
   * @param maxRows the most rows to keep
   * @param seed of the sample
   * @param progress told the number of rows done
   * @param observer sees every batch, for fingerprints; the batch is borrowed
   */
  public record Options(
      int batchSize,
      List<String> maps,
      int maxRows,
      long seed,
      LongConsumer progress,
      Consumer<Batch> observer) {
    public static Options defaults() {
      return new Options(128, List.of(), 200_000, 0, done -> {}, batch -> {});
    }

    public Options withMaps(List<String> names) {
      return new Options(batchSize, names, maxRows, seed, progress, observer);
    }

    public Options withProgress(LongConsumer listener) {
      return new Options(batchSize, maps, maxRows, seed, listener, observer);
    }

    public Options withObserver(Consumer<Batch> watcher) {
      return new Options(batchSize, maps, maxRows, seed, progress, watcher);
    }

    public Options withBatchSize(int size) {
      return new Options(size, maps, maxRows, seed, progress, observer);
    }

    public Options withMaxRows(int most) {
      return new Options(batchSize, maps, most, seed, progress, observer);
    }

    public Options withSeed(long value) {
      return new Options(batchSize, maps, maxRows, value, progress, observer);
    }
  }

  /**
   * Runs the model over the data.
   *
   * @throws OutriggerException if no row could be read, or the model cannot take the rows
   */
  public static RecordedOutputs record(Model model, Dataset data, Options options) {
    List<Chunk> chunks = new ArrayList<>();
    SplittableRandom keys = new SplittableRandom(options.seed);
    double limit = data.size() > options.maxRows ? 1.05 * options.maxRows / data.size() : 1;
    long seen = 0;
    long kept = 0;
    List<Batches.Skipped> skipped;
    try (Batches batches = data.batches(options.batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          options.observer.accept(batch);
          Chunk chunk = Chunk.of(model, batch, options.maps, keys, limit, seen);
          seen += batch.size();
          if (chunk != null) {
            chunks.add(chunk);
            kept += chunk.rows.length;
          }
        }
        if (kept > 2L * options.maxRows) {
          limit /= 2;
          kept = thin(chunks, limit);
        }
        options.progress.accept(seen);
      }
      skipped = List.copyOf(batches.skipped());
      if (kept > options.maxRows) {
        double[] sorted =
            chunks.stream().flatMapToDouble(c -> Arrays.stream(c.keys)).sorted().toArray();
        kept = thin(chunks, sorted[options.maxRows]);
      }
      if (kept == 0) {
        throw new OutriggerException(
            "No row of "
                + data.name()
                + " could be read"
                + (skipped.isEmpty()
                    ? ": it is empty."
                    : "; the first: "
                        + skipped.get(0).id()
                        + " ("
                        + skipped.get(0).reason()
                        + ")."));
      }
      return Chunk.join(model, chunks, seen, skipped);
    } finally {
      chunks.forEach(Chunk::release);
    }
  }

  private static long thin(List<Chunk> chunks, double limit) {
    long kept = 0;
    for (int i = 0; i < chunks.size(); i++) {
      Chunk thinned = chunks.get(i).below(limit);
      chunks.set(i, thinned);
      kept += thinned.rows.length;
    }
    return kept;
  }

  /** The outputs of one batch while recording; owns its tensors. */
  private record Chunk(
      List<Tensor> tensors,
      boolean features,
      List<String> maps,
      boolean labelled,
      double[] keys,
      long[] rows,
      List<String> ids) {

    static @Nullable Chunk of(
        Model model,
        Batch batch,
        List<String> maps,
        SplittableRandom random,
        double limit,
        long first) {
      double[] keys = random.doubles(batch.size()).toArray();
      long[] chosen = chosen(keys, limit);
      if (chosen.length == 0) {
        return null;
      }
      Tensor inputs = batch.inputs();
      Tensor labels = batch.labels();
      if (chosen.length < keys.length) {
        Tensor index = Tensors.of(chosen, chosen.length);
        inputs = inputs.index_select(0, index);
        labels = labels == null ? null : labels.index_select(0, index);
      }
      Output output = model.predict(inputs, maps);
      List<Tensor> tensors = new ArrayList<>();
      tensors.add(Scopes.own(output.logits().detach().cpu()));
      if (output.hasFeatures()) {
        tensors.add(Scopes.own(output.features().detach().cpu()));
      }
      output.maps().values().forEach(map -> tensors.add(Scopes.own(map.detach().cpu())));
      if (labels != null) {
        tensors.add(Scopes.own(labels.cpu()));
      }
      return new Chunk(
          tensors,
          output.hasFeatures(),
          List.copyOf(output.maps().keySet()),
          labels != null,
          Arrays.stream(chosen).mapToDouble(i -> keys[(int) i]).toArray(),
          Arrays.stream(chosen).map(i -> first + i).toArray(),
          Arrays.stream(chosen).mapToObj(i -> batch.ids().get((int) i)).toList());
    }

    static long[] chosen(double[] keys, double limit) {
      return java.util.stream.LongStream.range(0, keys.length)
          .filter(i -> keys[(int) i] < limit)
          .toArray();
    }

    Chunk below(double limit) {
      long[] chosen = chosen(keys, limit);
      if (chosen.length == keys.length) {
        return this;
      }
      List<Tensor> kept = new ArrayList<>();
      Scopes.run(
          () -> {
            Tensor index = Tensors.of(chosen, chosen.length);
            tensors.forEach(t -> kept.add(Scopes.own(t.index_select(0, index))));
          });
      release();
      return new Chunk(
          kept,
          features,
          maps,
          labelled,
          Arrays.stream(chosen).mapToDouble(i -> keys[(int) i]).toArray(),
          Arrays.stream(chosen).map(i -> rows[(int) i]).toArray(),
          Arrays.stream(chosen).mapToObj(i -> ids.get((int) i)).toList());
    }

    void release() {
      tensors.forEach(Scopes::release);
    }

    static RecordedOutputs join(
        Model model, List<Chunk> chunks, long seen, List<Batches.Skipped> skipped) {
      Chunk first = chunks.get(0);
      List<Tensor> joined = new ArrayList<>();
      for (int part = 0; part < first.tensors.size(); part++) {
        int index = part;
        Scopes.run(
            () -> {
              Tensor[] parts =
                  chunks.stream().map(c -> c.tensors.get(index)).toArray(Tensor[]::new);
              joined.add(Scopes.own(torch.cat(new TensorVector(parts), 0)));
            });
      }
      Map<String, Tensor> maps = new LinkedHashMap<>();
      int next = first.features ? 2 : 1;
      for (String name : first.maps) {
        maps.put(name, joined.get(next++));
      }
      return new RecordedOutputs(
          new Output(joined.get(0), first.features ? joined.get(1) : null, maps),
          first.labelled ? joined.get(next) : null,
          Heads.of(model),
          chunks.stream().flatMap(c -> c.ids.stream()).toList(),
          chunks.stream().flatMapToLong(c -> Arrays.stream(c.rows)).toArray(),
          seen,
          skipped);
    }
  }

  /**
   * Some of the rows, as an object of its own.
   *
   * @param positions in 0 .. size-1
   */
  public RecordedOutputs subset(int[] positions) {
    long[] index = Arrays.stream(positions).asLongStream().toArray();
    return Scopes.scoped(
        () -> {
          Tensor at = Tensors.of(index, index.length);
          Map<String, Tensor> maps = new LinkedHashMap<>();
          output.maps().forEach((name, map) -> maps.put(name, Scopes.own(map.index_select(0, at))));
          return new RecordedOutputs(
              new Output(
                  Scopes.own(output.logits().index_select(0, at)),
                  output.hasFeatures() ? Scopes.own(output.features().index_select(0, at)) : null,
                  maps),
              labels == null ? null : Scopes.own(labels.index_select(0, at)),
              heads,
              Arrays.stream(positions).mapToObj(ids::get).toList(),
              Arrays.stream(positions).mapToLong(i -> rows[i]).toArray(),
              seen,
              skipped);
        });
  }

  /** All rows at once; borrowed. */
  public Output output() {
    return output;
  }

  /** Labels int64 [N], borrowed; null if the data has none. */
  public @Nullable Tensor labels() {
    return labels;
  }

  /** Labels int64 [N], borrowed; an error that names {@code who} if the data has none. */
  public Tensor requireLabels(String who) {
    return new Labelled(output, labels).requireLabels(who);
  }

  /** The rows' names. */
  public List<String> ids() {
    return ids;
  }

  /** The rows' positions in the data set that was recorded, counting rows that could be read. */
  public long[] rows() {
    return rows.clone();
  }

  /**
   * Some of the recorded rows to be read again, for methods that look at the inputs.
   *
   * @param data that was recorded
   * @param positions in 0 .. size-1, in the order that is wanted
   * @param who wants them, for the message
   * @throws OutriggerException if the data can be read only once, or some of it could not be read
   */
  public IndexedDataset rowsOf(Dataset data, int[] positions, String who) {
    if (!(data instanceof IndexedDataset indexed) || !skipped.isEmpty()) {
      throw new OutriggerException(
          who
              + " runs the model on changed copies of the inputs, but "
              + data.name()
              + " can be read only once or has rows that could not be read: give data in files or"
              + " in memory, all of it readable, or use another method.");
    }
    return indexed.subset(
        Arrays.stream(positions).map(position -> Math.toIntExact(rows[position])).toArray());
  }

  /** How many rows the data set had; more than {@link #size()} if this is a sample. */
  public long seen() {
    return seen;
  }

  /** What could not be read. */
  public List<Batches.Skipped> skipped() {
    return skipped;
  }

  @Override
  public long size() {
    return output.size();
  }

  @Override
  public int classes() {
    return classes;
  }

  @Override
  public @Nullable LinearHead head() {
    return heads.linear();
  }

  @Override
  public Heads heads() {
    return heads;
  }

  @Override
  public void forEach(Consumer<Labelled> visitor) {
    for (long start = 0; start < size(); start += SLICE) {
      long from = start;
      long length = Math.min(SLICE, size() - start);
      Scopes.run(
          () -> {
            Map<String, Tensor> maps = new LinkedHashMap<>();
            output.maps().forEach((name, map) -> maps.put(name, map.narrow(0, from, length)));
            visitor.accept(
                new Labelled(
                    new Output(
                        output.logits().narrow(0, from, length),
                        output.hasFeatures() ? output.features().narrow(0, from, length) : null,
                        maps),
                    labels == null ? null : labels.narrow(0, from, length)));
          });
    }
  }

  @Override
  public void close() {
    output.close();
    Scopes.release(labels);
  }
}
