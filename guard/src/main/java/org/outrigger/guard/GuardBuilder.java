package org.outrigger.guard;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Energy;

/**
 * Builds a {@link Guard}. The model runs once over the validation data. One half of the rows fits
 * the detectors and the calibrator; the other half, which they have not seen, sets the threshold
 * and measures the guard. Where no detector is named it uses the energy score; where the data is
 * labelled it calibrates with temperature scaling.
 */
public final class GuardBuilder {
  private final Model model;
  private final List<Detector> detectors = new ArrayList<>();
  private @Nullable Calibrator calibrator = new TemperatureScaling();
  private boolean calibratorChosen;
  private @Nullable Adapter adapter;
  private boolean safetyNet = true;
  private @Nullable Dataset training;
  private @Nullable Preprocessing preprocessing;
  private double accept = 0.95;
  private double fitShare = 0.5;
  private long seed;
  private int batchSize = 128;
  private int maxRows = 200_000;
  private @Nullable String selection;
  private LongConsumer progress = done -> {};

  GuardBuilder(Model model) {
    this.model = model;
  }

  /** Adds detectors; with several, an input is unknown if any of them finds it so. */
  public GuardBuilder detect(Detector... added) {
    detectors.addAll(List.of(added));
    return this;
  }

  /** Adds detectors from a list such as {@code "energy,knn:k=20"}. */
  public GuardBuilder detect(String list) {
    detectors.addAll(Methods.parse(Detector.class, list));
    return this;
  }

  /** The calibrator; null for none. */
  public GuardBuilder calibrate(@Nullable Calibrator chosen) {
    calibrator = chosen;
    calibratorChosen = true;
    return this;
  }

  /**
   * Lets the guard follow the stream; it owns the adapter. What the adapter learns from the source
   * it learns from the training data, if some are given, else from the rows that fit the detectors.
   */
  public GuardBuilder adapt(@Nullable Adapter chosen) {
    adapter = chosen;
    return this;
  }

  /** As {@link #adapt(Adapter)}, from a stack such as {@code "eata:lr=0.001/unmix-tns"}. */
  public GuardBuilder adapt(String stack) {
    return adapt(Adapters.parse(stack));
  }

  /** Whether the adapter stands on a {@link SafetyNet}; it does by default. */
  public GuardBuilder safetyNet(boolean on) {
    safetyNet = on;
    return this;
  }

  /** The share of known inputs to accept, in (0, 1); 0.95 by default. */
  public GuardBuilder accept(double share) {
    HyperParameter.inside("accept", share, 0, 1);
    accept = share;
    return this;
  }

  /**
   * Fits the detectors on this data, which the model may have been trained on, instead of on half
   * of the validation data. Papers fit distance-based detectors so.
   */
  public GuardBuilder fitDetectorsOn(Dataset data) {
    training = data;
    return this;
  }

  /** The share of the validation rows to fit on, in (0, 1); 0.5 by default. */
  public GuardBuilder fitShare(double share) {
    HyperParameter.inside("fitShare", share, 0, 1);
    fitShare = share;
    return this;
  }

  /** How images are prepared, to be saved with the guard. */
  public GuardBuilder preprocessing(@Nullable Preprocessing steps) {
    preprocessing = steps;
    return this;
  }

  /** Seed of the split and of the sample; 0 by default. */
  public GuardBuilder seed(long value) {
    seed = value;
    return this;
  }

  /** Rows a forward pass; 128 by default. */
  public GuardBuilder batchSize(int rows) {
    HyperParameter.atLeast("batchSize", rows, 1);
    batchSize = rows;
    return this;
  }

  /** The most rows to fit on; of more data a seeded uniform sample is taken. 200,000 by default. */
  public GuardBuilder maxRows(int rows) {
    HyperParameter.atLeast("maxRows", rows, 1);
    maxRows = rows;
    return this;
  }

  /** Notes why the detectors were chosen, for the guard's provenance. */
  public GuardBuilder selection(String reason) {
    selection = reason;
    return this;
  }

  /** Is told how many rows the model has seen. */
  public GuardBuilder progress(LongConsumer listener) {
    progress = listener;
    return this;
  }

  /**
   * Fits everything.
   *
   * @param validation known inputs that the model was not trained on; labels let the guard
   *     calibrate
   * @throws OutriggerException if the model or the data lacks what a method needs
   */
  public Guard fit(Dataset validation) {
    Torch.start();
    if (detectors.isEmpty()) {
      detectors.add(new Energy());
    }
    for (Detector detector : detectors) {
      model.require(detector, Detector.class);
    }
    if (adapter != null) {
      model.require(adapter, Adapter.class);
    }
    List<String> maps = Guard.maps(model, detectors);
    Fingerprint fingerprint = new Fingerprint();
    RecordedOutputs.Options options =
        RecordedOutputs.Options.defaults()
            .withBatchSize(batchSize)
            .withMaps(maps)
            .withMaxRows(maxRows)
            .withSeed(Rng.derive(seed, "rows"))
            .withProgress(progress);
    try (RecordedOutputs all =
        RecordedOutputs.record(model, validation, options.withObserver(fingerprint::add))) {
      checkLabels(all, validation);
      int[][] parts = split(Math.toIntExact(all.size()));
      try (RecordedOutputs fit = all.subset(parts[0]);
          RecordedOutputs holdOut = all.subset(parts[1])) {
        Threshold.requireRows(known(holdOut), accept);
        fitDetectors(fit, validation, options);
        Calibrator fitted = fitCalibrator(fit);
        double[][] raw = holdOutScores(holdOut, validation, maps);
        List<ScoreScale> scales = Arrays.stream(raw).map(ScoreScale::new).toList();
        Threshold threshold = Threshold.choose(combined(raw, scales), accept);
        Adapter follower = startAdapter(fit, validation);
        GuardInfo info =
            new GuardInfo(
                model.name(),
                null,
                classNames(validation, all.classes()),
                validation.inputShape(),
                validation.featureColumns(),
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                versions(),
                validation.name(),
                fingerprint.hex(),
                all.seen(),
                all.skipped().size(),
                fit.size(),
                holdOut.size(),
                seed,
                detectors.stream().map(GuardBuilder::part).toList(),
                fitted == null ? null : part(fitted),
                follower == null ? null : Adapters.describe(follower),
                threshold,
                metrics(holdOut, fitted),
                selection);
        return new Guard(model, false, detectors, scales, fitted, follower, preprocessing, info);
      }
    }
  }

  private void checkLabels(RecordedOutputs all, Dataset validation) {
    Tensor labels = all.labels();
    if (labels == null) {
      for (Detector detector : detectors) {
        if (detector.needs().contains(Need.LABELS)) {
          throw new OutriggerException(
              detector.card().name()
                  + " needs class labels, but "
                  + validation.name()
                  + " has none: use one folder a class, name a label column, or choose a detector"
                  + " that needs none.");
        }
      }
      if (calibratorChosen && calibrator != null) {
        throw new OutriggerException(
            calibrator.card().name()
                + " needs class labels, but "
                + validation.name()
                + " has none: use labelled data, or no calibrator.");
      }
      return;
    }
    try (PointerScope scope = new PointerScope()) {
      long most = labels.max().item_long();
      if (most >= all.classes()) {
        throw new OutriggerException(
            validation.name()
                + " has labels up to "
                + most
                + ", but the model "
                + model.name()
                + " has only "
                + all.classes()
                + " classes.");
      }
      long known = labels.ge(new org.bytedeco.pytorch.Scalar(0)).sum().item_long();
      if (known == 0 || labels.min().item_long() == most) {
        throw new OutriggerException(
            "All rows of "
                + validation.name()
                + " have the same label ("
                + (most < 0 ? "unknown" : classNames(validation, all.classes()).get((int) most))
                + "): a guard is fitted on data of at least two classes.");
      }
    }
  }

  /** A seeded random split; rows keep their order inside each part. */
  private int[][] split(int n) {
    if (n < 2) {
      throw new OutriggerException(
          "A guard needs more than " + n + " validation rows: some to fit on, some to hold out.");
    }
    int[] order;
    try (Rng rng = Rng.named(seed, "guard split");
        PointerScope scope = new PointerScope()) {
      order = Tensors.ints(rng.permutation(n));
    }
    int cut = training != null ? Math.max(1, n / 5) : (int) Math.round(n * fitShare);
    cut = Math.max(1, Math.min(n - 1, cut));
    int[] first = Arrays.copyOfRange(order, 0, cut);
    int[] second = Arrays.copyOfRange(order, cut, n);
    Arrays.sort(first);
    Arrays.sort(second);
    return new int[][] {first, second};
  }

  private void fitDetectors(
      RecordedOutputs fit, Dataset validation, RecordedOutputs.Options options) {
    if (training == null) {
      fitDetectors(rows(validation, fit), fit);
      return;
    }
    try (RecordedOutputs known = RecordedOutputs.record(model, training, options)) {
      fitDetectors(rows(training, known), known);
    }
  }

  private @Nullable Adapter startAdapter(RecordedOutputs fit, Dataset validation) {
    Adapter chosen = adapter;
    if (chosen == null) {
      return null;
    }
    Adapter follower =
        !safetyNet || chosen instanceof SafetyNet ? chosen : new SafetyNet().over(chosen);
    Dataset source = training != null ? training : rows(validation, fit);
    if (follower.needs().contains(Need.SOURCE) && !(source instanceof IndexedDataset)) {
      throw new OutriggerException(
          follower.stack()
              + " learns from data that the model knows, in several walks, but "
              + validation.name()
              + " can be read only once: give training data in files or in memory.");
    }
    follower.start(model, source instanceof IndexedDataset indexed ? indexed : null);
    return follower;
  }

  private void fitDetectors(@Nullable Dataset data, RecordedOutputs outputs) {
    for (Detector detector : detectors) {
      if (data == null) {
        detector.fit(outputs);
      } else {
        detector.fit(model, data, outputs);
      }
    }
  }

  /** The recorded rows of a data set, where they can be found again. */
  private static @Nullable Dataset rows(Dataset data, RecordedOutputs outputs) {
    if (data instanceof IndexedDataset indexed && outputs.skipped().isEmpty()) {
      return indexed.subset(Arrays.stream(outputs.rows()).mapToInt(Math::toIntExact).toArray());
    }
    return null;
  }

  private @Nullable Calibrator fitCalibrator(RecordedOutputs fit) {
    Calibrator chosen = calibrator;
    if (chosen == null || fit.labels() == null) {
      return null;
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor known = knownRows(fit);
      chosen.fit(
          fit.output().logits().index_select(0, known),
          fit.requireLabels("The calibrator").index_select(0, known));
    }
    return chosen;
  }

  private static long known(RecordedOutputs outputs) {
    try (PointerScope scope = new PointerScope()) {
      return outputs.labels() == null ? outputs.size() : knownRows(outputs).numel();
    }
  }

  private static Tensor knownRows(RecordedOutputs outputs) {
    return torch
        .nonzero(outputs.requireLabels("The calibrator").ge(new org.bytedeco.pytorch.Scalar(0)))
        .squeeze(1);
  }

  /** Scores of the held-out known rows; detectors that need the inputs get a second walk. */
  private double[][] holdOutScores(RecordedOutputs holdOut, Dataset validation, List<String> maps) {
    boolean inputs = detectors.stream().anyMatch(d -> d.needs().contains(Need.INPUT_GRADIENTS));
    double[][] raw = new double[detectors.size()][Math.toIntExact(holdOut.size())];
    if (inputs) {
      walkAgain(holdOut.rows(), validation, maps, raw);
    } else {
      int[] done = {0};
      holdOut.forEach(
          part -> {
            for (int d = 0; d < raw.length; d++) {
              double[] scores = Tensors.doubles(detectors.get(d).score(part.output()));
              System.arraycopy(scores, 0, raw[d], done[0], scores.length);
            }
            done[0] += (int) part.output().size();
          });
    }
    return keepKnown(holdOut, raw);
  }

  private static double[][] keepKnown(RecordedOutputs holdOut, double[][] raw) {
    Tensor labels = holdOut.labels();
    if (labels == null) {
      return raw;
    }
    long[] y = Tensors.longs(labels);
    double[][] kept = new double[raw.length][];
    for (int d = 0; d < raw.length; d++) {
      double[] scores = raw[d];
      kept[d] =
          java.util.stream.IntStream.range(0, scores.length)
              .filter(i -> y[i] >= 0)
              .mapToDouble(i -> scores[i])
              .toArray();
    }
    return kept;
  }

  private void walkAgain(long[] rows, Dataset validation, List<String> maps, double[][] raw) {
    long first = 0;
    int next = 0;
    try (Batches batches = validation.batches(batchSize)) {
      while (batches.hasNext() && next < rows.length) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          int from = next;
          while (next < rows.length && rows[next] < first + batch.size()) {
            next++;
          }
          if (next > from) {
            long start = first;
            long[] index = Arrays.stream(rows, from, next).map(row -> row - start).toArray();
            Tensor inputs = batch.inputs().index_select(0, Tensors.of(index, index.length));
            Output output = model.predict(inputs, maps);
            double[][] scores = Guard.scores(model, detectors, inputs, output);
            for (int d = 0; d < raw.length; d++) {
              System.arraycopy(scores[d], 0, raw[d], from, index.length);
            }
          }
          first += batch.size();
        }
      }
    }
  }

  private static double[] combined(double[][] raw, List<ScoreScale> scales) {
    if (raw.length == 1) {
      return raw[0];
    }
    double[] largest = new double[raw[0].length];
    for (int i = 0; i < largest.length; i++) {
      double most = 0;
      for (int d = 0; d < raw.length; d++) {
        most = Math.max(most, scales.get(d).of(raw[d][i]));
      }
      largest[i] = most;
    }
    return largest;
  }

  private static Map<String, Double> metrics(
      RecordedOutputs holdOut, @Nullable Calibrator calibrator) {
    Map<String, Double> metrics = new LinkedHashMap<>();
    if (holdOut.labels() == null) {
      return metrics;
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor known = knownRows(holdOut);
      Tensor logits = holdOut.output().logits().index_select(0, known).to(torch.ScalarType.Double);
      Tensor labels = holdOut.requireLabels("The calibrator").index_select(0, known);
      CalibrationMetrics before = CalibrationMetrics.of(torch.softmax(logits, 1), labels);
      metrics.put("accuracy", before.accuracy());
      metrics.put("eceBefore", before.ece());
      metrics.put("nllBefore", before.nll());
      if (calibrator != null) {
        CalibrationMetrics after = CalibrationMetrics.of(calibrator.probabilities(logits), labels);
        metrics.put("eceAfter", after.ece());
        metrics.put("nllAfter", after.nll());
      }
    }
    return metrics;
  }

  private static GuardInfo.Part part(Method method) {
    return new GuardInfo.Part(method.card().slug(), Methods.values(method.settings()));
  }

  private static List<String> classNames(Dataset data, int classes) {
    List<String> names = new ArrayList<>(data.classNames());
    for (int c = names.size(); c < classes; c++) {
      names.add(Integer.toString(c));
    }
    return names.subList(0, classes);
  }

  private static Map<String, String> versions() {
    Map<String, String> versions = new LinkedHashMap<>();
    versions.put("outrigger", Bundle.version());
    versions.put("libtorch", Torch.version());
    versions.put("java", System.getProperty("java.version"));
    return versions;
  }
}
