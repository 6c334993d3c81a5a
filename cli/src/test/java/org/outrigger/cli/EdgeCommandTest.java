package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.model.NeuralModel;

/** A cloud and a device that talk over TCP. */
class EdgeCommandTest {
  @TempDir Path folder;

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  private Path model(String name, String architecture, Map<String, ?> settings, long... shape) {
    Path file = folder.resolve(name + ".safetensors");
    int classes = shape.length == 1 ? 3 : 10;
    try (NeuralModel model = NeuralModel.create(architecture, settings, shape, classes, 1)) {
      model.save(file);
    }
    return file;
  }

  @Test
  void aDevicePredictsAndAPromptComesBack() throws Exception {
    Path device = model("device", "mlp", Map.of("hidden", List.of(8), "dropout", 0.3), 4);
    Path teacher = model("teacher", "mlp", Map.of("hidden", List.of(16)), 4);
    Path out = folder.resolve("out.csv");
    int port = freePort();
    CompletableFuture<Shell.Result> cloud =
        CompletableFuture.supplyAsync(
            () ->
                Shell.run(
                    "edge",
                    "cloud",
                    "--model",
                    teacher,
                    "--student",
                    device,
                    "--methods",
                    "u-vpa:passes=3:steps=2",
                    "--port",
                    port,
                    "--token",
                    "t",
                    "--once"));
    Shell.Result result =
        Shell.run(
                "edge",
                "device",
                "--model",
                device,
                "--cloud",
                "localhost:" + port,
                "--data",
                Samples.FLOWERS,
                "--label",
                "label",
                "--batch-size",
                50,
                "--method",
                "u-vpa:passes=3:steps=2",
                "--token",
                "t",
                "--wait",
                "--predictions",
                out)
            .worked();
    assertThat(result.out())
        .contains("150 rows predicted by u-vpa, 36 of them uploaded (24.0 %)")
        .contains("the device has version 3")
        .contains("Accuracy against the labels");
    assertThat(Files.readAllLines(out)).hasSize(151);
    assertThat(cloud.get(60, TimeUnit.SECONDS).worked().out())
        .contains("Listening on 127.0.0.1, port " + port, "device came.", "device went.");
  }

  @Test
  void aDeviceGoesOnWithoutACloud() {
    Path device = model("device", "resnet8", Map.of(), 1, 28, 28);
    Path out = folder.resolve("out.csv");
    Shell.Result result =
        Shell.run(
                "edge",
                "device",
                "--model",
                device,
                "--cloud",
                "localhost:1",
                "--data",
                Samples.CLOTHES,
                "--limit",
                32,
                "--batch-size",
                16,
                "--predictions",
                out)
            .worked();
    assertThat(result.out())
        .contains("32 rows predicted by cema", "version 0", "Last problem: no connection");
  }

  @Test
  void whatDoesNotFitIsSaidInOneLine() throws IOException {
    Path plain = model("plain", "mlp", Map.of("hidden", List.of(8)), 4);
    Path out = folder.resolve("out.csv");
    Object[] words = {
      "edge", "device", "--model", plain, "--data", Samples.FLOWERS, "--predictions", out
    };
    with(words, "--cloud", "nowhere").refused("HOST:PORT");
    with(words, "--cloud", "localhost:7070").refused("CEMA needs normalisation layers");
    with(words, "--cloud", "localhost:7070", "--method", "u-vpa").refused("a dropout layer");
    with(words, "--cloud", "localhost:7070", "--method", "tent").refused("adapt run");
    Shell.run("edge", "cloud", "--model", plain, "--student", plain, "--methods", "tent")
        .refused("does not work from a cloud");
    Shell.run("edge", "cloud", "--model", plain, "--student", plain, "--methods", "cema")
        .refused("CEMA needs normalisation layers");
    assertThat(Files.exists(out)).isFalse();
  }

  private static Shell.Result with(Object[] words, Object... more) {
    Object[] all = Arrays.copyOf(words, words.length + more.length);
    System.arraycopy(more, 0, all, words.length, more.length);
    return Shell.run(all);
  }
}
