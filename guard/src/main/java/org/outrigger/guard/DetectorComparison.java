package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.Bootstrap;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.Fpr;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.ScoreTable;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Detector;

/**
 * Detectors side by side on the same data: how well each tells kinds of unknown inputs from known
 * ones, what it costs, and what it needs. The model runs once over each data set; detectors that
 * perturb inputs run it again.
 *
 * @param rows one a detector that could be used, best mean AUROC first
 * @param left detectors that could not be used, and why
 */
public record DetectorComparison(List<Row> rows, List<Left> left) {

  /**
   * One detector.
   *
   * @param slug its short name
   * @param settings its hyper-parameters
   * @param needs of the model and the data
   * @param fitSeconds wall time of the fit
   * @param scoreMicros wall time of scoring one row, without the model's forward pass
   * @param stateBytes what it keeps
   * @param kinds figures for each kind of unknown inputs, in the order given
   */
  public record Row(
      String slug,
      Map<String, Object> settings,
      List<Need> needs,
      double fitSeconds,
      double scoreMicros,
      long stateBytes,
      List<Kind> kinds) {
    /** The mean AUROC over the kinds. */
    public double meanAuroc() {
      return kinds.stream().mapToDouble(kind -> kind.metrics.auroc()).average().orElse(Double.NaN);
    }

    /** The mean, over the kinds, of the share of unknown inputs accepted with 95 % of the known. */
    public double meanFpr() {
      return kinds.stream()
          .mapToDouble(kind -> kind.metrics.fprIdPositive())
          .average()
          .orElse(Double.NaN);
    }
  }

  /**
   * A detector against one kind of unknown inputs.
   *
   * @param name of the data
   * @param auroc with its bootstrap interval
   * @param fpr share of unknown inputs accepted where 95 % of the known are, with its interval
   */
  public record Kind(String name, DetectionMetrics metrics, Interval auroc, Interval fpr) {}

  /**
   * A detector that was left out.
   *
   * @param slug its short name
   * @param reason in one line
   */
  public record Left(String slug, String reason) {}

  /**
   * Data to compare on.
   *
   * @param name for reports
   * @param data rows to run the model on; null if only the outputs are at hand
   * @param outputs of the model
   */
  public record Part(String name, @Nullable Dataset data, Outputs outputs) {}

  /**
   * Compares on cached outputs or live ones.
   *
   * @param model null if only outputs are at hand; detectors that need more are left out then
   * @param fit known inputs to fit on
   * @param known other known inputs to score
   * @param unknown kinds of unknown inputs to score
   * @param seed of the bootstrap
   * @param progress is told which detector comes next
   */
  public static DetectorComparison of(
      @Nullable Model model,
      Part fit,
      Part known,
      List<Part> unknown,
      List<Detector> detectors,
      int batchSize,
      long seed,
      Consumer<String> progress) {
    List<Row> rows = new ArrayList<>();
    List<Left> left = new ArrayList<>();
    for (Detector detector : detectors) {
      progress.accept(detector.card().slug());
      try {
        rows.add(row(model, fit, known, unknown, detector, batchSize, seed));
      } catch (OutriggerException e) {
        left.add(new Left(detector.card().slug(), e.firstLine()));
      }
    }
    rows.sort((a, b) -> Double.compare(b.meanAuroc(), a.meanAuroc()));
    return new DetectorComparison(rows, left);
  }

  /** Runs the model over a data set for a comparison with these detectors. */
  public static RecordedOutputs record(
      Model model, Dataset data, List<Detector> detectors, RecordedOutputs.Options options) {
    List<Detector> usable =
        detectors.stream().filter(d -> model.missing(d.needs()).isEmpty()).toList();
    return RecordedOutputs.record(model, data, options.withMaps(Guard.maps(model, usable)));
  }

  private static Row row(
      @Nullable Model model,
      Part fit,
      Part known,
      List<Part> unknown,
      Detector detector,
      int batchSize,
      long seed) {
    boolean inputs = detector.needs().contains(Need.INPUT_GRADIENTS);
    if (model != null) {
      model.require(detector, Detector.class);
    } else if (inputs) {
      throw new OutriggerException(
          detector.card().name() + " needs the model itself, not only its cached outputs.");
    }
    long start = System.nanoTime();
    if (model != null && fit.data() != null && fit.data().size() == fit.outputs().size()) {
      detector.fit(model, fit.data(), fit.outputs());
    } else {
      detector.fit(fit.outputs());
    }
    double fitSeconds = (System.nanoTime() - start) / 1e9;
    start = System.nanoTime();
    double[] idScores = scores(model, detector, known, inputs, batchSize);
    double scoreMicros = (System.nanoTime() - start) / 1e3 / idScores.length;
    Bootstrap bootstrap = Bootstrap.of(seed);
    List<Kind> kinds = new ArrayList<>();
    for (Part part : unknown) {
      ScoreTable table = ScoreTable.of(idScores, scores(model, detector, part, inputs, batchSize));
      kinds.add(
          new Kind(
              part.name(),
              DetectionMetrics.of(table, 0.95),
              bootstrap.detection(table, Auroc::of),
              bootstrap.detection(table, s -> Fpr.idPositive(s, 0.95))));
    }
    long bytes =
        detector.state().tensors().values().stream()
            .mapToLong(t -> t.numel() * t.element_size())
            .sum();
    return new Row(
        detector.card().slug(),
        Methods.values(detector.settings()),
        detector.needs().stream().sorted().toList(),
        fitSeconds,
        scoreMicros,
        bytes,
        kinds);
  }

  private static double[] scores(
      @Nullable Model model, Detector detector, Part part, boolean inputs, int batchSize) {
    if (inputs && model != null && part.data() != null) {
      return liveScores(model, detector, part.data(), batchSize);
    }
    double[] all = new double[Math.toIntExact(part.outputs().size())];
    int[] done = {0};
    part.outputs()
        .forEach(
            labelled -> {
              double[] some = Tensors.doubles(detector.score(labelled.output()));
              System.arraycopy(some, 0, all, done[0], some.length);
              done[0] += some.length;
            });
    return all;
  }

  private static double[] liveScores(Model model, Detector detector, Dataset data, int batchSize) {
    List<double[]> parts = new ArrayList<>();
    List<String> maps = detector.maps(model);
    try (Batches batches = data.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          Output output = model.predict(batch.inputs(), maps);
          Tensor scores = detector.score(model, batch.inputs(), output);
          parts.add(Tensors.doubles(scores));
        }
      }
    }
    return parts.stream().flatMapToDouble(java.util.Arrays::stream).toArray();
  }

  /** The figures as JSON types. */
  public Map<String, Object> toJson() {
    List<Object> all = new ArrayList<>();
    for (Row row : rows) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("detector", row.slug());
      one.put("settings", row.settings());
      one.put("needs", row.needs());
      one.put("meanAuroc", row.meanAuroc());
      one.put("meanFpr95IdPositive", row.meanFpr());
      one.put("fitSeconds", row.fitSeconds());
      one.put("scoreMicrosPerRow", row.scoreMicros());
      one.put("stateBytes", row.stateBytes());
      List<Object> kinds = new ArrayList<>();
      for (Kind kind : row.kinds()) {
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("name", kind.name());
        figures.put("auroc", kind.auroc());
        figures.put("fpr95IdPositive", kind.fpr());
        figures.put("fpr95OodPositive", kind.metrics().fprOodPositive());
        figures.put("auprIn", kind.metrics().auprIn());
        figures.put("auprOut", kind.metrics().auprOut());
        kinds.add(figures);
      }
      one.put("unknown", kinds);
      all.add(one);
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("detectors", all);
    json.put("left", left);
    return json;
  }
}
