package org.outrigger.guard;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.data.TableWriter;

/**
 * Writes verdicts to Parquet, CSV or JSON Lines, by the ending of the file's name. Nothing is at
 * the target before {@link #commit}; without it nothing is left behind.
 */
public final class VerdictWriter implements AutoCloseable {
  private final TableWriter table;

  private VerdictWriter(TableWriter table) {
    this.table = table;
  }

  /**
   * Opens a writer.
   *
   * @param target ends in .parquet, .csv or .jsonl
   */
  public static VerdictWriter open(Path target) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    columns.put("score", Double.class);
    columns.put("unknown", Boolean.class);
    columns.put("detector", String.class);
    return new VerdictWriter(TableWriter.open(target, columns));
  }

  /** Adds a verdict. */
  public void write(Verdict verdict) {
    table.write(
        verdict.id(),
        verdict.label(),
        verdict.className(),
        verdict.probability(),
        verdict.score(),
        verdict.unknown(),
        verdict.detector());
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
