package org.outrigger.serve;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.HyperParameter;

/**
 * How a server runs. The defaults are for one machine: it listens on the loopback address only.
 *
 * @param host the address to listen on
 * @param port to listen on; 0 for any that is free
 * @param maxBatch the most rows of one forward pass
 * @param maxDelay the longest that a request waits for others to share a forward pass with
 * @param queueRows the most rows that wait; what comes beyond is answered with 429
 * @param maxRequestBytes the largest body
 * @param maxRows the most rows of one request
 * @param requestTimeout the longest that a request waits for its answer; then it is answered 503
 * @param readTimeout how long a connection may be silent while a request is read
 * @param drain how long a stop waits for what was accepted
 * @param tokens a file of {@link Tokens}; null lets everybody ask
 * @param keystore a PKCS#12 file for TLS; null for plain HTTP
 * @param keystorePassword of that file
 */
public record ServerSettings(
    String host,
    int port,
    int maxBatch,
    Duration maxDelay,
    int queueRows,
    int maxRequestBytes,
    int maxRows,
    Duration requestTimeout,
    Duration readTimeout,
    Duration drain,
    @Nullable Path tokens,
    @Nullable Path keystore,
    @Nullable String keystorePassword) {
  public ServerSettings {
    HyperParameter.require(port >= 0 && port <= 65535, "port", port, "0 to 65535");
    HyperParameter.atLeast("maxBatch", maxBatch, 1);
    HyperParameter.atLeast("queueRows", queueRows, 1);
    HyperParameter.atLeast("maxRequestBytes", maxRequestBytes, 1024);
    HyperParameter.atLeast("maxRows", maxRows, 1);
    HyperParameter.require(!maxDelay.isNegative(), "maxDelay", maxDelay, "0 or longer");
    HyperParameter.require(
        requestTimeout.toMillis() >= 1, "requestTimeout", requestTimeout, "1 ms or longer");
    HyperParameter.require(
        readTimeout.toMillis() >= 1, "readTimeout", readTimeout, "1 ms or longer");
    HyperParameter.require(!drain.isNegative(), "drain", drain, "0 or longer");
  }

  /** Loopback, port 8080, batches of 64 gathered within 2 ms, 1024 rows waiting. */
  public static ServerSettings defaults() {
    return new ServerSettings(
        "127.0.0.1",
        8080,
        64,
        Duration.ofMillis(2),
        1024,
        32 << 20,
        1024,
        Duration.ofSeconds(30),
        Duration.ofSeconds(10),
        Duration.ofSeconds(20),
        null,
        null,
        null);
  }

  public ServerSettings withAddress(String newHost, int newPort) {
    return new ServerSettings(
        newHost,
        newPort,
        maxBatch,
        maxDelay,
        queueRows,
        maxRequestBytes,
        maxRows,
        requestTimeout,
        readTimeout,
        drain,
        tokens,
        keystore,
        keystorePassword);
  }

  public ServerSettings withBatching(int rows, Duration delay) {
    return new ServerSettings(
        host,
        port,
        rows,
        delay,
        queueRows,
        maxRequestBytes,
        maxRows,
        requestTimeout,
        readTimeout,
        drain,
        tokens,
        keystore,
        keystorePassword);
  }

  public ServerSettings withLimits(int waitingRows, int bytes, int rows) {
    return new ServerSettings(
        host,
        port,
        maxBatch,
        maxDelay,
        waitingRows,
        bytes,
        rows,
        requestTimeout,
        readTimeout,
        drain,
        tokens,
        keystore,
        keystorePassword);
  }

  public ServerSettings withTimeouts(Duration request, Duration read, Duration stop) {
    return new ServerSettings(
        host,
        port,
        maxBatch,
        maxDelay,
        queueRows,
        maxRequestBytes,
        maxRows,
        request,
        read,
        stop,
        tokens,
        keystore,
        keystorePassword);
  }

  public ServerSettings withTokens(@Nullable Path file) {
    return new ServerSettings(
        host,
        port,
        maxBatch,
        maxDelay,
        queueRows,
        maxRequestBytes,
        maxRows,
        requestTimeout,
        readTimeout,
        drain,
        file,
        keystore,
        keystorePassword);
  }

  public ServerSettings withTls(@Nullable Path file, @Nullable String password) {
    return new ServerSettings(
        host,
        port,
        maxBatch,
        maxDelay,
        queueRows,
        maxRequestBytes,
        maxRows,
        requestTimeout,
        readTimeout,
        drain,
        tokens,
        file,
        password);
  }
}
