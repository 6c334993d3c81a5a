package org.outrigger.onnx;

import java.nio.file.Path;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.ModelOpener;

/** Opens ONNX files; ONNX Runtime is loaded with the first. */
public final class OnnxOpener implements ModelOpener {
  @Override
  public String format() {
    return "ONNX (.onnx)";
  }

  @Override
  public boolean opens(String fileName, byte[] start) {
    // Serialised models begin with the version of their format, a small number in field 1.
    return fileName.endsWith(".onnx")
        || (start.length > 3 && start[0] == 8 && start[1] > 0 && start[1] < 64 && start[2] == 18);
  }

  @Override
  public Model open(Path file, ModelFiles.Options options) {
    return OnnxModel.load(
        file,
        new OnnxModel.Options(
            options.input(),
            options.logits(),
            options.features(),
            options.head(),
            options.threads(),
            options.device()));
  }
}
