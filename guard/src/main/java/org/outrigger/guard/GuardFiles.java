package org.outrigger.guard;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Detector;
import tools.jackson.core.JacksonException;

/** A guard as a bundle: the model's file, one state a method, the known scores, and provenance. */
final class GuardFiles {
  private static final String KIND = "guard";
  private static final int LAYOUT = 1;
  private static final String LABEL_SETS = "label-sets.safetensors";
  private static final String ADAPTER = "adapter.safetensors";
  private static final String REFERENCE = "reference.safetensors";

  private GuardFiles() {}

  static void save(Guard guard, Path target) {
    Capabilities.Saveable model =
        guard
            .model()
            .as(Capabilities.Saveable.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The model "
                            + guard.model().name()
                            + " cannot be saved: a guard holds a TorchScript, ONNX or Outrigger"
                            + " model."));
    String modelPart = "model." + model.fileExtension();
    List<Bundle.PartWriter> parts = new ArrayList<>();
    parts.add(new Bundle.PartWriter(modelPart, model::save));
    for (int i = 0; i < guard.detectors().size(); i++) {
      State state = guard.detectors().get(i).state();
      parts.add(
          new Bundle.PartWriter(
              "detector-" + i + ".safetensors", file -> StateFiles.write(file, state)));
    }
    Calibrator calibrator = guard.calibrator();
    if (calibrator != null) {
      parts.add(
          new Bundle.PartWriter(
              "calibrator.safetensors", file -> StateFiles.write(file, calibrator.state())));
    }
    ConformalPredictor labelSets = guard.labelSets();
    if (labelSets != null) {
      parts.add(
          new Bundle.PartWriter(LABEL_SETS, file -> StateFiles.write(file, labelSets.state())));
    }
    Adapter adapter = guard.adapter();
    if (adapter != null) {
      parts.add(new Bundle.PartWriter(ADAPTER, file -> save(adapter, file)));
    }
    parts.add(new Bundle.PartWriter("scores.safetensors", file -> writeScores(guard, file)));
    GuardReference reference = guard.reference();
    if (reference != null) {
      parts.add(
          new Bundle.PartWriter(
              REFERENCE, file -> Scopes.run(() -> StateFiles.write(file, reference.state()))));
    }
    Map<String, Object> info = new LinkedHashMap<>();
    info.put("layout", LAYOUT);
    info.put("model", modelPart);
    info.put("guard", guard.info());
    if (reference != null) {
      info.put("reference", REFERENCE);
    }
    if (guard.preprocessing() != null) {
      info.put("preprocessing", Json.object("preprocessing", guard.preprocessing().toJson()));
    }
    Bundle.write(target, KIND, info, parts);
  }

  private static void save(Adapter adapter, Path file) {
    // Not in the middle of a batch.
    synchronized (adapter) {
      Adapters.save(adapter, file);
    }
  }

  private static void writeScores(Guard guard, Path file) {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> scores = new LinkedHashMap<>();
      for (int i = 0; i < guard.scales().size(); i++) {
        double[] known = guard.scales().get(i).known();
        scores.put("known-" + i, Tensors.of(known, known.length));
      }
      Safetensors.write(file, scores, Map.of());
    }
  }

  static Guard load(Path folder, String device) {
    Bundle bundle = Bundle.open(folder).expect(KIND);
    if (!(bundle.info().get("layout") instanceof Integer layout) || layout > LAYOUT) {
      throw new OutriggerException(
          folder
              + " was written by a newer Outrigger ("
              + bundle.writtenBy()
              + "): update Outrigger.");
    }
    String modelPart = String.valueOf(bundle.info().get("model"));
    GuardInfo info =
        read(folder, bundle.info().get("guard"), GuardInfo.class)
            .withModelSha256(sha256(bundle, modelPart));
    List<AutoCloseable> made = new ArrayList<>();
    try {
      Model model =
          ModelFiles.open(bundle.part(modelPart), ModelFiles.Options.defaults().withDevice(device));
      made.add(model);
      List<Detector> detectors = new ArrayList<>();
      for (int i = 0; i < info.detectors().size(); i++) {
        GuardInfo.Part part = info.detectors().get(i);
        Detector detector = Methods.create(Detector.class, part.slug(), part.settings());
        made.add(detector);
        restore(detector, bundle.part("detector-" + i + ".safetensors"));
        model.require(detector, Detector.class);
        detectors.add(detector);
      }
      Calibrator calibrator = null;
      if (info.calibrator() != null) {
        calibrator =
            Methods.create(
                Calibrator.class, info.calibrator().slug(), info.calibrator().settings());
        made.add(calibrator);
        restore(calibrator, bundle.part("calibrator.safetensors"));
      }
      ConformalPredictor labelSets = null;
      if (info.labelSets() != null) {
        labelSets =
            Methods.create(
                ConformalPredictor.class, info.labelSets().slug(), info.labelSets().settings());
        made.add(labelSets);
        restore(labelSets, bundle.part(LABEL_SETS));
      }
      Adapter adapter = null;
      if (info.adapter() != null) {
        adapter = Adapters.load(bundle.part(ADAPTER), model);
        made.add(adapter);
      }
      return new Guard(
          model,
          true,
          detectors,
          readScores(bundle, detectors.size()),
          calibrator,
          labelSets,
          adapter,
          bundle.info().get("preprocessing") == null
              ? null
              : Preprocessing.fromJson(Json.compact(bundle.info().get("preprocessing"))),
          info,
          readReference(bundle));
    } catch (RuntimeException e) {
      made.forEach(GuardFiles::closeQuietly);
      throw e;
    }
  }

  private static String sha256(Bundle bundle, String part) {
    try {
      return Bundle.sha256(bundle.part(part));
    } catch (java.io.IOException e) {
      throw new OutriggerException(
          "The model of " + bundle.folder() + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static void restore(Stateful method, Path file) {
    Scopes.run(() -> method.restore(StateFiles.read(file)));
  }

  private static List<ScoreScale> readScores(Bundle bundle, int detectors) {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> tensors = Safetensors.read(bundle.part("scores.safetensors"));
      List<ScoreScale> scales = new ArrayList<>();
      for (int i = 0; i < detectors; i++) {
        Tensor known = tensors.get("known-" + i);
        if (known == null) {
          throw new OutriggerException(
              "The bundle "
                  + bundle.folder()
                  + " is damaged: it lacks the scores of detector "
                  + i
                  + ".");
        }
        scales.add(new ScoreScale(Tensors.doubles(known)));
      }
      return scales;
    }
  }

  /** Guards that were saved before references were kept have none. */
  private static @Nullable GuardReference readReference(Bundle bundle) {
    if (bundle.info().get("reference") == null) {
      return null;
    }
    return Scopes.scoped(() -> GuardReference.of(StateFiles.read(bundle.part(REFERENCE))));
  }

  private static <T> T read(Path folder, @Nullable Object json, Class<T> type) {
    try {
      T value = Json.mapper().convertValue(json, type);
      if (value != null) {
        return value;
      }
    } catch (JacksonException | IllegalArgumentException e) {
      throw new OutriggerException(
          "The bundle "
              + folder
              + " is damaged: its manifest does not describe a guard.\n"
              + e.getMessage(),
          e);
    }
    throw new OutriggerException("The bundle " + folder + " is damaged: it describes no guard.");
  }

  private static void closeQuietly(AutoCloseable closeable) {
    try {
      closeable.close();
    } catch (Exception e) {
      // The failure that made us close matters more than one while closing.
    }
  }
}
