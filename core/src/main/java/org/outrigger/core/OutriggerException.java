package org.outrigger.core;

import org.jspecify.annotations.Nullable;

/**
 * What a user did, or what their files hold, cannot work. The first line of the message says in our
 * words what is wrong and what to do; details of a native library, if any, follow on later lines.
 */
public class OutriggerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public OutriggerException(String message) {
    super(message);
  }

  public OutriggerException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  /** The first line of the message: what a command line shows. */
  public String firstLine() {
    String message = String.valueOf(getMessage());
    int end = message.indexOf('\n');
    return end < 0 ? message : message.substring(0, end);
  }
}
