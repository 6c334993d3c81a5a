package org.outrigger.client;

import org.jspecify.annotations.Nullable;

/** A server was not reached, or refused, or answered what cannot be. */
public final class GuardClientException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  GuardClientException(int status, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.status = status;
  }

  /** An answer that is none. */
  static GuardClientException answer(String what) {
    return new GuardClientException(
        200, what + ": is this an Outrigger server, and of the client's version?", null);
  }

  /** The HTTP status of the answer; 0 if there was none. */
  public int status() {
    return status;
  }
}
