package org.outrigger.serve.monitor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;

/** A monitor with its time line and alerts, as one file that is replaced in one step. */
final class WatchFile {
  private static final String TYPE = "drift-watch";

  private WatchFile() {}

  /** The file of a guard; a guard's name has no {@code +}. */
  static Path of(Path folder, String guard, boolean shadow) {
    return folder.resolve(guard + (shadow ? "+shadow" : "") + ".safetensors");
  }

  static void write(Path file, Monitor monitor, Timeline timeline, AlertRule rule) {
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw new OutriggerException("The folder of " + file + " cannot be made.", e);
    }
    try (PointerScope scope = new PointerScope()) {
      State state = monitor.state();
      Map<String, Object> values = new LinkedHashMap<>();
      values.put("fingerprint", monitor.fingerprint());
      values.put("type", state.type());
      values.put("version", state.version());
      values.put("monitor", state.values());
      values.put("timeline", timeline.state());
      values.put("alerts", rule.state());
      StateFiles.write(file, new State(TYPE, 1, values, state.tensors()));
    }
  }

  /**
   * Reads what was kept.
   *
   * @return whether it was kept for the same reference, and so was taken over
   * @throws OutriggerException if the file is damaged; nothing has changed then
   */
  static boolean read(Path file, Monitor monitor, Timeline timeline, AlertRule rule) {
    try (PointerScope scope = new PointerScope()) {
      State state = StateFiles.read(file).expect(TYPE, 1);
      if (!state.text("fingerprint").equals(monitor.fingerprint())) {
        return false;
      }
      // Into others first: a damaged part must leave the whole as it is.
      new Timeline().restore(state.map("timeline"));
      new AlertRule(java.time.Duration.ZERO, 1).restore(state.map("alerts"));
      monitor.restore(
          new State(
              state.text("type"),
              (int) state.number("version"),
              state.map("monitor"),
              state.tensors()));
      timeline.restore(state.map("timeline"));
      rule.restore(state.map("alerts"));
      return true;
    }
  }
}
