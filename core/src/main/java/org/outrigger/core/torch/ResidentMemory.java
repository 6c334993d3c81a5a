package org.outrigger.core.torch;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.javacpp.Pointer;

/** The memory of this process that is in RAM: Java's heap, native memory and libraries alike. */
public final class ResidentMemory {
  private static final Path STATUS = Path.of("/proc/self/status");

  private ResidentMemory() {}

  /** In megabytes; from {@code VmRSS} where the system shows it. */
  public static double megabytes() {
    if (Files.isReadable(STATUS)) {
      try {
        for (String line : Files.readAllLines(STATUS)) {
          if (line.startsWith("VmRSS:")) {
            return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
          }
        }
      } catch (IOException e) {
        // Not every system has it: JavaCPP asks in another way.
      }
    }
    return Pointer.physicalBytes() / (1024.0 * 1024.0);
  }
}
