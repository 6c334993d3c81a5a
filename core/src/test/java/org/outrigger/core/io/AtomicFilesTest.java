package org.outrigger.core.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;

class AtomicFilesTest {
  @TempDir Path folder;

  private static void write(Path file, String text) {
    AtomicFiles.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  private List<String> names() throws IOException {
    try (Stream<Path> list = Files.list(folder)) {
      return list.map(p -> p.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void aFileIsReplacedWhole() throws IOException {
    Path file = folder.resolve("a.txt");
    write(file, "one");
    write(file, "two");
    assertThat(Files.readString(file)).isEqualTo("two");
    assertThat(names()).containsExactly("a.txt");
  }

  @Test
  void aFullDiskLeavesTheOldFileAndNothingElse() throws IOException {
    Path file = folder.resolve("a.txt");
    write(file, "old");
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    file,
                    out -> {
                      out.write(new byte[100_000]);
                      throw new FileSystemException("a", null, "No space left on device");
                    }))
        .isInstanceOf(OutriggerException.class)
        .hasMessage(
            file
                + " could not be written: the disk is full. Free some space or choose another"
                + " disk.");
    assertThat(Files.readString(file)).isEqualTo("old");
    assertThat(names()).containsExactly("a.txt");
  }

  @Test
  void aWriterThatThrowsAnythingLeavesNothing() throws IOException {
    assertThatThrownBy(
            () ->
                AtomicFiles.file(
                    folder.resolve("a"),
                    path -> {
                      Files.writeString(path, "half");
                      throw new IllegalStateException("stop");
                    }))
        .hasMessage("stop");
    assertThat(names()).isEmpty();
  }

  @Test
  void errorsSayWhatToDo() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "x");
    assertThatThrownBy(() -> write(folder.resolve("no/file"), "x"))
        .hasMessageContaining("does not exist. Create it first");
    assertThatThrownBy(() -> write(file.resolve("inside"), "x"))
        .hasMessageContaining("is a file, not a folder");
    assertThatThrownBy(() -> write(folder, "x")).hasMessageContaining("is a folder: name a file");
    assertThat(AtomicFiles.explain(file, new AccessDeniedException("x")))
        .hasMessageContaining("its folder is read-only for this user");
    assertThat(AtomicFiles.explain(file, new ReadOnlyFileSystemException()))
        .hasMessageContaining("its file system is read-only");
    assertThat(
            AtomicFiles.explain(file, new FileSystemException("x", null, "Read-only file system")))
        .hasMessageContaining("its file system is read-only");
  }

  @Test
  void aFolderIsReplacedOnlyWherePermitted() throws IOException {
    Path target = folder.resolve("out");
    AtomicFiles.folder(target, p -> false, p -> Files.writeString(p.resolve("a"), "1"));
    assertThatThrownBy(
            () ->
                AtomicFiles.folder(target, p -> false, p -> Files.writeString(p.resolve("b"), "")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("exists and would be overwritten");
    assertThat(target.resolve("a")).exists();
    AtomicFiles.folder(target, p -> true, p -> Files.writeString(p.resolve("b"), "2"));
    assertThat(target.resolve("a")).doesNotExist();
    assertThat(target.resolve("b")).hasContent("2");
    assertThat(names()).containsExactly("out");
  }

  @Test
  void aJvmThatEndsWhileWritingLeavesNothing() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m",
                "-cp",
                System.getProperty(
                    "surefire.test.class.path", System.getProperty("java.class.path")),
                Interrupted.class.getName(),
                folder.resolve("report.html").toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(output).contains("half written: 1");
    assertThat(names()).isEmpty();
  }

  /** A program that is stopped half-way through a file, as by Ctrl-C. */
  static final class Interrupted {
    private Interrupted() {}

    public static void main(String[] args) {
      Path target = Path.of(args[0]);
      AtomicFiles.file(
          target,
          path -> {
            Files.writeString(path, "half");
            try (Stream<Path> list = Files.list(target.getParent())) {
              System.out.println("half written: " + list.count());
            }
            System.exit(130);
          });
    }
  }
}
