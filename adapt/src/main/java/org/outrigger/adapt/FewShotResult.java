package org.outrigger.adapt;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.FewShotSfda.Rows;
import org.outrigger.adapt.FewShotSfda.Settings;
import org.outrigger.adapt.FewShotSfda.Strategy;
import org.outrigger.adapt.FineTuner.Part;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.ConfusionMatrix;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Scopes;

/** What {@link FewShotSfda} made: the models on the way, the rows, the validation curve. */
public final class FewShotResult implements OfflineAdapter.Result {
  private static final String REPORT = "adaptation.json";
  private static final int BATCH = 256;

  /**
   * A measurement on the validation rows.
   *
   * @param stage what was trained; null before the first step
   * @param step steps so far, over all stages
   * @param trainLoss of the step's batch; NaN before the first step
   * @param loss the mean cross-entropy of the validation rows
   * @param accuracy of the validation rows
   */
  public record Point(
      @Nullable Part stage, long step, double trainLoss, double loss, double accuracy) {}

  /**
   * Accuracy on the test rows.
   *
   * @param accuracy the share of all rows that are right
   * @param balanced the mean over the classes of the share that is right
   */
  public record Test(double accuracy, double balanced) {}

  private final Settings settings;
  private final FewShots shots;
  private final NeuralModel source;
  private final NeuralModel last;
  private final NeuralModel chosen;
  private final List<Point> curve = new ArrayList<>();
  private final Map<String, Test> tests = new LinkedHashMap<>();
  private @Nullable NeuralModel probed;
  private @Nullable Point selected;

  FewShotResult(NeuralModel model, Settings settings, FewShots shots) {
    this.settings = settings;
    this.shots = shots;
    source = model.deepCopy();
    last = model.deepCopy();
    chosen = model.deepCopy();
    for (NeuralModel copy : List.of(source, last, chosen)) {
      copy.train(false);
    }
  }

  // -- while it runs

  void before(Rows validation, IndexedDataset target) {
    curve.add(point(null, 0, Double.NaN, source, validation));
    test("source", source, target);
  }

  void measured(Part stage, long step, double trainLoss, Rows validation, boolean choose) {
    Point point = point(stage, step, trainLoss, last, validation);
    curve.add(point);
    if (choose && (selected == null || point.loss < selected.loss)) {
      selected = point;
      Scopes.run(() -> chosen.root().loadStateDict(last.root().stateDict(), true));
    }
  }

  void stageEnded(Part part, IndexedDataset target) {
    if (settings.strategy() == Strategy.LP_FT && part == Part.HEAD) {
      probed = last.deepCopy();
      test("after LP", probed, target);
    }
  }

  void finished(IndexedDataset target) {
    if (selected == null) {
      throw new OutriggerException(
          "The validation loss was never a number, so that no checkpoint can be chosen: lower the"
              + " learning rate.");
    }
    test("last", last, target);
    test("selected", chosen, target);
  }

  private static Point point(
      @Nullable Part stage, long step, double trainLoss, NeuralModel model, Rows rows) {
    try (PointerScope scope = new PointerScope()) {
      Tensor logits = model.predict(rows.inputs()).logits();
      return new Point(
          stage,
          step,
          trainLoss,
          CrossEntropy.loss(logits, rows.labels(), 0).item_double(),
          Accuracy.of(logits, rows.labels()));
    }
  }

  private void test(String name, NeuralModel model, IndexedDataset target) {
    if (shots.test().isEmpty()) {
      return;
    }
    ConfusionMatrix confusion = new ConfusionMatrix(model.classes());
    int[] rows = shots.test().stream().mapToInt(Integer::intValue).toArray();
    try (Batches batches = target.subset(rows).batches(BATCH)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next();
            Output output = model.predict(batch.inputs())) {
          Tensor labels = batch.labels();
          if (labels != null) {
            confusion.add(output.logits().argmax(new LongOptional(1), false), labels);
          }
        }
      }
    }
    tests.put(name, new Test(confusion.accuracy(), confusion.balancedAccuracy()));
  }

  // -- what came of it

  /** The checkpoint with the lowest validation loss. */
  @Override
  public NeuralModel model() {
    return chosen;
  }

  /** A copy of the model that was adapted. */
  public NeuralModel source() {
    return source;
  }

  /** The model after its last layer alone was trained; null unless the strategy is LP-FT. */
  public @Nullable NeuralModel afterLp() {
    return probed;
  }

  /** The model after the last step, for diagnosis. */
  public NeuralModel last() {
    return last;
  }

  /** The rows that were used. */
  public FewShots shots() {
    return shots;
  }

  /** The settings that were used. */
  public Settings settings() {
    return settings;
  }

  /** The validation curve, from before the first step on. */
  public List<Point> curve() {
    return Collections.unmodifiableList(curve);
  }

  /** The point of the curve whose checkpoint was chosen. */
  public Point selected() {
    if (selected == null) {
      throw new IllegalStateException("not finished");
    }
    return selected;
  }

  /**
   * Accuracy on the rows that were kept apart: of {@code source}, {@code after LP}, {@code last}
   * and {@code selected}. For diagnosis: none of it chose anything. Empty without such rows.
   */
  public Map<String, Test> tests() {
    return Collections.unmodifiableMap(tests);
  }

  @Override
  public Map<String, Object> report() {
    Map<String, Object> report = new LinkedHashMap<>();
    report.put("method", "few-shot-sfda");
    report.put("settings", Methods.values(settings));
    report.put("source", source.name());
    report.put("rows", shots.toMap());
    report.put("selectedStep", selected().step());
    report.put("validationLoss", selected().loss());
    report.put("test", tests);
    List<Map<String, Object>> points = new ArrayList<>();
    for (Point point : curve) {
      Map<String, Object> values = new LinkedHashMap<>();
      values.put("step", point.step);
      values.put("stage", point.stage == null ? "" : point.stage.name().toLowerCase(Locale.ROOT));
      if (Double.isFinite(point.trainLoss)) {
        values.put("trainLoss", point.trainLoss);
      }
      values.put("validationLoss", point.loss);
      values.put("validationAccuracy", point.accuracy);
      points.add(values);
    }
    report.put("curve", points);
    return report;
  }

  /**
   * Writes the models before and after each stage and the report into a folder, whole or not at
   * all: {@code source}, {@code after-lp} (of LP-FT), {@code last} and {@code
   * selected.safetensors}, and {@code adaptation.json}. A folder that an earlier call wrote is
   * replaced; any other is an error.
   */
  public void save(Path folder) {
    byte[] json = Json.pretty(report()).getBytes(StandardCharsets.UTF_8);
    AtomicFiles.folder(
        folder,
        old -> Files.isRegularFile(old.resolve(REPORT)),
        at -> {
          source.save(at.resolve("source.safetensors"));
          if (probed != null) {
            probed.save(at.resolve("after-lp.safetensors"));
          }
          last.save(at.resolve("last.safetensors"));
          chosen.save(at.resolve("selected.safetensors"));
          Files.write(at.resolve(REPORT), json);
        });
  }

  @Override
  public void close() {
    source.close();
    last.close();
    chosen.close();
    if (probed != null) {
      probed.close();
    }
  }
}
