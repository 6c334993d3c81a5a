package org.outrigger.core.io;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.ReadOnlyFileSystemException;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.outrigger.core.OutriggerException;

/**
 * Writing that leaves the old content or the new, never half of it. Content goes to a hidden
 * neighbour of the target, is forced to disk, and is moved into place in one step. A failure
 * removes the neighbour; so does the end of the JVM, Ctrl-C included.
 */
public final class AtomicFiles {
  /** Writes a file, or fills a folder, at the path it is given. */
  @FunctionalInterface
  public interface PathWriter {
    void write(Path path) throws IOException;
  }

  /** Writes a file's content. */
  @FunctionalInterface
  public interface StreamWriter {
    void write(OutputStream out) throws IOException;
  }

  /** What is under way: hidden neighbour to target. */
  private static final Map<Path, Path> TEMPORARY = new ConcurrentHashMap<>();

  /** Folders that were moved aside while their successor moves in: old to target. */
  private static final Map<Path, Path> ASIDE = new ConcurrentHashMap<>();

  static {
    try {
      Runtime.getRuntime().addShutdownHook(new Thread(AtomicFiles::cleanUp, "outrigger-clean-up"));
    } catch (IllegalStateException e) {
      // The first file is written while the JVM ends: there is nothing to clean up before it.
    }
  }

  private AtomicFiles() {}

  /**
   * Says early, before long work, what would keep a file or folder from being written there.
   *
   * @throws OutriggerException if its folder is missing, is no folder or may not be written to
   */
  public static void check(Path target) {
    Path parent = checkParent(target, target.toAbsolutePath().normalize());
    if (!Files.isWritable(parent)) {
      throw explain(target, new AccessDeniedException(parent.toString()));
    }
  }

  /** Writes or replaces a file through a buffered stream. */
  public static void write(Path target, StreamWriter writer) {
    file(
        target,
        temporary -> {
          try (OutputStream out =
              new BufferedOutputStream(
                  Files.newOutputStream(temporary, StandardOpenOption.CREATE_NEW), 1 << 16)) {
            writer.write(out);
          }
        });
  }

  /**
   * Writes or replaces a file with a writer that wants a path, such as a native library.
   *
   * @throws OutriggerException if the folder is missing or read-only, the disk is full, or the
   *     target is a folder; the target is as it was
   */
  public static void file(Path target, PathWriter writer) {
    Path absolute = target.toAbsolutePath().normalize();
    Path parent = checkParent(target, absolute);
    if (Files.isDirectory(absolute)) {
      throw new OutriggerException(
          target + " is a folder: name a file that is to be written instead.");
    }
    Path temporary = neighbour(absolute, "tmp");
    TEMPORARY.put(temporary, absolute);
    try {
      writer.write(temporary);
      force(temporary);
      move(temporary, absolute);
      forceFolder(parent);
    } catch (IOException | UncheckedIOException | ReadOnlyFileSystemException e) {
      throw explain(target, e);
    } finally {
      deleteQuietly(temporary);
      TEMPORARY.remove(temporary);
    }
  }

  /**
   * Builds a folder and moves it into place.
   *
   * @param mayReplace whether an existing target may give way; asked only if there is one
   * @throws OutriggerException as {@link #file}; also if the target exists and may not be replaced
   */
  public static void folder(Path target, Predicate<Path> mayReplace, PathWriter writer) {
    Path absolute = target.toAbsolutePath().normalize();
    Path parent = checkParent(target, absolute);
    checkReplaceable(target, absolute, mayReplace);
    Path temporary = neighbour(absolute, "tmp");
    TEMPORARY.put(temporary, absolute);
    try {
      Files.createDirectory(temporary);
      writer.write(temporary);
      try (Stream<Path> walk = Files.walk(temporary)) {
        for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) {
          if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            forceFolder(path);
          } else {
            force(path);
          }
        }
      }
      checkReplaceable(target, absolute, mayReplace);
      swap(temporary, absolute);
      forceFolder(parent);
    } catch (IOException | UncheckedIOException | ReadOnlyFileSystemException e) {
      throw explain(target, e);
    } finally {
      deleteQuietly(temporary);
      TEMPORARY.remove(temporary);
    }
  }

  private static void swap(Path temporary, Path target) throws IOException {
    if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      move(temporary, target);
      return;
    }
    Path old = neighbour(target, "old");
    ASIDE.put(old, target);
    try {
      move(target, old);
      try {
        move(temporary, target);
      } catch (IOException e) {
        move(old, target);
        throw e;
      }
      deleteQuietly(old);
    } finally {
      ASIDE.remove(old);
    }
  }

  private static void checkReplaceable(Path shown, Path target, Predicate<Path> mayReplace) {
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !mayReplace.test(target)) {
      throw new OutriggerException(
          shown + " exists and would be overwritten: choose another name or remove it first.");
    }
  }

  private static Path checkParent(Path shown, Path target) {
    Path parent = target.getParent();
    if (parent == null || target.getFileName() == null) {
      throw new OutriggerException(shown + " cannot be written: name a file in a folder.");
    }
    if (!Files.exists(parent)) {
      throw new OutriggerException(
          shown + " cannot be written: the folder " + parent + " does not exist. Create it first.");
    }
    if (!Files.isDirectory(parent)) {
      throw new OutriggerException(
          shown + " cannot be written: " + parent + " is a file, not a folder.");
    }
    return parent;
  }

  /** The failure in words that say what to do. */
  static OutriggerException explain(Path target, Exception failure) {
    Exception cause =
        failure instanceof UncheckedIOException unchecked && unchecked.getCause() != null
            ? unchecked.getCause()
            : failure;
    String reason =
        cause instanceof FileSystemException e && e.getReason() != null
            ? e.getReason()
            : String.valueOf(cause.getMessage());
    String lower = reason.toLowerCase(Locale.ROOT);
    String what;
    if (lower.contains("no space left")
        || lower.contains("not enough space")
        || lower.contains("quota exceeded")) {
      what = "the disk is full. Free some space or choose another disk.";
    } else if (cause instanceof ReadOnlyFileSystemException
        || lower.contains("read-only file system")) {
      what = "its file system is read-only. Choose another folder.";
    } else if (cause instanceof AccessDeniedException || lower.contains("permission denied")) {
      what = "its folder is read-only for this user. Choose another folder or allow writing.";
    } else if (cause instanceof NoSuchFileException) {
      what = "its folder disappeared or cannot hold new files. Choose another folder.";
    } else {
      what = reason + ".";
    }
    return new OutriggerException(target + " could not be written: " + what, failure);
  }

  private static Path neighbour(Path target, String kind) {
    return target.resolveSibling(
        "." + target.getFileName() + "." + kind + "-" + UUID.randomUUID().toString().substring(24));
  }

  private static void move(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static void force(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.force(true);
    }
  }

  /** Makes a rename durable where the system lets a folder be opened (Windows does not). */
  private static void forceFolder(Path folder) {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException | UnsupportedOperationException e) {
      // The content is on disk all the same; only the moment of the rename is less certain.
      return;
    }
  }

  /** Removes a file or a folder with what is in it; links are removed, not followed. */
  private static void deleteQuietly(Path path) {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> walk = Files.walk(path)) {
      List<Path> deepestFirst = walk.sorted(Comparator.reverseOrder()).toList();
      for (Path item : deepestFirst) {
        Files.deleteIfExists(item);
      }
    } catch (IOException | UncheckedIOException e) {
      // The failure that led here, if any, is the one to report.
      return;
    }
  }

  /** What the end of the JVM runs: puts back what was moved aside, removes what is unfinished. */
  static void cleanUp() {
    ASIDE.forEach(
        (old, target) -> {
          if (Files.exists(old) && !Files.exists(target)) {
            try {
              move(old, target);
            } catch (IOException e) {
              // It stays beside the target under its hidden name.
              return;
            }
          } else {
            deleteQuietly(old);
          }
        });
    TEMPORARY.keySet().forEach(AtomicFiles::deleteQuietly);
  }
}
