package org.outrigger.core.io;

import java.nio.file.Path;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/**
 * A {@link State} as one safetensors file: tensors as they are, bit for bit; type, version and
 * values (as JSON) in the header's metadata under {@code outrigger.type}, {@code
 * outrigger.version}, {@code outrigger.values}. Whole numbers come back as {@code Integer}, {@code
 * Long} or {@code BigInteger}, others as {@code Double} with all bits; NaN and infinities come back
 * as strings, which {@link State#number} understands.
 */
public final class StateFiles {
  private static final String TYPE = "outrigger.type";
  private static final String VERSION = "outrigger.version";
  private static final String VALUES = "outrigger.values";

  private StateFiles() {}

  /** Writes the state atomically. */
  public static void write(Path file, State state) {
    Safetensors.write(
        file,
        state.tensors(),
        Map.of(
            TYPE, state.type(),
            VERSION, Integer.toString(state.version()),
            VALUES, Json.compact(state.values())));
  }

  /**
   * Reads a state; its tensors belong to the innermost scope or to the caller.
   *
   * @throws OutriggerException if the file is damaged or holds no state
   */
  public static State read(Path file) {
    try (Safetensors view = Safetensors.open(file)) {
      Map<String, String> metadata = view.metadata();
      String type = metadata.get(TYPE);
      String version = metadata.get(VERSION);
      String values = metadata.get(VALUES);
      if (type == null || version == null || values == null) {
        throw new OutriggerException(
            file + " holds tensors, but no saved state of Outrigger. Name the file of a state.");
      }
      if (!version.matches("[1-9]\\d{0,8}")) {
        throw new OutriggerException(
            file + " has the impossible layout version '" + version + "': the file is damaged.");
      }
      Map<String, Object> parsed = Json.object("The values in " + file, values);
      return new State(type, Integer.parseInt(version), parsed, view.tensors());
    }
  }
}
