package org.outrigger.serve;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Energy;
import org.outrigger.guard.Guard;

/** A small guard on digits as a bundle, a client, and a server on a free port. */
public final class ServedModel {
  public static final HttpClient CLIENT =
      HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();

  private ServedModel() {}

  /** Trains for a moment and saves a guard. */
  public static Path bundle(Path folder, long seed) {
    Path bundle = folder.resolve("digits-" + seed + ".guard");
    try (TensorDataset digits = Digits.images();
        NeuralModel model =
            NeuralModel.create("mlp", Map.of("hidden", "16"), new long[] {1, 8, 8}, 10, seed)) {
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(2).withSeed(seed))
          .fit(digits.limit(600));
      try (Guard guard = Guard.of(model).detect(new Energy()).fit(digits.limit(800))) {
        guard.save(bundle);
      }
    }
    return bundle;
  }

  /** Rows of digits in row-major order. */
  public static float[] rows(int n) {
    try (TensorDataset digits = Digits.images();
        PointerScope scope = new PointerScope()) {
      return Tensors.floats(digits.inputs().narrow(0, 0, n));
    }
  }

  public static ServerSettings settings() {
    return ServerSettings.defaults().withAddress("127.0.0.1", 0);
  }

  public static HttpRequest.Builder to(GuardServer server, String path) {
    return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path))
        .timeout(Duration.ofSeconds(60));
  }

  public static HttpResponse<byte[]> get(GuardServer server, String path) throws Exception {
    return CLIENT.send(to(server, path).build(), HttpResponse.BodyHandlers.ofByteArray());
  }

  public static HttpResponse<byte[]> post(GuardServer server, String path, byte[] body)
      throws Exception {
    return CLIENT.send(
        to(server, path).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(),
        HttpResponse.BodyHandlers.ofByteArray());
  }

  public static HttpResponse<byte[]> post(GuardServer server, String path, String body)
      throws Exception {
    return post(server, path, body.getBytes(StandardCharsets.UTF_8));
  }

  public static Map<String, Object> json(HttpResponse<byte[]> response) {
    return Json.object("the answer", new String(response.body(), StandardCharsets.UTF_8));
  }

  public static String request(float[] values, int rows) {
    return Json.compact(
        Map.of(
            "id",
            "r1",
            "inputs",
            List.of(
                Map.of(
                    "name",
                    "input",
                    "datatype",
                    "FP32",
                    "shape",
                    new long[] {rows, 1, 8, 8},
                    "data",
                    values))));
  }
}
