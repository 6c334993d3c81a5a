package org.outrigger.client;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Locale;
import java.util.function.Supplier;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.jspecify.annotations.Nullable;

/** Says how a {@link GuardClient} asks. */
public final class GuardClientBuilder {
  final URI server;
  @Nullable String model;
  @Nullable String token;
  Duration timeout = Duration.ofSeconds(30);
  Retries retries = Retries.defaults();
  boolean binary = true;
  int maxAnswerBytes = 64 << 20;
  Supplier<@Nullable String> traceparent = () -> null;
  private Duration connectTimeout = Duration.ofSeconds(5);
  private @Nullable SSLContext tls;

  GuardClientBuilder(URI server) {
    String scheme = String.valueOf(server.getScheme()).toLowerCase(Locale.ROOT);
    if (!scheme.equals("http") && !scheme.equals("https") || server.getHost() == null) {
      throw new IllegalArgumentException(
          "A server's address is http://HOST:PORT or https://HOST:PORT, not " + server + ".");
    }
    String text = server.toString();
    this.server = URI.create(text.endsWith("/") ? text.substring(0, text.length() - 1) : text);
  }

  /** Which guard is asked. Without it, the only one that the server has. */
  public GuardClientBuilder model(String name) {
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")) {
      throw new IllegalArgumentException(
          "'" + name + "' is no name of a guard: letters, digits, '.', '_' and '-' make one.");
    }
    model = name;
    return this;
  }

  /** The token that {@code outrigger serve token} printed. It goes with every request. */
  public GuardClientBuilder token(String secret) {
    if (!secret.matches("[\\x21-\\x7E]{1,4096}")) {
      // The token itself stays out of messages.
      throw new IllegalArgumentException("A token is printable ASCII without spaces.");
    }
    token = secret;
    return this;
  }

  /** The longest that one try may take, from the connection to the last byte; 30 s. */
  public GuardClientBuilder timeout(Duration longest) {
    timeout = positive(longest);
    return this;
  }

  /** The longest that a connection may take to come about; 5 s. */
  public GuardClientBuilder connectTimeout(Duration longest) {
    connectTimeout = positive(longest);
    return this;
  }

  private static Duration positive(Duration longest) {
    if (longest.toMillis() < 1) {
      throw new IllegalArgumentException("A time-out is 1 ms or longer.");
    }
    return longest;
  }

  /** When a request is sent again. */
  public GuardClientBuilder retries(Retries how) {
    retries = how;
    return this;
  }

  /** Sends tensors as JSON, for people and proxies who want to read them; binary otherwise. */
  public GuardClientBuilder json() {
    binary = false;
    return this;
  }

  /** The largest answer that is read; 64 MiB. */
  public GuardClientBuilder maxAnswerBytes(int most) {
    if (most < 1024) {
      throw new IllegalArgumentException("An answer may have 1024 bytes or more.");
    }
    maxAnswerBytes = most;
    return this;
  }

  /** What gives the W3C trace context of the caller, on the caller's thread; null for none. */
  public GuardClientBuilder traceparent(Supplier<@Nullable String> current) {
    traceparent = current;
    return this;
  }

  /** Whom to trust over https, instead of Java's own list. */
  public GuardClientBuilder tls(SSLContext context) {
    tls = context;
    return this;
  }

  /**
   * Trusts the certificates of a file, instead of Java's own list.
   *
   * @param file PKCS#12, as keytool writes it
   * @param password of it
   * @throws GuardClientException if it cannot be read
   */
  public GuardClientBuilder trustStore(Path file, String password) {
    try (InputStream in = Files.newInputStream(file)) {
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(in, password.toCharArray());
      TrustManagerFactory trust =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(store);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trust.getTrustManagers(), null);
      return tls(context);
    } catch (IOException | GeneralSecurityException e) {
      throw new GuardClientException(
          0,
          "The trust store " + file + " cannot be read: check the path and the password.\n" + e,
          e);
    }
  }

  /** The client. It connects when it is first asked. */
  public GuardClient build() {
    HttpClient.Builder http =
        HttpClient.newBuilder()
            .connectTimeout(connectTimeout)
            // A token must not follow a redirection.
            .followRedirects(HttpClient.Redirect.NEVER)
            .version(HttpClient.Version.HTTP_1_1);
    if (tls != null) {
      http.sslContext(tls);
    }
    return new GuardClient(this, http.build());
  }
}
