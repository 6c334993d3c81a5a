package org.outrigger.serve.store;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * How events are stored.
 *
 * @param location a file of DuckDB, or the JDBC URL of a PostgreSQL database
 * @param user of PostgreSQL; null if the URL names one
 * @param password of PostgreSQL; null for none
 * @param flushInterval the longest that a row waits to be written, and so the most that a crash
 *     loses
 * @param batchRows rows that are written at once without waiting any longer
 * @param queueRows the most rows that wait; further ones are not stored
 * @param queueBytes the most bytes of inputs that wait; further rows are not stored
 * @param retention how long rows and their labels are kept; null for ever
 * @param inputs whether inputs are stored too, which may be personal data
 */
public record StoreSettings(
    String location,
    @Nullable String user,
    @Nullable String password,
    Duration flushInterval,
    int batchRows,
    int queueRows,
    long queueBytes,
    @Nullable Duration retention,
    boolean inputs) {
  private static final String POSTGRES = "jdbc:postgresql:";

  public StoreSettings {
    HyperParameter.require(
        flushInterval.toMillis() >= 1, "flushInterval", flushInterval, "1 ms or longer");
    HyperParameter.atLeast("batchRows", batchRows, 1);
    HyperParameter.atLeast("queueRows", queueRows, batchRows);
    HyperParameter.require(queueBytes >= 1 << 20, "queueBytes", queueBytes, "1 MiB or more");
    HyperParameter.require(
        retention == null || retention.toSeconds() >= 1,
        "retention",
        String.valueOf(retention),
        "1 s or longer");
    if (location.startsWith("jdbc:") && !location.startsWith(POSTGRES)) {
      throw new OutriggerException(
          "The event store is a file of DuckDB or a URL that starts with "
              + POSTGRES
              + ": other databases are not supported.");
    }
  }

  /** A file of DuckDB: flushed every second, 100,000 rows may wait, kept for ever, no inputs. */
  public static StoreSettings file(Path file) {
    return at(file.toString());
  }

  /** As {@link #file}, at a file or a URL. */
  public static StoreSettings at(String location) {
    return new StoreSettings(
        location, null, null, Duration.ofSeconds(1), 5_000, 100_000, 256L << 20, null, false);
  }

  public StoreSettings withUser(@Nullable String name, @Nullable String secret) {
    return new StoreSettings(
        location, name, secret, flushInterval, batchRows, queueRows, queueBytes, retention, inputs);
  }

  public StoreSettings withFlush(Duration interval, int rows) {
    return new StoreSettings(
        location, user, password, interval, rows, queueRows, queueBytes, retention, inputs);
  }

  public StoreSettings withQueue(int rows, long bytes) {
    return new StoreSettings(
        location, user, password, flushInterval, batchRows, rows, bytes, retention, inputs);
  }

  public StoreSettings withRetention(@Nullable Duration age) {
    return new StoreSettings(
        location, user, password, flushInterval, batchRows, queueRows, queueBytes, age, inputs);
  }

  public StoreSettings withInputs(boolean stored) {
    return new StoreSettings(
        location,
        user,
        password,
        flushInterval,
        batchRows,
        queueRows,
        queueBytes,
        retention,
        stored);
  }

  boolean postgres() {
    return location.startsWith(POSTGRES);
  }

  /** Shows no password. */
  @Override
  public String toString() {
    return "StoreSettings[" + Database.shown(location) + "]";
  }
}
