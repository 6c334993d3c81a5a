package org.outrigger.serve.protocol;

/** A request that is answered with an error: the status and a message for the client. */
public final class Refusal extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  /**
   * @param status 4xx or 5xx
   * @param message what is wrong and what to do, without anything of the server's inside
   */
  public Refusal(int status, String message) {
    super(message, null, false, false);
    this.status = status;
  }

  /** 400: the request is wrong. */
  public static Refusal bad(String message) {
    return new Refusal(400, message);
  }

  /** 404: there is no such thing. */
  public static Refusal missing(String message) {
    return new Refusal(404, message);
  }

  public int status() {
    return status;
  }
}
