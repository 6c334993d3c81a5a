package org.outrigger.cli;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.random.RandomGenerator;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Energy;
import org.outrigger.evaluate.corruption.CorruptedDataset;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.guard.Guard;

/**
 * A guard of pictures of clothes with traffic that it sends itself: clean at first; after a minute
 * the camera loses contrast, fewer kinds of clothes come, and digits are among them; later all is
 * well again, and so on. Labels of the rows follow a few seconds behind the rows.
 */
final class ServeDemo implements AutoCloseable {
  static final String NAME = "clothes";
  private static final int ROWS = 4000;
  private static final int STREAMED = 5000;
  private static final int[] KINDS_THAT_COME_LESS = {1, 3, 5, 8};
  private static final long WELL = 60_000;
  private static final long TURNING = 40_000;
  private static final long SHIFTED = 140_000;
  private static final long PERIOD = WELL + TURNING + SHIFTED + TURNING;
  private static final long LABELS_LATER = 5_000;
  private static final List<String> STREAMS = List.of("door", "belt-1", "belt-2");

  @SuppressWarnings("ArrayRecordComponent")
  private record Rows(float[][] values, int[] labels) {}

  private record Late(long due, String id, int row, int label) {}

  private final HttpClient client =
      HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
  private final RandomGenerator random;
  private final Rows clean;
  private final Rows shifted;
  private final Rows unknown;
  private final String address;
  private final Thread thread;
  private final List<Late> late = new ArrayList<>();
  private volatile boolean closed;
  private boolean takesLabels = true;
  private long requests;

  /**
   * Starts to send.
   *
   * @param address of the server, without a slash at the end
   */
  ServeDemo(String address, long seed) {
    this.address = address;
    random = new java.util.SplittableRandom(seed);
    IndexedDataset test = FashionMnist.test().limit(STREAMED);
    clean = rows(test);
    shifted =
        rows(CorruptedDataset.of(test, Corruption.CONTRAST, 2, Corruption.Settings.seeded(seed)));
    unknown = rows(Mnist.test().limit(STREAMED));
    thread = new Thread(this::send, "demo traffic");
    thread.setDaemon(true);
    thread.start();
  }

  /** Trains a small model on embedded pictures of clothes and saves its guard. */
  static void fit(Path bundle, long seed) {
    Splits data =
        FashionMnist.train()
            .shuffled(Rng.derive(seed, "demo rows"))
            .limit(ROWS)
            .splitStratified(0.75, seed);
    try (NeuralModel model =
        NeuralModel.create(
                "lenet", Map.of(), new long[] {1, 28, 28}, 10, Rng.derive(seed, "serve demo"))
            .named(FashionMnist.classNames())) {
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(4).withBatchSize(64).withSeed(seed))
          .optimiser(parameters -> new Sgd(parameters, Sgd.Settings.nesterov(0.03)))
          .fit(data.first());
      try (Guard guard =
          Guard.of(model)
              .detect(new Energy())
              .calibrate(new TemperatureScaling())
              .seed(seed)
              .fit(data.second())) {
        guard.save(bundle);
      }
    }
  }

  private static Rows rows(IndexedDataset data) {
    List<float[]> values = new ArrayList<>();
    List<Integer> labels = new ArrayList<>();
    try (Batches batches = data.batches(250)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          float[] all = Tensors.floats(batch.inputs());
          int[] classes = Tensors.ints(Objects.requireNonNull(batch.labels()));
          int length = all.length / classes.length;
          for (int i = 0; i < classes.length; i++) {
            values.add(Arrays.copyOfRange(all, i * length, (i + 1) * length));
            labels.add(classes[i]);
          }
        }
      }
    }
    return new Rows(
        values.toArray(float[][]::new), labels.stream().mapToInt(Integer::intValue).toArray());
  }

  /** How far the shift is at a time, in [0, 1]. */
  static double shift(long millis) {
    long at = Math.floorMod(millis, PERIOD);
    if (at < WELL) {
      return 0;
    }
    if (at < WELL + TURNING) {
      return (double) (at - WELL) / TURNING;
    }
    return at < WELL + TURNING + SHIFTED ? 1 : (double) (PERIOD - at) / TURNING;
  }

  private void send() {
    long start = System.currentTimeMillis();
    while (!closed) {
      try {
        long age = System.currentTimeMillis() - start;
        request(shift(age), age);
        labels();
        // The day has its quicker and slower stretches.
        double busy = 1 + 0.5 * Math.sin(2 * Math.PI * age / 75_000.0);
        Thread.sleep((long) (30 + random.nextInt(90) / busy));
      } catch (IOException e) {
        if (!pause()) {
          return;
        }
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private static boolean pause() {
    try {
      Thread.sleep(1000);
      return true;
    } catch (InterruptedException e) {
      return false;
    }
  }

  private void request(double shift, long age) throws IOException, InterruptedException {
    int n = 1 + random.nextInt(6);
    float[][] values = new float[n][];
    int[] labels = new int[n];
    for (int i = 0; i < n; i++) {
      boolean foreign = random.nextDouble() < 0.003 + 0.12 * shift;
      Rows from = foreign ? unknown : random.nextDouble() < 0.5 * shift ? shifted : clean;
      int row = random.nextInt(from.values.length);
      while (!foreign && rare(from.labels[row]) && random.nextDouble() < 0.75 * shift) {
        row = random.nextInt(from.values.length);
      }
      values[i] = from.values[row];
      labels[i] = foreign ? -1 : from.labels[row];
    }
    String id = "demo-" + ++requests;
    float[] flat = new float[n * values[0].length];
    for (int i = 0; i < n; i++) {
      System.arraycopy(values[i], 0, flat, i * values[i].length, values[i].length);
    }
    String body =
        Json.compact(
            Map.of(
                "id",
                id,
                "parameters",
                Map.of("stream", STREAMS.get(random.nextInt(STREAMS.size()))),
                "inputs",
                List.of(
                    Map.of(
                        "name",
                        "input",
                        "datatype",
                        "FP32",
                        "shape",
                        new long[] {n, 1, 28, 28},
                        "data",
                        flat))));
    Integer status = post("/infer", body);
    for (int i = 0; status != null && status == 200 && i < n; i++) {
      if (labels[i] >= 0 && random.nextDouble() < 0.5) {
        late.add(new Late(age + LABELS_LATER, id, i, labels[i]));
      }
    }
  }

  private static boolean rare(int label) {
    return Arrays.stream(KINDS_THAT_COME_LESS).anyMatch(kind -> kind == label);
  }

  /** Posts labels that are due, if the server has an event store. */
  private void labels() throws IOException, InterruptedException {
    if (!takesLabels || late.size() < 40) {
      return;
    }
    List<Map<String, Object>> rows = new ArrayList<>();
    for (Late each : late.subList(0, 20)) {
      rows.add(Map.of("id", each.id, "row", each.row, "label", each.label));
    }
    late.subList(0, 20).clear();
    Integer status = post("/labels", Json.compact(Map.of("labels", rows)));
    takesLabels = status == null || status != 404;
  }

  private @Nullable Integer post(String path, String body)
      throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(address + "/v2/models/" + NAME + path))
            .timeout(Duration.ofSeconds(20))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    return client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
  }

  @Override
  public void close() {
    closed = true;
    thread.interrupt();
  }
}
