package org.outrigger.client;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Sends requests, again where that is allowed, and turns refusals into exceptions. */
final class Exchange {
  private final GuardClientBuilder how;
  private final HttpClient http;
  private final SplittableRandom spread = new SplittableRandom(System.nanoTime());

  Exchange(GuardClientBuilder how, HttpClient http) {
    this.how = how;
    this.http = http;
  }

  /**
   * Sends a request to a path of the server.
   *
   * @param repeatable whether it may be sent again
   * @return the answer, of status 200
   */
  CompletableFuture<HttpResponse<byte[]>> send(
      String path, boolean repeatable, Consumer<HttpRequest.Builder> fill) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(how.server + path)).timeout(how.timeout);
    if (how.token != null) {
      request.header("Authorization", "Bearer " + how.token);
    }
    fill.accept(request);
    return attempt(request.build(), repeatable, 0);
  }

  private CompletableFuture<HttpResponse<byte[]>> attempt(
      HttpRequest request, boolean repeatable, int done) {
    CompletableFuture<HttpResponse<byte[]>> sent =
        http.sendAsync(request, LimitedBody.atMost(how.maxAnswerBytes));
    // The request's own time-out ends with the head of the answer; its body may trickle.
    CompletableFuture<HttpResponse<byte[]>> timed =
        sent.copy().orTimeout(how.timeout.toMillis(), TimeUnit.MILLISECONDS);
    return timed
        .handle(
            (response, failure) -> {
              if (failure != null) {
                sent.cancel(true);
                long wait = Failures.unsent(Failures.cause(failure)) ? pause(done, 0) : -1;
                return wait >= 0
                    ? later(wait, request, repeatable, done)
                    : CompletableFuture.<HttpResponse<byte[]>>failedFuture(
                        Failures.none(failure, how.server, how.timeout));
              }
              int status = response.statusCode();
              if (status == 200) {
                return CompletableFuture.completedFuture(response);
              }
              if (repeatable && (status == 429 || status == 503)) {
                long wait = pause(done, Retries.asked(response.headers()));
                if (wait >= 0) {
                  return later(wait, request, repeatable, done);
                }
              }
              return CompletableFuture.<HttpResponse<byte[]>>failedFuture(
                  Failures.refused(status, response.body(), done + 1));
            })
        .thenCompose(next -> next);
  }

  private long pause(int done, long asked) {
    synchronized (spread) {
      return how.retries.wait(done, asked, spread.nextDouble());
    }
  }

  private CompletableFuture<HttpResponse<byte[]>> later(
      long wait, HttpRequest request, boolean repeatable, int done) {
    return CompletableFuture.supplyAsync(
            () -> attempt(request, repeatable, done + 1),
            CompletableFuture.delayedExecutor(wait, TimeUnit.MILLISECONDS))
        .thenCompose(next -> next);
  }
}
