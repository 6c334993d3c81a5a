package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NothingNativeTest {
  @TempDir Path cache;

  /** JavaCPP unpacks every native library that it loads below its cache folder. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "--help",
        "methods",
        "methods knn",
        "datasets",
        "guard fit --help",
        "zero-shot --help",
        "say-no --help",
        "adapt ear train --help"
      })
  void helpAndListsLoadNoNativeLibrary(String words) throws Exception {
    assertThat(fork(words.split(" ", -1)).lines().count()).isGreaterThan(5);
    assertThat(Shell.names(cache)).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"train --data iris --epochs 1 --out m.safetensors"})
  void trainingDoesSoTheCheckCanFail(String words) throws Exception {
    fork(words.split(" ", -1));
    assertThat(Shell.names(cache)).isNotEmpty();
  }

  private String fork(String... words) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Djava.library.path=" + System.getProperty("java.library.path"));
    command.add("-Dorg.bytedeco.javacpp.cachedir=" + cache);
    command.addAll(
        List.of("-Xmx512m", "-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of(words));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.directory(cache.getParent().toFile());
    Process process = builder.start();
    process.getOutputStream().close();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(out).isZero();
    return out;
  }
}
