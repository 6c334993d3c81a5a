package org.outrigger.client;

import java.net.http.HttpHeaders;
import java.time.Duration;

/**
 * How often and when a request is sent again: after 429 and 503, and where no connection came
 * about. Only requests that may be repeated are; exchanging a guard is not.
 *
 * @param times how often at most, after the first try; 0 for never
 * @param first the wait before the first repetition, which doubles with each; a longer {@code
 *     Retry-After} of the server counts instead
 * @param most the longest wait; where the server asks for a longer one, the client gives up
 */
public record Retries(int times, Duration first, Duration most) {
  public Retries {
    if (times < 0 || times > 100 || first.isNegative() || most.compareTo(first) < 0) {
      throw new IllegalArgumentException(
          "Retries take 0 to 100 times, a first wait of 0 or longer, and a longest wait not below"
              + " that.");
    }
  }

  /** Four times, after 0.1 s, 0.2 s, 0.4 s and 0.8 s, or what the server asks for up to 10 s. */
  public static Retries defaults() {
    return new Retries(4, Duration.ofMillis(100), Duration.ofSeconds(10));
  }

  /** Never. */
  public static Retries none() {
    return new Retries(0, Duration.ZERO, Duration.ZERO);
  }

  /**
   * Milliseconds to wait before a repetition.
   *
   * @param done repetitions so far
   * @param asked what the server asks for, in seconds; 0 if nothing
   * @param share in [0, 1): spreads clients that were refused together
   * @return the wait; -1 to give up
   */
  long wait(int done, long asked, double share) {
    if (done >= times || asked > most.toSeconds()) {
      return -1;
    }
    double own = Math.min(most.toMillis(), first.toMillis() * Math.pow(2, done));
    // Half of the wait is spread, so that clients do not come back together.
    double spread = own * (1 + share) / 2;
    return (long) Math.min(most.toMillis(), asked > 0 ? 1000.0 * asked + spread / 4 : spread);
  }

  /** Seconds of the header Retry-After; 0 if there is none that can be read. */
  static long asked(HttpHeaders headers) {
    String text = headers.firstValue("Retry-After").orElse("").strip();
    return text.matches("[0-9]{1,9}") ? Long.parseLong(text) : 0;
  }
}
