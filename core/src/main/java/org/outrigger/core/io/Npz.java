package org.outrigger.core.io;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * NumPy's {@code .npz} files: named arrays in a zip archive, compressed or not. Sizes are checked
 * against what the archive can hold and a limit before memory is taken.
 */
public final class Npz {
  /** What all arrays of one file may take together, unless the caller says otherwise. */
  public static final long MAX_BYTES = 8L << 30;

  private static final int MAX_ENTRIES = 10_000;

  /** Deflate shortens by no more than this. */
  private static final long MAX_RATIO = 1032;

  private Npz() {}

  /** Reads all arrays of a file of up to {@link #MAX_BYTES}. */
  public static Map<String, Tensor> read(Path file) {
    return read(file, MAX_BYTES);
  }

  /**
   * Reads all arrays.
   *
   * @param maxBytes what they may take together
   * @return the arrays by name, in the order of the file; the caller owns them
   * @throws OutriggerException if the file is damaged, too large, or holds what is no array of
   *     numbers
   */
  public static Map<String, Tensor> read(Path file, long maxBytes) {
    Torch.start();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(file.toFile());
        PointerScope scope = new PointerScope()) {
      if (zip.size() > MAX_ENTRIES) {
        throw new OutriggerException(
            file + " holds " + zip.size() + " files: no .npz has so many.");
      }
      long total = 0;
      for (ZipEntry entry : Collections.list(zip.entries())) {
        if (entry.isDirectory() || !entry.getName().endsWith(".npy")) {
          throw new OutriggerException(
              file + " holds '" + entry.getName() + "', which is no array: it is no .npz file.");
        }
        long size = entry.getSize();
        total += size;
        if (size < 0 || size > MAX_RATIO * Math.max(1, entry.getCompressedSize()) + 1024) {
          throw new OutriggerException(
              file + " is damaged: the size of '" + entry.getName() + "' is impossible.");
        }
        if (total > maxBytes) {
          throw new OutriggerException(
              file
                  + " takes more than "
                  + maxBytes
                  + " bytes when unpacked, which is the limit. Save large arrays as .npy or as a"
                  + " Parquet table.");
        }
        String name = entry.getName().substring(0, entry.getName().length() - 4);
        try (InputStream in = new BufferedInputStream(zip.getInputStream(entry), 1 << 20)) {
          tensors.put(name, Npy.read(in, size, file + " (" + name + ")"));
        }
      }
      tensors.values().forEach(Scopes::keep);
      return tensors;
    } catch (IOException e) {
      throw new OutriggerException(
          file
              + " is damaged or no .npz file ("
              + e.getMessage()
              + "): copy it again, or save it again with numpy.savez.",
          e);
    }
  }

  /** Writes named arrays, compressed, in one step. */
  public static void write(Path file, Map<String, Tensor> tensors) {
    AtomicFiles.write(
        file,
        out -> {
          ZipOutputStream zip = new ZipOutputStream(out);
          zip.setLevel(Deflater.BEST_SPEED);
          for (Map.Entry<String, Tensor> tensor : tensors.entrySet()) {
            zip.putNextEntry(new ZipEntry(tensor.getKey() + ".npy"));
            Npy.write(zip, tensor.getValue());
            zip.closeEntry();
          }
          zip.finish();
        });
  }
}
