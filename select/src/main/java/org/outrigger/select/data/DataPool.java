package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.torch.Tensors;

/**
 * The pool of a lifelong run: which rows of which data sets are in it, oldest first, and what was
 * dropped, when and why. It refers to the data sets and copies none of their rows. A row's number
 * counts through all data sets in the order in which they arrived.
 */
public final class DataPool {
  /**
   * A data set that has arrived.
   *
   * @param name unique in the pool
   * @param first the number of its first row
   * @param rows how many it has
   */
  public record Source(String name, int first, int rows) {}

  /**
   * A row of a source.
   *
   * @param source the name of the data set
   * @param row its position there
   */
  public record Row(String source, int row) {}

  /**
   * A row that left the pool for good.
   *
   * @param row which
   * @param step in which it was dropped, from 0
   * @param cluster of that step
   * @param similarity to the earlier row of the cluster that it resembles most
   * @param resembles that row; null if it resembles none and its cluster was simply too large
   */
  public record Dropped(
      Row row, int step, int cluster, double similarity, @Nullable Row resembles) {
    /** Why, in words. */
    public String reason() {
      return resembles == null
          ? "its cluster was over its budget"
          : "it resembles an earlier row of its cluster";
    }
  }

  /** One dropped row by number. */
  private record Drop(int row, int step, int cluster, double similarity, int resembles) {}

  private final List<Source> sources;
  private final Map<String, IndexedDataset> data;
  private final List<Drop> drops;
  private int[] rows;

  private DataPool(
      List<Source> sources, Map<String, IndexedDataset> data, List<Drop> drops, int[] rows) {
    this.sources = sources;
    this.data = data;
    this.drops = drops;
    this.rows = rows;
  }

  DataPool() {
    this(new ArrayList<>(), new LinkedHashMap<>(), new ArrayList<>(), new int[0]);
  }

  /** A copy that can be changed without changing this one; both refer to the same data sets. */
  DataPool copy() {
    return new DataPool(
        new ArrayList<>(sources), new LinkedHashMap<>(data), new ArrayList<>(drops), rows.clone());
  }

  /** The data sets in the order in which they arrived. */
  public List<Source> sources() {
    return List.copyOf(sources);
  }

  /** The numbers of the rows in the pool, ascending. */
  public int[] rows() {
    return rows.clone();
  }

  /** The number of rows in the pool. */
  public int size() {
    return rows.length;
  }

  /** All rows that were dropped so far, in the order of the steps. */
  public List<Dropped> dropped() {
    return drops.stream()
        .map(
            d ->
                new Dropped(
                    row(d.row),
                    d.step,
                    d.cluster,
                    d.similarity,
                    d.resembles < 0 ? null : row(d.resembles)))
        .toList();
  }

  /** Where the row of that number comes from. */
  public Row row(int number) {
    for (Source source : sources) {
      if (number >= source.first() && number < source.first() + source.rows()) {
        return new Row(source.name(), number - source.first());
      }
    }
    throw new OutriggerException("The pool has no row " + number + ".");
  }

  /** Adds all rows of a data set. */
  void add(String name, IndexedDataset rowsOf) {
    if (sources.stream().anyMatch(source -> source.name().equals(name))) {
      throw new OutriggerException(
          "'"
              + name
              + "' is in the pool already, so its rows would be there twice: add other data, or"
              + " give it another name.");
    }
    int n = Math.toIntExact(rowsOf.size());
    if (n == 0) {
      throw new OutriggerException("'" + name + "' has no rows to add.");
    }
    int first = sources.stream().mapToInt(Source::rows).sum();
    sources.add(new Source(name, first, n));
    data.put(name, rowsOf);
    int[] more = Arrays.copyOf(rows, rows.length + n);
    for (int i = 0; i < n; i++) {
      more[rows.length + i] = first + i;
    }
    rows = more;
  }

  /** Gives a restored pool a data set back. */
  void reconnect(String name, IndexedDataset rowsOf) {
    Source source =
        sources.stream()
            .filter(each -> each.name().equals(name))
            .findFirst()
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The pool knows no data set '" + name + "'. It knows: " + names() + "."));
    if (rowsOf.size() != source.rows()) {
      throw new OutriggerException(
          "'"
              + name
              + "' had "
              + source.rows()
              + " rows when it was added, but has "
              + rowsOf.size()
              + " now: give the same data, or start a new pool.");
    }
    data.put(name, rowsOf);
  }

  private List<String> names() {
    return sources.stream().map(Source::name).toList();
  }

  /** A view of the rows of these numbers. */
  IndexedDataset view(int[] numbers) {
    List<String> missing = names().stream().filter(name -> !data.containsKey(name)).toList();
    if (!missing.isEmpty()) {
      throw new OutriggerException(
          "The restored pool lacks its data sets " + missing + ": reconnect them first.");
    }
    IndexedDataset[] all =
        sources.stream().map(source -> data.get(source.name())).toArray(IndexedDataset[]::new);
    return (all.length == 1 ? all[0] : IndexedDataset.concat(all)).subset(numbers);
  }

  /** Drops what a pruning of the present rows, in their order, dropped. */
  void drop(AdaptInfinity.Pruning pruning, int[] clusters, int step) {
    int[] before = rows;
    int[] out = pruning.dropped();
    for (int i = 0; i < out.length; i++) {
      int near = pruning.resembles()[i];
      drops.add(
          new Drop(
              before[out[i]],
              step,
              clusters[out[i]],
              pruning.similarity()[i],
              near < 0 ? -1 : before[near]));
    }
    rows = Arrays.stream(pruning.kept()).map(i -> before[i]).toArray();
  }

  // -- saved form

  Map<String, Object> values() {
    return Map.of(
        "sources",
        sources.stream()
            .map(source -> Map.<String, Object>of("name", source.name(), "rows", source.rows()))
            .toList());
  }

  Map<String, Tensor> tensors() {
    long[] flat = new long[drops.size() * 4];
    double[] similar = new double[drops.size()];
    for (int i = 0; i < drops.size(); i++) {
      Drop d = drops.get(i);
      flat[4 * i] = d.row;
      flat[4 * i + 1] = d.step;
      flat[4 * i + 2] = d.cluster;
      flat[4 * i + 3] = d.resembles;
      similar[i] = d.similarity;
    }
    Map<String, Tensor> all = new LinkedHashMap<>();
    all.put("pool", Tensors.labels(rows));
    all.put("dropped", Tensors.of(flat, drops.size(), 4));
    all.put("similarity", Tensors.of(similar, similar.length));
    return all;
  }

  /** A pool from its saved form, without its data sets. */
  static DataPool of(@Nullable Object saved, int[] rows, long[] dropped, double[] similarity) {
    List<Source> sources = new ArrayList<>();
    int first = 0;
    if (!(saved instanceof List<?> list)) {
      throw damaged("its data sets are missing");
    }
    for (Object each : list) {
      if (!(each instanceof Map<?, ?> map)
          || !(map.get("name") instanceof String name)
          || !(map.get("rows") instanceof Number count)
          || count.intValue() < 1) {
        throw damaged("a data set has no name or no rows");
      }
      sources.add(new Source(name, first, count.intValue()));
      first += count.intValue();
    }
    BitSet seen = new BitSet();
    for (int i = 0; i < rows.length; i++) {
      if (rows[i] < 0 || rows[i] >= first || (i > 0 && rows[i] <= rows[i - 1])) {
        throw damaged("row numbers are out of order or out of range");
      }
      seen.set(rows[i]);
    }
    if (dropped.length != 4 * similarity.length) {
      throw damaged("the list of dropped rows is incomplete");
    }
    List<Drop> drops = new ArrayList<>();
    for (int i = 0; i < similarity.length; i++) {
      int row = (int) dropped[4 * i];
      int near = (int) dropped[4 * i + 3];
      if (row < 0 || row >= first || near < -1 || near >= first || seen.get(row)) {
        throw damaged("a dropped row is out of range or still in the pool");
      }
      seen.set(row);
      drops.add(
          new Drop(row, (int) dropped[4 * i + 1], (int) dropped[4 * i + 2], similarity[i], near));
    }
    if (seen.cardinality() != first) {
      throw damaged("some rows are neither in the pool nor dropped");
    }
    return new DataPool(sources, new LinkedHashMap<>(), drops, rows);
  }

  private static OutriggerException damaged(String why) {
    return new OutriggerException("The saved pool is damaged: " + why + ". Restore a copy of it.");
  }
}
