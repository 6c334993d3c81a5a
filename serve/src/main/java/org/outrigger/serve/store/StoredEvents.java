package org.outrigger.serve.store;

import java.sql.SQLException;
import java.util.List;
import java.util.function.Consumer;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.ServerEvent;

/** A store that is only read, without a server. */
public final class StoredEvents implements AutoCloseable {
  /** A long export has time. */
  private static final int SECONDS = 3_600;

  private final Database database;
  private final StoreQueries queries;

  private StoredEvents(Database database) {
    this.database = database;
    queries = new StoreQueries(database);
  }

  /**
   * Opens a store.
   *
   * @throws OutriggerException if there is none, or another process has its file open
   */
  public static StoredEvents open(StoreSettings settings) {
    Database database =
        settings.postgres()
            ? new PostgresDatabase(settings)
            : new DuckDbDatabase(settings.location(), true);
    try {
      Migrations.check(database, Migrations.steps(database.dialect()));
    } catch (SQLException e) {
      database.close();
      throw database.cannotOpen(e);
    } catch (RuntimeException e) {
      database.close();
      throw e;
    }
    return new StoredEvents(database);
  }

  /** Hands out rows, the newest first. */
  public void rows(EventQuery asked, Consumer<StoredRow> each) {
    try {
      queries.rows(asked, SECONDS, each);
    } catch (SQLException e) {
      throw unreadable(e);
    }
  }

  /** What happened to the server, the newest first. */
  public List<ServerEvent> history(EventQuery asked) {
    try {
      return queries.history(asked).stream().map(StoreQueries.Happened::event).toList();
    } catch (SQLException e) {
      throw unreadable(e);
    }
  }

  private OutriggerException unreadable(SQLException e) {
    return new OutriggerException(
        "The event store " + database.shown() + " cannot be read.\n" + e.getMessage(), e);
  }

  @Override
  public void close() {
    database.close();
  }
}
