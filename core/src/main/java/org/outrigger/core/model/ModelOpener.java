package org.outrigger.core.model;

import java.nio.file.Path;

/**
 * Opens the files of one format. Modules offer theirs through {@link java.util.ServiceLoader};
 * asking {@link #opens} must not load a native library.
 */
public interface ModelOpener {
  /** What the format is called, with its extensions: {@code ONNX (.onnx)}. */
  String format();

  /**
   * Whether a file is of this format.
   *
   * @param fileName in lower case
   * @param start its first bytes, up to 16
   */
  boolean opens(String fileName, byte[] start);

  /**
   * Opens a file.
   *
   * @throws org.outrigger.core.OutriggerException that says what is wrong and what to do
   */
  Model open(Path file, ModelFiles.Options options);
}
