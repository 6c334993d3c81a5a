package org.outrigger.serve.monitor;

import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * Where alerts go, and how hard it is tried.
 *
 * @param url of the receiver, http or https; its path often is a secret
 * @param secret signs the alerts; null leaves them unsigned
 * @param timeout of one try
 * @param attempts how often an alert is tried
 * @param backOff before the second try; it doubles with each further one, up to a minute
 * @param queue how many alerts may wait
 * @param drain how long a stop tries to deliver what waits
 */
public record WebhookSettings(
    URI url,
    @Nullable String secret,
    Duration timeout,
    int attempts,
    Duration backOff,
    int queue,
    Duration drain) {
  public WebhookSettings {
    check(url);
    HyperParameter.require(timeout.toMillis() >= 1, "timeout", timeout, "1 ms or longer");
    HyperParameter.atLeast("attempts", attempts, 1);
    HyperParameter.require(!backOff.isNegative(), "backOff", backOff, "0 or longer");
    HyperParameter.atLeast("queue", queue, 1);
    HyperParameter.require(!drain.isNegative(), "drain", drain, "0 or longer");
  }

  /**
   * Six tries within about half a minute, 5 s each; 256 may wait.
   *
   * @throws OutriggerException if it is no URL of http or https; the message does not show it
   */
  public static WebhookSettings of(String url, @Nullable String secret) {
    URI parsed;
    try {
      parsed = new URI(url.strip());
    } catch (URISyntaxException e) {
      // Without the cause, which would show the URL and so its secret.
      throw new OutriggerException(
          "The address of the webhook is no URL: write https://HOST/PATH.");
    }
    return new WebhookSettings(
        parsed,
        secret,
        Duration.ofSeconds(5),
        6,
        Duration.ofSeconds(1),
        256,
        Duration.ofSeconds(3));
  }

  /** The same with another time-out, number of tries and pause. */
  public WebhookSettings withTries(Duration newTimeout, int newAttempts, Duration newBackOff) {
    return new WebhookSettings(url, secret, newTimeout, newAttempts, newBackOff, queue, drain);
  }

  /** The same with another queue and time to drain. */
  public WebhookSettings withQueue(int newQueue, Duration newDrain) {
    return new WebhookSettings(url, secret, timeout, attempts, backOff, newQueue, newDrain);
  }

  /** The receiver's address without what may be secret, for logs and status. */
  public String shown() {
    return url.getScheme()
        + "://"
        + url.getHost()
        + (url.getPort() < 0 ? "" : ":" + url.getPort())
        + "/...";
  }

  @Override
  public String toString() {
    return "webhook " + shown();
  }

  private static void check(URI url) {
    String scheme = url.getScheme() == null ? "" : url.getScheme().toLowerCase(Locale.ROOT);
    if (!scheme.equals("http") && !scheme.equals("https") || url.getHost() == null) {
      throw new OutriggerException(
          "The address of the webhook is no URL of http or https with a host: write"
              + " https://HOST/PATH.");
    }
    if (url.getUserInfo() != null) {
      throw new OutriggerException(
          "The address of the webhook holds a user or a password, which is not sent: use a secret"
              + " path, or check the signature.");
    }
  }
}
