package org.outrigger.client;

import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What may go with a check.
 *
 * @param id of the request, 1 to 128 printable ASCII characters; null lets the client make one up.
 *     A check that is sent in several requests adds {@code /1}, {@code /2} and so on
 * @param stream whose rows these are, for guards that follow each stream by itself; null for none
 * @param traceparent the W3C trace context to pass on; null for the client's own
 */
public record CheckOptions(
    @Nullable String id, @Nullable String stream, @Nullable String traceparent) {
  private static final Pattern NAMED = Pattern.compile("[\\x21-\\x7E][\\x20-\\x7E]{0,127}");
  private static final CheckOptions NONE = new CheckOptions(null, null, null);

  public CheckOptions {
    named("id", id);
    named("stream", stream);
    named("traceparent", traceparent);
  }

  /** Nothing. */
  public static CheckOptions none() {
    return NONE;
  }

  public CheckOptions withId(String newId) {
    return new CheckOptions(newId, stream, traceparent);
  }

  public CheckOptions withStream(String newStream) {
    return new CheckOptions(id, newStream, traceparent);
  }

  public CheckOptions withTraceparent(String newTraceparent) {
    return new CheckOptions(id, stream, newTraceparent);
  }

  private static void named(String what, @Nullable String value) {
    if (value != null && !NAMED.matcher(value).matches()) {
      throw new IllegalArgumentException(
          what + " is 1 to 128 printable ASCII characters, no space first.");
    }
  }
}
