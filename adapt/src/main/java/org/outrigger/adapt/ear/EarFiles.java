package org.outrigger.adapt.ear;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.torch.Scopes;

/** An EAR as a bundle: the encoder's file and one state. */
final class EarFiles {
  private static final String KIND = "ear";
  private static final String STATE = "ear.safetensors";
  private static final String PREPROCESSING = "preprocessing";
  private static final String COLUMNS = "columns";

  private EarFiles() {}

  static void save(Ear ear, Path target, EarReading reading) {
    Model encoder = ear.model();
    Capabilities.Saveable model =
        encoder
            .as(Capabilities.Saveable.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The encoder "
                            + encoder.name()
                            + " cannot be saved: save the state of this EAR alone, or use a"
                            + " TorchScript, ONNX or Outrigger model."));
    State state = ear.state();
    String part = "model." + model.fileExtension();
    Map<String, Object> info = new LinkedHashMap<>();
    info.put("model", part);
    info.put("domains", ear.domains().stream().map(LearnedDomain::name).toList());
    info.put(COLUMNS, reading.columns());
    Preprocessing preprocessing = reading.preprocessing();
    if (preprocessing != null) {
      info.put(PREPROCESSING, Json.object(PREPROCESSING, preprocessing.toJson()));
    }
    Bundle.write(
        target,
        KIND,
        info,
        List.of(
            new Bundle.PartWriter(part, model::save),
            new Bundle.PartWriter(STATE, file -> StateFiles.write(file, state))));
  }

  static Ear load(Path folder, String device) {
    Bundle bundle = Bundle.open(folder).expect(KIND);
    Ear ear = new Ear();
    try {
      Scopes.run(() -> ear.restore(StateFiles.read(bundle.part(STATE))));
      ear.adopt(
          ModelFiles.open(
              bundle.part(String.valueOf(bundle.info().get("model"))),
              ModelFiles.Options.defaults().withDevice(device)));
      return ear;
    } catch (RuntimeException e) {
      ear.close();
      throw e;
    }
  }

  static EarReading reading(Path folder) {
    Map<String, Object> info = Bundle.open(folder).expect(KIND).info();
    Object saved = info.get(PREPROCESSING);
    return new EarReading(
        saved == null ? null : Preprocessing.fromJson(Json.compact(saved)),
        info.get(COLUMNS) instanceof List<?> list
            ? list.stream().map(String::valueOf).toList()
            : List.of());
  }
}
