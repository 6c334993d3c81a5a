package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Bad input ends in one line that says what to do and exit code 2, with nothing half-written. */
class BadInputTest {
  @TempDir Path folder;

  private Shell.Result fit(Object model, Object data, Object out, Object... more) {
    Object[] words = new Object[8 + more.length];
    Object[] fixed = {"guard", "fit", "--model", model, "--data", data, "--out", out};
    System.arraycopy(fixed, 0, words, 0, 8);
    System.arraycopy(more, 0, words, 8, more.length);
    return Shell.run(words);
  }

  private Shell.Result check(Object guard, Object data, Object out) {
    return Shell.run("guard", "check", "--guard", guard, "--data", data, "--out", out);
  }

  private Path out() {
    return folder.resolve("out");
  }

  private void nothingWritten() throws IOException {
    assertThat(Shell.names(folder)).noneMatch(name -> name.contains("out"));
  }

  @Test
  void aRowWithNanIsLeftOutAndNamedAndStopsAStrictRun() throws IOException {
    Path rows = folder.resolve("rows.csv");
    Files.writeString(rows, "x1,x2,x3,x4\n5.1,3.5,1.4,0.2\nNaN,3.5,1.4,0.2\n4.9,3,1.4,0.2\n");
    Path verdicts = folder.resolve("out.csv");
    Shell.run(
            "guard",
            "check",
            "--strict",
            "--guard",
            Samples.FLOWER_GUARD,
            "--data",
            rows,
            "--out",
            verdicts)
        .refused("rows.csv", "strict");
    nothingWritten();
    Shell.Result result = check(Samples.FLOWER_GUARD, rows, verdicts);
    assertThat(result.code()).isZero();
    assertThat(result.out()).contains("2 rows judged", "1 could not be read");
    assertThat(result.err()).contains("1 row of rows.csv", "  1: ");
    assertThat(Files.readAllLines(verdicts)).hasSize(3);
  }

  @Test
  void picturesWithTheWrongNumberOfChannelsAreRefused() throws IOException {
    fit(Samples.CLOTHES_MODEL, Samples.CLOTHES, out(), "--channels", 3, "--detector", "energy")
        .refused("3 channels instead of 1");
    nothingWritten();
  }

  @Test
  void rowsWithTheWrongColumnsAreRefused() throws IOException {
    Path rows = folder.resolve("rows.csv");
    Files.writeString(rows, "a,b\n1,2\n3,4\n");
    check(Samples.FLOWER_GUARD, rows, folder.resolve("out.csv")).refused("no column 'x1'", "a, b");
    fit(Samples.FLOWER_MODEL, rows, out(), "--detector", "energy").refused("2 values instead of 4");
    nothingWritten();
  }

  @Test
  void anEmptyFolderIsRefused() throws IOException {
    Path empty = Files.createDirectory(folder.resolve("empty"));
    fit(Samples.CLOTHES_MODEL, empty, out()).refused("empty", "PNG or JPEG");
    Shell.run("train", "--data", empty, "--out", folder.resolve("out.safetensors"))
        .refused("empty", "PNG or JPEG");
    nothingWritten();
  }

  @Test
  void anEmptyTableIsRefused() throws IOException {
    Path rows = folder.resolve("rows.csv");
    Files.writeString(rows, "x1,x2,x3,x4,label\n");
    fit(Samples.FLOWER_MODEL, rows, out(), "--label", "label").refused("rows.csv");
    nothingWritten();
  }

  @Test
  void dataOfOneClassIsRefused() throws IOException {
    List<String> lines = Files.readAllLines(Samples.FLOWERS).subList(0, 41);
    Path rows = folder.resolve("rows.csv");
    Files.write(rows, lines);
    fit(Samples.FLOWER_MODEL, rows, out(), "--label", "label", "--detector", "energy")
        .refused("same label", "at least two classes");
    Shell.run(
            "train", "--data", rows, "--label", "label", "--out", folder.resolve("out.safetensors"))
        .refused("one class", "at least two");
    nothingWritten();
  }

  @Test
  void anUnknownDetectorIsRefusedWithTheNearest() throws IOException {
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--detector", "enrgy")
        .refused("no detector called 'enrgy'", "Did you mean energy?");
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--detector", "knn:j=3")
        .refused("no hyper-parameter 'j'", "k");
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--detector", "knn:k=few")
        .refused("Hyper-parameter k of knn cannot be 'few'", "50");
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--detector", "cider")
        .refused("no detector called 'cider'", "outrigger methods cider");
    nothingWritten();
  }

  @Test
  void aColumnWithSwappedLettersIsRefusedWithTheNearest() throws IOException {
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "lable")
        .refused("no column 'lable'", "Did you mean 'label'?");
    nothingWritten();
  }

  @Test
  void noThreadsAreRefused() throws IOException {
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--threads", 0)
        .refused("threads = 0");
    nothingWritten();
  }

  @Test
  void tooFewRowsForAThresholdAreRefusedBeforeTraining() throws IOException {
    Shell.run(
            "train",
            "--data",
            "iris",
            "--out",
            folder.resolve("out.safetensors"),
            "--guard",
            out(),
            "--detector",
            "energy")
        .refused("at least 20 held-out rows", "more validation data");
    nothingWritten();
  }

  @Test
  void aTruncatedModelIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(Samples.FLOWER_MODEL);
    for (int size : new int[] {0, 5, 40, whole.length / 2, whole.length - 1}) {
      Path cut = folder.resolve("cut.safetensors");
      Files.write(cut, java.util.Arrays.copyOf(whole, size));
      fit(cut, Samples.FLOWERS, out(), "--label", "label").refused("cut.safetensors");
      Shell.run("inspect", cut).refused("cut.safetensors");
    }
    Path script = folder.resolve("cut.pt");
    Files.write(script, new byte[] {'P', 'K', 3, 4, 0, 0, 0, 0, 1, 2, 3});
    Shell.run("inspect", script).refused("cut.pt");
    nothingWritten();
  }

  @Test
  void aBundleWithAFlippedByteIsRefused() throws IOException {
    for (String part : List.of("model.safetensors", "detector-0.safetensors")) {
      Path copy = copy(Samples.FLOWER_GUARD, folder.resolve("copy-" + part));
      byte[] bytes = Files.readAllBytes(copy.resolve(part));
      bytes[bytes.length - 3] ^= 1;
      Files.write(copy.resolve(part), bytes);
      check(copy, Samples.FLOWERS, folder.resolve("out.csv")).refused(part);
      Shell.run("guard", "info", copy).refused(part);
    }
    nothingWritten();
  }

  @Test
  void aBundleOfANewerFormatIsRefused() throws IOException {
    Path copy = copy(Samples.FLOWER_GUARD, folder.resolve("copy"));
    Path manifest =
        Stream.of("manifest.json", "bundle.json", "outrigger.json")
            .map(copy::resolve)
            .filter(Files::exists)
            .findFirst()
            .orElseThrow();
    String text = Files.readString(manifest);
    String newer = text.replaceFirst("(\"formatVersion\"\\s*:\\s*)\\d+", "$1 99");
    assertThat(newer).isNotEqualTo(text);
    Files.writeString(manifest, newer);
    Shell.run("guard", "info", copy).refused("bundle format 99", "update Outrigger");
  }

  @Test
  void aFolderThatCannotBeWrittenToIsRefusedBeforeTheWork() throws IOException {
    Path file = folder.resolve("file");
    Files.writeString(file, "mine");
    for (Path parent : List.of(file, folder.resolve("missing"), Path.of("/proc"))) {
      assumeTrue(!parent.startsWith("/proc") || Files.isDirectory(parent));
      Path verdicts = parent.resolve("v.csv");
      check(Samples.FLOWER_GUARD, Samples.FLOWERS, verdicts).refused("v.csv", "written");
      fit(
              Samples.FLOWER_MODEL,
              Samples.FLOWERS,
              parent.resolve("g"),
              "--label",
              "label",
              "--detector",
              "energy")
          .refused("written");
      Shell.run("train", "--data", "iris", "--epochs", 1, "--out", parent.resolve("m.safetensors"))
          .refused("written");
      Shell.run(
              "guard",
              "evaluate",
              "--guard",
              Samples.FLOWER_GUARD,
              "--id",
              Samples.FLOWERS,
              "--label",
              "label",
              "--report",
              parent.resolve("r.html"))
          .refused("written");
    }
    // Before minutes of training.
    Shell.run("demo", "--out", file.resolve("demo")).refused("demo", "--out");
    assertThat(Files.readString(file)).isEqualTo("mine");
    assertThat(Shell.names(folder)).containsExactly("file");
  }

  /**
   * A disk of a few pages; only root may mount one, elsewhere the test of AtomicFiles stands in.
   */
  @Test
  void aFullDiskLeavesNothingBehind() throws IOException, InterruptedException {
    Path disk = Files.createDirectory(folder.resolve("disk"));
    assumeTrue(
        start("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk.toString()) == 0,
        "needs the right to mount");
    try {
      fit(
              Samples.FLOWER_MODEL,
              Samples.FLOWERS,
              disk.resolve("g"),
              "--label",
              "label",
              "--detector",
              "knn:k=5")
          .refused("the disk is full", "Free some space");
      check(Samples.FLOWER_GUARD, Samples.FLOWERS, disk.resolve("v.csv"))
          .refused("the disk is full", "Free some space");
      Shell.run("train", "--data", "iris", "--epochs", 1, "--out", disk.resolve("m.safetensors"))
          .refused("the disk is full", "Free some space");
      for (Object[] export :
          new Object[][] {
            {"fashion-mnist", "--limit", 20, "--out", disk.resolve("clothes")},
            {"wine", "--out", disk.resolve("wine.csv")}
          }) {
        Object[] words = new Object[2 + export.length];
        words[0] = "datasets";
        words[1] = "export";
        System.arraycopy(export, 0, words, 2, export.length);
        Shell.run(words).refused("the disk is full", "Free some space");
      }
      assertThat(Shell.names(disk)).isEmpty();
    } finally {
      start("umount", disk.toString());
    }
  }

  private static int start(String... command) throws InterruptedException {
    try {
      return new ProcessBuilder(command)
          .redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.DISCARD)
          .start()
          .waitFor();
    } catch (IOException e) {
      return -1;
    }
  }

  @Test
  void whatIsNotThereIsNamed() throws IOException {
    Path no = folder.resolve("no.pt");
    fit(no, Samples.FLOWERS, out()).refused("no.pt", "check the path");
    fit(Samples.FLOWER_MODEL, folder.resolve("no.csv"), out()).refused("no.csv");
    check(folder.resolve("no.guard"), Samples.FLOWERS, folder.resolve("out.csv"))
        .refused("no.guard");
    check(Samples.FLOWERS, Samples.FLOWERS, folder.resolve("out.csv")).refused("iris.csv");
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "species").refused("species");
    nothingWritten();
  }

  @Test
  void verdictsOfAnUnknownFormatAreRefused() throws IOException {
    check(Samples.FLOWER_GUARD, Samples.FLOWERS, folder.resolve("out.xlsx")).refused(".parquet");
    nothingWritten();
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "1", "-3", "nan"})
  void aShareOutsideItsRangeIsRefused(String share) throws IOException {
    fit(Samples.FLOWER_MODEL, Samples.FLOWERS, out(), "--label", "label", "--accept", share)
        .refused("accept");
    nothingWritten();
  }

  @Test
  void aStackTraceIsShownOnRequestOnly() {
    Object no = folder.resolve("no.pt");
    assertThat(Shell.run("inspect", no).refused("no.pt").err()).doesNotContain("\tat ");
    assertThat(Shell.run("inspect", no, "--stacktrace").err()).contains("\tat org.outrigger");
  }

  private static Path copy(Path from, Path to) throws IOException {
    Files.createDirectory(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    return to;
  }
}
