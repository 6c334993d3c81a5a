package org.outrigger.datasets;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.outrigger.core.OutriggerException;

/** Finds and opens the files of public data sets. */
final class PublicFiles {
  private PublicFiles() {}

  /**
   * The path of a file that may lie in the folder itself or in the sub-folder its archive unpacks
   * to.
   *
   * @param archive what to unpack, for the message
   */
  static Path find(String title, Path folder, String subfolder, String name, String archive) {
    for (Path candidate : List.of(folder.resolve(name), folder.resolve(subfolder).resolve(name))) {
      if (Files.isRegularFile(candidate)) {
        return candidate;
      }
    }
    throw new OutriggerException(
        title
            + ": the file "
            + name
            + " is missing. Put "
            + archive
            + " unpacked into "
            + folder.toAbsolutePath()
            + ", so that there is "
            + folder.resolve(subfolder).resolve(name)
            + ".");
  }

  /** The whole file as memory, read when touched. */
  static MappedByteBuffer map(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      if (channel.size() > Integer.MAX_VALUE) {
        throw new OutriggerException(file + " is larger than 2 GB: this is not the expected file.");
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: " + e.getMessage() + ".", e);
    }
  }

  static String md5(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("MD5");
      try (DigestInputStream reading = new DigestInputStream(in, digest)) {
        reading.transferTo(java.io.OutputStream.nullOutputStream());
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
