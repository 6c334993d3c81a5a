package org.outrigger.core.data;

import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** One row or file of a data set cannot be read; a walk leaves it out, unless it is strict. */
public final class UnreadableRow extends OutriggerException {
  private static final long serialVersionUID = 1L;

  private final String id;
  private final String reason;

  /**
   * An error about one row.
   *
   * @param id the row's name: a file name, an id, or a row number
   * @param reason in a few words, without a full stop
   */
  public UnreadableRow(String id, String reason) {
    this(id, reason, null);
  }

  /** As above, with what caused it. */
  public UnreadableRow(String id, String reason, @Nullable Throwable cause) {
    super("'" + id + "' cannot be read: " + reason + ".", cause);
    this.id = id;
    this.reason = reason;
  }

  /** The row's name. */
  public String id() {
    return id;
  }

  /** Why, in a few words. */
  public String reason() {
    return reason;
  }
}
