package org.outrigger.guard;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.TableWriter;

/**
 * Writes verdicts to Parquet, CSV or JSON Lines, by the ending of the file's name. Nothing is at
 * the target before {@link #commit}; without it nothing is left behind.
 */
public final class VerdictWriter implements AutoCloseable {
  private final TableWriter table;
  private final boolean labelSets;

  private VerdictWriter(TableWriter table, boolean labelSets) {
    this.table = table;
    this.labelSets = labelSets;
  }

  /**
   * Opens a writer.
   *
   * @param target ends in .parquet, .csv or .jsonl
   * @param labelSets whether the guard gives label sets: then the columns {@code label_set}, class
   *     names with {@code |} between them, and {@code coverage}, the promised one, follow
   */
  public static VerdictWriter open(Path target, boolean labelSets) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    columns.put("score", Double.class);
    columns.put("unknown", Boolean.class);
    columns.put("detector", String.class);
    if (labelSets) {
      columns.put("label_set", String.class);
      columns.put("coverage", Double.class);
    }
    return new VerdictWriter(TableWriter.open(target, columns), labelSets);
  }

  /** Adds a verdict. */
  public void write(Verdict verdict) {
    List<@Nullable Object> cells =
        new ArrayList<>(
            Arrays.asList(
                verdict.id(),
                verdict.label(),
                verdict.className(),
                verdict.probability(),
                verdict.score(),
                verdict.unknown(),
                verdict.detector()));
    if (labelSets) {
      LabelSet set = verdict.labelSet();
      cells.add(set == null ? null : String.join("|", set.classNames()));
      cells.add(set == null ? null : set.coverage());
    }
    table.write(cells.toArray());
  }

  /** Writes the file, whole or not at all. */
  public void commit() {
    table.commit();
  }

  @Override
  public void close() {
    table.close();
  }
}
