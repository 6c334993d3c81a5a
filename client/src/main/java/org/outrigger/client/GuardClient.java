package org.outrigger.client;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublishers;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Asks a guard behind HTTP.
 *
 * <pre>{@code
 * GuardClient client = GuardClient.of(URI.create("http://127.0.0.1:8080")).model("flowers").build();
 * for (Verdict v : client.check(new float[][] {{5.1f, 3.5f, 1.4f, 0.2f}})) {
 *   if (v.unknown()) review(v.row(), v.score());
 *   else act(v.className(), v.probability());
 * }
 * }</pre>
 *
 * <p>More rows than the server takes at once go in several requests, one after the other. A request
 * that the server refuses with 429 or 503 is sent again as {@link Retries} say; after a 503 a guard
 * may judge rows twice. Safe for concurrent use; it needs no closing.
 *
 * <p>All methods throw a {@link GuardClientException} if the server is not reached or refuses,
 * whose first line says what to do; futures end with the same.
 */
public final class GuardClient {
  private static final String HEAD_LENGTH = "Inference-Header-Content-Length";

  private final GuardClientBuilder how;
  private final Exchange exchange;
  private volatile @Nullable ModelMetadata known;

  GuardClient(GuardClientBuilder how, HttpClient http) {
    this.how = how;
    this.exchange = new Exchange(how, http);
  }

  /**
   * Starts to build a client.
   *
   * @param server its address, such as {@code http://127.0.0.1:8080}
   */
  public static GuardClientBuilder of(URI server) {
    return new GuardClientBuilder(server);
  }

  /**
   * Judges rows.
   *
   * @param rows each with the values of one input in row-major order, all finite
   * @return one verdict a row, in order
   */
  public List<Verdict> check(float[][] rows) {
    return await(checkAsync(rows));
  }

  /**
   * Judges inputs.
   *
   * @param values in row-major order, all finite
   * @param shape of which the first is the number of rows
   * @return one verdict a row, in order
   */
  public List<Verdict> check(float[] values, long... shape) {
    return await(checkAsync(CheckOptions.none(), values, shape));
  }

  /** Judges inputs, with an id, a stream or a trace of its own. */
  public List<Verdict> check(CheckOptions options, float[] values, long... shape) {
    return await(checkAsync(options, values, shape));
  }

  /** Judges rows, with an id, a stream or a trace of its own. */
  public List<Verdict> check(CheckOptions options, float[][] rows) {
    return await(checkAsync(options, rows));
  }

  /** As {@link #check(float[][])}, without waiting. */
  public CompletableFuture<List<Verdict>> checkAsync(float[][] rows) {
    return checkAsync(CheckOptions.none(), rows);
  }

  /** As {@link #check(CheckOptions, float[][])}, without waiting. */
  public CompletableFuture<List<Verdict>> checkAsync(CheckOptions options, float[][] rows) {
    if (rows.length == 0) {
      return CompletableFuture.completedFuture(List.of());
    }
    int length = rows[0].length;
    float[] values = new float[Math.multiplyExact(rows.length, length)];
    for (int i = 0; i < rows.length; i++) {
      if (rows[i].length != length) {
        throw new IllegalArgumentException(
            "Row " + i + " has " + rows[i].length + " values, but row 0 has " + length + ".");
      }
      System.arraycopy(rows[i], 0, values, i * length, length);
    }
    Call call = call(options);
    return knownAsync()
        .thenCompose(
            model -> {
              long[] inner = model.inputShape().stream().mapToLong(Long::longValue).toArray();
              // A flat row of an image's values goes as an image.
              return ask(
                  call,
                  model,
                  values,
                  rows.length,
                  model.rowLength() == length ? inner : new long[] {length});
            });
  }

  /** As {@link #check(float[], long...)}, without waiting. */
  public CompletableFuture<List<Verdict>> checkAsync(float[] values, long... shape) {
    return checkAsync(CheckOptions.none(), values, shape);
  }

  /** As {@link #check(CheckOptions, float[], long...)}, without waiting. */
  public CompletableFuture<List<Verdict>> checkAsync(
      CheckOptions options, float[] values, long... shape) {
    long count = shape.length == 0 ? -1 : 1;
    for (long size : shape) {
      if (size < 0 || size > 0 && count > Integer.MAX_VALUE / size) {
        count = -1;
        break;
      }
      count *= size;
    }
    if (count != values.length) {
      throw new IllegalArgumentException(
          "There are "
              + values.length
              + " values, which are not of the shape "
              + Arrays.toString(shape)
              + ".");
    }
    if (count == 0) {
      return CompletableFuture.completedFuture(List.of());
    }
    float[] own = values.clone();
    Call call = call(options);
    return knownAsync()
        .thenCompose(
            model ->
                ask(call, model, own, (int) shape[0], Arrays.copyOfRange(shape, 1, shape.length)));
  }

  /**
   * What goes with all requests of one check; the trace is the caller's at the time of the call.
   */
  private record Call(String id, @Nullable String stream, @Nullable String traceparent) {}

  private Call call(CheckOptions options) {
    String id = options.id();
    String trace = options.traceparent();
    return new Call(
        id == null ? UUID.randomUUID().toString() : id,
        options.stream(),
        trace == null ? how.traceparent.get() : trace);
  }

  private CompletableFuture<List<Verdict>> ask(
      Call call, ModelMetadata model, float[] values, int rows, long[] inner) {
    int length = values.length / rows;
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        return CompletableFuture.failedFuture(
            new IllegalArgumentException(
                "Row "
                    + i / length
                    + " holds NaN or an infinite value: a guard takes finite numbers."));
      }
    }
    int most = Math.min(model.maxRows(), rowsThatFit(model, length));
    return next(call, model, values, inner, 0, rows, most, new ArrayList<>(rows));
  }

  private int rowsThatFit(ModelMetadata model, int length) {
    // As text a float has up to 16 characters.
    long row = (how.binary ? 4L : 16L) * Math.max(1, length);
    return (int) Math.max(1, Math.min(Integer.MAX_VALUE, (model.maxRequestBytes() - 4096L) / row));
  }

  private CompletableFuture<List<Verdict>> next(
      Call call,
      ModelMetadata model,
      float[] values,
      long[] inner,
      int from,
      int rows,
      int most,
      List<Verdict> sofar) {
    int n = Math.min(most, rows - from);
    String id = rows <= most ? call.id : call.id + "/" + (1 + from / most);
    int length = values.length / rows;
    Question question =
        Question.of(model, how.binary, id, call.stream, values, from * length, n, inner);
    return exchange
        .send(
            path(model.name()) + "/infer",
            true,
            request -> {
              if (question.jsonLength() >= 0) {
                request
                    .header("Content-Type", "application/octet-stream")
                    .header(HEAD_LENGTH, Integer.toString(question.jsonLength()));
              } else {
                request.header("Content-Type", "application/json");
              }
              if (call.traceparent != null) {
                request.header("traceparent", call.traceparent);
              }
              request.POST(BodyPublishers.ofByteArray(question.bytes()));
            })
        .thenCompose(
            response -> {
              String head = response.headers().firstValue(HEAD_LENGTH).orElse(null);
              sofar.addAll(new Answer(response.body(), head, n).verdicts(id));
              return from + n == rows
                  ? CompletableFuture.completedFuture(List.copyOf(sofar))
                  : next(call, model, values, inner, from + n, rows, most, sofar);
            });
  }

  /** What the server says about the guard now. */
  public ModelMetadata metadata() {
    return await(metadataAsync());
  }

  private CompletableFuture<ModelMetadata> knownAsync() {
    ModelMetadata model = known;
    return model == null ? metadataAsync() : CompletableFuture.completedFuture(model);
  }

  private CompletableFuture<ModelMetadata> metadataAsync() {
    return nameAsync()
        .thenCompose(name -> exchange.send(path(name), true, request -> {}))
        .thenApply(
            response -> {
              ModelMetadata read = Metadata.read(response.body());
              known = read;
              return read;
            });
  }

  private CompletableFuture<String> nameAsync() {
    String name = how.model;
    if (name != null) {
      return CompletableFuture.completedFuture(name);
    }
    return modelsAsync()
        .thenApply(
            models -> {
              if (models.size() != 1) {
                throw new GuardClientException(
                    200,
                    models.isEmpty()
                        ? "The server has no guard yet."
                        : "The server has several guards: choose with model(...), of "
                            + String.join(", ", models.stream().map(ServedModel::name).toList())
                            + ".",
                    null);
              }
              return models.get(0).name();
            });
  }

  /** Whether the server serves. An exception says that it was not reached. */
  public boolean ready() {
    try {
      await(exchange.send("/v2/health/ready", false, request -> {}));
      return true;
    } catch (GuardClientException e) {
      if (e.status() == 503) {
        return false;
      }
      throw e;
    }
  }

  /** The guards that the server has. */
  public List<ServedModel> models() {
    return await(modelsAsync());
  }

  private CompletableFuture<List<ServedModel>> modelsAsync() {
    return exchange
        .send("/v2/repository/index", true, request -> request.POST(BodyPublishers.noBody()))
        .thenApply(response -> Metadata.models(response.body()));
  }

  /**
   * Tells the true class of a row that was judged earlier, from which the server measures accuracy
   * and calibration. It takes a server that keeps events.
   */
  public void label(String id, int row, int label) {
    label(List.of(new RowLabel(id, row, label)));
  }

  /** Tells the true class of a row. */
  public void label(Verdict verdict, int label) {
    label(verdict.requestId(), verdict.row(), label);
  }

  /** Tells the true classes of rows. */
  public void label(List<RowLabel> labels) {
    byte[] body = Answer.JSON.writeValueAsBytes(Map.of("labels", labels));
    await(
        nameAsync()
            .thenCompose(
                name ->
                    exchange.send(
                        path(name) + "/labels",
                        true,
                        request ->
                            request
                                .header("Content-Type", "application/json")
                                .POST(BodyPublishers.ofByteArray(body)))));
  }

  /**
   * Lets the server read the guard's bundle again. It needs a token of the role admin, and is not
   * repeated by itself.
   *
   * @return the version that answers now
   */
  public String reload() {
    return exchange("load");
  }

  /**
   * Lets the server go back to the version before. It needs a token of the role admin, and is not
   * repeated by itself.
   *
   * @return the version that answers now
   */
  public String rollBack() {
    return exchange("rollback");
  }

  private String exchange(String what) {
    return await(
        nameAsync()
            .thenCompose(
                name ->
                    exchange.send(
                        "/v2/repository/models/" + name + "/" + what,
                        false,
                        request -> request.POST(BodyPublishers.noBody())))
            .thenApply(
                response -> {
                  known = null;
                  JsonNode json = Answer.object(response.body(), response.body().length);
                  return Metadata.text(json, "version");
                }));
  }

  private static String path(String model) {
    return "/v2/models/" + model;
  }

  private static <T> T await(CompletableFuture<T> future) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      future.cancel(true);
      Thread.currentThread().interrupt();
      throw new GuardClientException(0, "The thread was interrupted while it waited.", e);
    } catch (ExecutionException e) {
      Throwable cause = Failures.cause(e);
      if (cause instanceof RuntimeException known && !(cause instanceof CompletionException)) {
        // Thrown here, it shows the caller's stack trace too.
        known.addSuppressed(new IllegalStateException("Asked here."));
        throw known;
      }
      throw new GuardClientException(0, "The request could not be made.\n" + cause, cause);
    }
  }
}
