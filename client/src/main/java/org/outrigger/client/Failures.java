package org.outrigger.client;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** What went wrong, in words that say what to do. */
final class Failures {
  private Failures() {}

  /** The failure behind the wrappers of futures. */
  static Throwable cause(Throwable failure) {
    Throwable cause = failure;
    while ((cause instanceof CompletionException || cause instanceof ExecutionException)
        && cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause;
  }

  /** Whether no connection came about, so that nothing was sent. */
  static boolean unsent(Throwable cause) {
    return cause instanceof ConnectException || cause instanceof HttpConnectTimeoutException;
  }

  /** No answer came. */
  static GuardClientException none(Throwable failure, URI server, Duration timeout) {
    Throwable cause = cause(failure);
    String what;
    if (cause instanceof GuardClientException known) {
      return known;
    } else if (unsent(cause)) {
      what = "Nothing answers at " + server + ": is 'outrigger serve' running there?";
    } else if (cause instanceof HttpTimeoutException || cause instanceof TimeoutException) {
      what =
          "No answer within "
              + timeout.toMillis()
              + " ms: send fewer rows at a time, or allow more with timeout(...).";
    } else if (cause instanceof SSLException) {
      what = "The server's certificate is not trusted: name it with trustStore(...).";
    } else if (cause instanceof IOException) {
      what = "The connection to " + server + " broke: try again; the server's log may say more.";
    } else {
      what = "The request could not be made.";
    }
    return new GuardClientException(0, what + "\n" + cause, cause);
  }

  /** The server refused. */
  static GuardClientException refused(int status, byte[] body, int tries) {
    String said = said(body);
    String what =
        switch (status) {
          case 401 -> "The server wants a token that it knows: give one with token(...).";
          case 403 -> "This needs a token of the role admin.";
          case 404 -> "The server does not have that: see models().";
          case 413 -> "The request is too large: send fewer rows at a time.";
          case 429 -> "The server is busy, also after " + tries + " tries: come back later.";
          case 503 -> "The server cannot answer now, also after " + tries + " tries.";
          default ->
              status >= 500
                  ? "The server failed (" + status + "); its log says why."
                  : status >= 300 && status < 400
                      ? "The server points elsewhere (" + status + "), which is not followed."
                      : "The server refused the request (" + status + ").";
        };
    return new GuardClientException(
        status, said.isEmpty() ? what : what + " It says: " + said, null);
  }

  private static String said(byte[] body) {
    if (body.length == 0 || body.length > 100_000) {
      return "";
    }
    try {
      JsonNode json = Answer.JSON.readTree(body);
      return shown(json.path("error").asString(""));
    } catch (JacksonException e) {
      return "";
    }
  }

  /** Text of a server, one line of it, cut short for a message. */
  static String shown(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
    return line.length() > 300 ? line.substring(0, 300) + "..." : line;
  }
}
