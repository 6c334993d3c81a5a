package org.outrigger.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import picocli.CommandLine.Option;

/** Where a server keeps what it has to remember. */
final class DataDir {
  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      description =
          "The folder of what the server remembers over restarts, made if need be; two servers need"
              + " two. outrigger-data by default.")
  private @Nullable Path folder;

  private Path usual = Path.of("outrigger-data");

  /** Sets what is taken if none is named. */
  void usual(Path other) {
    usual = other;
  }

  /** The folder, which may not exist. */
  Path named() {
    return folder == null ? usual : folder;
  }

  /** The folder, which now exists. */
  Path folder() {
    Path named = named();
    try {
      return Files.createDirectories(named);
    } catch (IOException e) {
      throw new OutriggerException(
          "The folder "
              + named
              + " cannot be made: name another with --data-dir.\n"
              + e.getMessage(),
          e);
    }
  }
}
