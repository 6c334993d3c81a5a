package org.outrigger.serve.adaptation;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Snapshot;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.torch.Scopes;

/**
 * The streams of one guard on disk, a file each, named by a hash: what clients call a stream is
 * nowhere part of a path. Files are written whole or not at all, one after the other, on a thread
 * of their own, and can be read by their owner only, as they hold rows of clients.
 */
final class Checkpoints {
  private static final String ENDING = ".safetensors";

  private final Path folder;
  private final int most;
  private final Executor writer;
  private final Map<String, CompletableFuture<Void>> writing = new ConcurrentHashMap<>();

  Checkpoints(Path folder, int most, Executor writer) {
    this.folder = folder;
    this.most = most;
    this.writer = writer;
    try {
      Files.createDirectories(folder);
      if (Files.getFileStore(folder).supportsFileAttributeView("posix")) {
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
      }
      // Says now what would keep files from being written.
      AtomicFiles.check(file("any"));
    } catch (IOException e) {
      throw new OutriggerException(
          "The folder " + folder + " for adapted streams cannot be made: name another one.", e);
    }
  }

  /** Where a stream is kept. */
  Path file(String stream) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(stream.getBytes(StandardCharsets.UTF_8));
      return folder.resolve(HexFormat.of().formatHex(hash, 0, 16) + ENDING);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Whether a stream is kept. */
  boolean has(String stream) {
    await(stream);
    return Files.exists(file(stream));
  }

  /**
   * Writes a stream before long.
   *
   * @param snapshot is closed
   * @param done is told null, or what went wrong
   */
  void write(String stream, Snapshot snapshot, Consumer<@Nullable Throwable> done) {
    CompletableFuture<Void> written =
        CompletableFuture.runAsync(
                () -> {
                  try (snapshot) {
                    Scopes.run(() -> StateFiles.write(file(stream), snapshot.state()));
                    prune();
                  }
                },
                writer)
            .whenComplete((nothing, failure) -> done.accept(failure));
    writing.put(stream, written);
    written.whenComplete((nothing, failure) -> writing.remove(stream, written));
  }

  /** Waits until what was to be written of a stream is. */
  private void await(String stream) {
    CompletableFuture<Void> written = writing.get(stream);
    if (written != null) {
      written.handle((nothing, failure) -> null).join();
    }
  }

  /**
   * Reads a stream, in a scope; null if it is not kept.
   *
   * @throws OutriggerException if the file is damaged
   */
  @Nullable State read(String stream) {
    await(stream);
    Path file = file(stream);
    if (!Files.exists(file)) {
      return null;
    }
    State state = StateFiles.read(file);
    if (!state.text("stream").equals(stream)) {
      throw new OutriggerException(file + " is of another stream.");
    }
    return state;
  }

  /** Moves a file out of the way that is of no use; the place where it is now. */
  Path setAside(String stream, String why) {
    Path file = file(stream);
    Path aside = folder.resolve(file.getFileName() + "." + why);
    try {
      return Files.move(file, aside, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      return file;
    }
  }

  /** Forgets a stream; whether it was kept. */
  boolean delete(String stream) {
    await(stream);
    try {
      return Files.deleteIfExists(file(stream));
    } catch (IOException e) {
      throw new OutriggerException("The stream cannot be deleted: " + e.getMessage(), e);
    }
  }

  /** How many streams are kept. */
  int size() {
    return files().size();
  }

  private List<Path> files() {
    try (Stream<Path> all = Files.list(folder)) {
      return all.filter(file -> file.toString().endsWith(ENDING))
          .filter(file -> !String.valueOf(file.getFileName()).startsWith("."))
          .toList();
    } catch (IOException e) {
      return List.of();
    }
  }

  private void prune() {
    List<Path> files = files();
    if (files.size() > most) {
      files.stream()
          .sorted(Comparator.comparing(Checkpoints::time))
          .limit(files.size() - most)
          .forEach(Checkpoints::deleteQuietly);
    }
  }

  private static FileTime time(Path file) {
    try {
      return Files.getLastModifiedTime(file);
    } catch (NoSuchFileException e) {
      return FileTime.fromMillis(0);
    } catch (IOException e) {
      return FileTime.fromMillis(Long.MAX_VALUE);
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // It is tried again with the next one.
    }
  }
}
