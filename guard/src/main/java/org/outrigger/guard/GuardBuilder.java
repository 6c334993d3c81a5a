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
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.calibrate.AutoCalibrator;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.CalibratorChoice;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
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
  private @Nullable ConformalPredictor labelSets;
  private @Nullable Dataset target;
  private @Nullable Adapter adapter;
  private boolean safetyNet = true;
  private @Nullable Dataset training;
  private @Nullable Preprocessing preprocessing;
  private double accept = 0.95;
  private double fitShare = 0.5;
  private long seed;
  private int batchSize = 128;
  private int maxRows = 200_000;
  private int referenceRows = 1000;
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

  /** The calibrator, which the guard then owns; temperature scaling by default. */
  public GuardBuilder calibrate(Calibrator chosen) {
    calibrator = chosen;
    calibratorChosen = true;
    return this;
  }

  /** Keeps the model's own probabilities. */
  public GuardBuilder uncalibrated() {
    calibrator = null;
    return this;
  }

  /**
   * A calibrator by name, such as {@code "isotonic"} or {@code "vector-scaling:l2=0.01"}; {@code
   * "auto"} chooses one by cross-validation, which the guard then holds.
   */
  public GuardBuilder calibrate(String named) {
    return calibrate(Methods.parseOne(Calibrator.class, named));
  }

  /**
   * Lets the guard name the labels that are possible, with a promised probability that the true one
   * is among them; it owns the predictor. It is fitted on the held-out rows.
   */
  public GuardBuilder labelSets(@Nullable ConformalPredictor chosen) {
    labelSets = chosen;
    return this;
  }

  /** As {@link #labelSets(ConformalPredictor)}, by name, such as {@code "raps:alpha=0.05"}. */
  public GuardBuilder labelSets(String named) {
    return labelSets(Methods.parseOne(ConformalPredictor.class, named));
  }

  /**
   * Unlabelled data of the kind the guard will be used on, for label sets that correct for inputs
   * that shift.
   */
  public GuardBuilder target(@Nullable Dataset data) {
    target = data;
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

  /**
   * How many of the held-out rows are kept with the guard at most, for a {@link GuardMonitor} to
   * compare later traffic with; 1,000 by default, 0 for none.
   */
  public GuardBuilder referenceRows(int rows) {
    HyperParameter.require(rows == 0 || rows >= 2, "referenceRows", rows, "0, or 2 or more");
    referenceRows = rows;
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
    checkProbabilities();
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
      new ValidationLabels(model, validation, all)
          .check(detectors, calibratorChosen ? calibrator : null, labelSets);
      int[][] parts = split(Math.toIntExact(all.size()));
      try (RecordedOutputs fit = all.subset(parts[0]);
          RecordedOutputs holdOut = all.subset(parts[1]);
          ProbabilityFit probabilities = new ProbabilityFit(model, validation, batchSize)) {
        Threshold.requireRows(known(holdOut), accept);
        fitDetectors(fit, validation, options);
        Calibrator fitted = fit.labels() == null ? null : calibrator;
        probabilities.calibrate(fitted, fit);
        CalibratorChoice choice = fitted instanceof AutoCalibrator auto ? auto.choice() : null;
        if (choice != null) {
          // The guard holds what was chosen, not the choice.
          fitted = choice.chosen();
        }
        if (labelSets != null) {
          probabilities.promise(labelSets, fitted, holdOut, target, options);
        }
        double[][] raw = HoldOutScores.of(model, detectors, holdOut, validation, batchSize);
        List<ScoreScale> scales = Arrays.stream(raw).map(ScoreScale::new).toList();
        Threshold threshold = Threshold.choose(HoldOutScores.combined(raw, scales), accept);
        Adapter follower = startAdapter(fit, validation);
        GuardInfo info =
            new GuardInfo(
                model.name(),
                null,
                ValidationLabels.classNames(validation, all.classes()),
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
                labelSets == null ? null : part(labelSets),
                labelSets == null ? null : labelSets.promise(),
                follower == null ? null : Adapters.describe(follower),
                threshold,
                probabilities.measure(fitted, labelSets, holdOut),
                selection);
        GuardReference reference =
            referenceRows == 0
                ? null
                : ReferenceFit.of(
                    guard(scales, fitted, null, info, null),
                    holdOut,
                    validation,
                    referenceRows,
                    seed,
                    batchSize);
        return guard(scales, fitted, follower, info, reference);
      }
    }
  }

  private Guard guard(
      List<ScoreScale> scales,
      @Nullable Calibrator fitted,
      @Nullable Adapter follower,
      GuardInfo info,
      @Nullable GuardReference reference) {
    return new Guard(
        model,
        false,
        detectors,
        scales,
        fitted,
        labelSets,
        follower,
        preprocessing,
        info,
        reference);
  }

  /** Says before the model runs what calibration and label sets would lack. */
  private void checkProbabilities() {
    if (calibrator != null) {
      model.require(calibrator, Calibrator.class);
      if (adapter != null && calibrator.needs().contains(Need.INPUTS)) {
        throw new OutriggerException(
            calibrator.card().name()
                + " runs the model on changed copies of the inputs, which an adapter would learn"
                + " from: choose another calibrator, such as temperature, or no adapter.");
      }
    }
    if (labelSets != null) {
      model.require(labelSets, ConformalPredictor.class);
    }
    if (target != null && labelSets == null) {
      throw new OutriggerException(
          "Target data serves label sets that correct a shift: name such sets too.");
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

  private static long known(RecordedOutputs outputs) {
    try (PointerScope scope = new PointerScope()) {
      return outputs.labels() == null ? outputs.size() : ProbabilityFit.known(outputs).numel();
    }
  }

  private static GuardInfo.Part part(Method method) {
    return new GuardInfo.Part(method.card().slug(), Methods.values(method.settings()));
  }

  private static Map<String, String> versions() {
    Map<String, String> versions = new LinkedHashMap<>();
    versions.put("outrigger", Bundle.version());
    versions.put("libtorch", Torch.version());
    versions.put("java", System.getProperty("java.version"));
    return versions;
  }
}
