package org.outrigger.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.outrigger.core.OutriggerException;
import picocli.CommandLine.Option;

/** Where a server keeps what it has to remember. */
final class DataDir {
  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      defaultValue = "outrigger-data",
      description =
          "The folder of what the server remembers over restarts, made if need be; two servers need"
              + " two. ${DEFAULT-VALUE} by default.")
  private Path folder = Path.of("outrigger-data");

  /** The folder, which may not exist. */
  Path named() {
    return folder;
  }

  /** The folder, which now exists. */
  Path folder() {
    try {
      return Files.createDirectories(folder);
    } catch (IOException e) {
      throw new OutriggerException(
          "The folder "
              + folder
              + " cannot be made: name another with --data-dir.\n"
              + e.getMessage(),
          e);
    }
  }
}
