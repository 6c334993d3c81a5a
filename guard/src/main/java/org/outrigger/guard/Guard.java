package org.outrigger.guard;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Detector;

/**
 * A model plus its keepers, fitted together: for each row a label, a probability that means
 * something, and whether the model knows such inputs at all.
 *
 * <pre>{@code
 * try (var model = TorchScriptModel.load(Path.of("resnet.pt"));
 *     var guard = Guard.of(model)
 *         .detect(new Energy(), new Knn())
 *         .accept(0.95)
 *         .fit(ImageFolder.open(Path.of("validation")))) {
 *   for (Verdict v : guard.check(batch)) {
 *     if (v.unknown()) review(v.id(), v.score());
 *     else act(v.label(), v.probability());
 *   }
 *   guard.save(Path.of("resnet.guard"));
 * }
 * }</pre>
 *
 * <p>With {@link GuardBuilder#labelSets} each verdict also names the labels that are possible, with
 * a promised probability that the true one is among them. The sets come from the model's own
 * output.
 *
 * <p>A guard may follow the stream: with {@link GuardBuilder#adapt} labels and probabilities come
 * from an adapter, which learns from every batch that is checked, while the detectors judge what
 * the model itself makes of the inputs, as they were fitted. The adapter stands on a safety net.
 * Several streams do not share it: {@link #streams} gives each an adapter of its own.
 *
 * <p>{@code check} is safe for concurrent use; batches reach an adapter one after the other.
 */
public final class Guard implements AutoCloseable {
  private final Model model;
  private final boolean ownsModel;
  private final List<Detector> detectors;
  private final List<ScoreScale> scales;
  private final @Nullable Calibrator calibrator;
  private final @Nullable ConformalPredictor labelSets;
  private final @Nullable Adapter adapter;
  private final @Nullable Preprocessing preprocessing;
  private final GuardInfo info;
  private final @Nullable GuardReference reference;
  private final List<String> maps;

  Guard(
      Model model,
      boolean ownsModel,
      List<Detector> detectors,
      List<ScoreScale> scales,
      @Nullable Calibrator calibrator,
      @Nullable ConformalPredictor labelSets,
      @Nullable Adapter adapter,
      @Nullable Preprocessing preprocessing,
      GuardInfo info,
      @Nullable GuardReference reference) {
    this.model = model;
    this.ownsModel = ownsModel;
    this.detectors = List.copyOf(detectors);
    this.scales = List.copyOf(scales);
    this.calibrator = calibrator;
    this.labelSets = labelSets;
    this.adapter = adapter;
    this.preprocessing = preprocessing;
    this.info = info;
    this.reference = reference;
    this.maps = maps(model, detectors);
  }

  /** Starts to build a guard around a model, which stays the caller's. */
  public static GuardBuilder of(Model model) {
    return new GuardBuilder(model);
  }

  /** Opens a saved guard on the CPU; its model is closed with it. */
  public static Guard load(Path bundle) {
    return load(bundle, "cpu");
  }

  /**
   * Opens a saved guard.
   *
   * @param device as in {@link Torch#device}
   * @throws OutriggerException if it is no guard, is damaged, or is of a newer format
   */
  public static Guard load(Path bundle, String device) {
    return GuardFiles.load(bundle, device);
  }

  /** Saves it as one bundle, whole or not at all; an older guard there is replaced. */
  public void save(Path bundle) {
    GuardFiles.save(this, bundle);
  }

  /**
   * Judges a batch.
   *
   * @param batch inputs [N, ...] as the model takes them
   * @return one verdict a row, in order
   * @throws OutriggerException if the inputs do not fit the model or hold NaN or infinite values;
   *     the message names the first such row
   */
  public List<Verdict> check(Batch batch) {
    return verdicts(batch.inputs(), batch.ids());
  }

  /** Judges inputs [N, ...]; rows are called by their number. */
  public List<Verdict> check(Tensor inputs) {
    return verdicts(inputs, null);
  }

  /**
   * Verdicts with the logits they came from.
   *
   * @param verdicts one a row
   * @param logits [N, C] in row-major order, uncalibrated; the adapter's where there is one
   * @param watched what a monitor watches, [N, F] in row-major order with the F columns of {@link
   *     GuardReference#features}; null unless it was asked for
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Answer(List<Verdict> verdicts, float[] logits, float @Nullable [] watched) {}

  /** Judges inputs [N, ...] and gives the logits too. */
  public Answer answer(Tensor inputs) {
    return answer(inputs, false);
  }

  /**
   * Judges inputs [N, ...] and gives the logits too.
   *
   * @param watch whether the answer also holds what a {@link GuardMonitor} watches, from the same
   *     forward pass
   * @throws OutriggerException also if it is to be watched but has no reference
   */
  public Answer answer(Tensor inputs, boolean watch) {
    return answer(inputs, watch, this::adapted);
  }

  /** As {@link #answer}, by the model alone, whether there is an adapter or not. */
  public Answer modelAnswer(Tensor inputs, boolean watch) {
    return answer(inputs, watch, (rows, output) -> output.logits());
  }

  /** As {@link #answer}, with logits from elsewhere. */
  Answer answer(Tensor inputs, boolean watch, Follower follower) {
    if (!watch) {
      Judged judged = judge(inputs, null, follower, null);
      return new Answer(verdicts(judged, null), judged.logits, null);
    }
    Watched watched = requireReference().watched();
    float[][] values = new float[1][];
    Judged judged =
        judge(
            inputs,
            null,
            follower,
            (x, output) -> values[0] = Tensors.floats(watched.of(x, output)));
    return new Answer(verdicts(judged, null), judged.logits, values[0]);
  }

  /** Gives the logits that labels and probabilities come from. */
  interface Follower {
    /** Logits [N, C] of the inputs, of which {@code output} is what the model makes; in a scope. */
    Tensor logits(Tensor inputs, Output output);
  }

  /**
   * Where streams start that have an adapter each; the model is shared.
   *
   * @param stack of the adapters, as {@code Adapters.parse} reads it, on a safety net in any case;
   *     null for the guard's own, as it was when the guard was fitted
   * @param batch how many rows they learn from at a time, 1 or more
   * @throws OutriggerException if the guard has no adapter and none is named, or if the stack needs
   *     data that a fitted guard no longer has
   */
  public GuardStreams streams(@Nullable String stack, int batch) {
    return GuardStreams.of(this, stack, batch);
  }

  private List<Verdict> verdicts(Tensor inputs, @Nullable List<String> ids) {
    return verdicts(judge(inputs, ids, null), ids);
  }

  private List<Verdict> verdicts(Judged judged, @Nullable List<String> ids) {
    List<Verdict> verdicts = new ArrayList<>(judged.predicted.length);
    for (int i = 0; i < judged.predicted.length; i++) {
      verdicts.add(
          new Verdict(
              ids == null ? Integer.toString(i) : ids.get(i),
              judged.predicted[i],
              className(judged.predicted[i]),
              judged.probability[i],
              judged.score[i],
              !(judged.score[i] <= info.threshold().value()),
              info.detectors().get(judged.detector[i]).slug(),
              labelSet(judged, i)));
    }
    return verdicts;
  }

  private @Nullable LabelSet labelSet(Judged judged, int row) {
    return labelSets == null || judged.sets == null
        ? null
        : LabelSet.of(judged.sets[row], info.classNames(), labelSets.coverage());
  }

  /**
   * A batch's figures before they are verdicts.
   *
   * @param logits [N, C] in row-major order
   * @param predicted class of each row
   * @param probability calibrated, of the predicted class
   * @param score of each row, on the scale of the threshold
   * @param detector that gave the score
   * @param sets whether each row's label set holds each class; null without label sets
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Judged(
      float[] logits,
      int[] predicted,
      double[] probability,
      double[] score,
      int[] detector,
      boolean @Nullable [][] sets) {}

  /** Sees inputs and what the model makes of them, in the scope of the pass. */
  interface Watch {
    void see(Tensor inputs, Output output);
  }

  Judged judge(Tensor inputs, @Nullable List<String> ids, @Nullable Watch watch) {
    return judge(inputs, ids, this::adapted, watch);
  }

  private Judged judge(
      Tensor inputs, @Nullable List<String> ids, Follower follower, @Nullable Watch watch) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Output output = model.predict(inputs, maps);
      if (watch != null) {
        watch.see(inputs, output);
      }
      Tensor followed = follower.logits(inputs, output);
      float[] logits = Tensors.floats(followed);
      int classes = Math.toIntExact(output.logits().size(1));
      int[] predicted = predict(logits, logits.length / classes, classes, inputs, ids);
      double[] probability = confide(inputs, output, followed, logits, classes, predicted);
      boolean[][] sets = labelSets == null ? null : sets(labelSets, inputs, output);
      double[][] raw = scores(model, detectors, inputs, output);
      if (detectors.size() == 1) {
        return new Judged(logits, predicted, probability, raw[0], new int[predicted.length], sets);
      }
      double[] score = new double[predicted.length];
      int[] detector = new int[predicted.length];
      for (int i = 0; i < score.length; i++) {
        for (int d = 0; d < raw.length; d++) {
          double scaled = scales.get(d).of(raw[d][i]);
          if (d == 0 || scaled > score[i]) {
            score[i] = scaled;
            detector[i] = d;
          }
        }
      }
      return new Judged(logits, predicted, probability, score, detector, sets);
    }
  }

  /**
   * The calibrated probability of each row's predicted class. Where the calibrator may change the
   * order of classes, the most probable one becomes the prediction.
   */
  private double[] confide(
      Tensor inputs, Output output, Tensor followed, float[] logits, int classes, int[] predicted) {
    Calibrator chosen = calibrator;
    if (chosen == null) {
      return confidences(logits, classes, predicted);
    }
    boolean looksAtInputs = chosen.needs().contains(Need.INPUTS);
    if (!looksAtInputs && chosen.keepsRanking()) {
      return chosen.confidences(logits, classes, predicted);
    }
    double[] all =
        Tensors.doubles(
            looksAtInputs
                ? chosen.probabilities(model, inputs, output)
                : chosen.probabilities(followed));
    double[] top = new double[predicted.length];
    for (int i = 0; i < top.length; i++) {
      if (!chosen.keepsRanking()) {
        for (int c = 0; c < classes; c++) {
          if (all[i * classes + c] > all[i * classes + predicted[i]]) {
            predicted[i] = c;
          }
        }
      }
      top[i] = all[i * classes + predicted[i]];
    }
    return top;
  }

  /** Label sets come from the model's own output, about which the promise is. */
  private boolean[][] sets(ConformalPredictor predictor, Tensor inputs, Output output) {
    double[][] members =
        Tensors.rows(
            predictor.sets(
                probabilities(model, calibrator, inputs, output),
                predictor.needs().contains(Need.FEATURES) ? output.features() : null));
    boolean[][] sets = new boolean[members.length][];
    for (int i = 0; i < sets.length; i++) {
      sets[i] = new boolean[members[i].length];
      for (int c = 0; c < sets[i].length; c++) {
        sets[i][c] = members[i][c] != 0;
      }
    }
    return sets;
  }

  /** Calibrated probabilities of the model's own output, float64 [N, C]. */
  static Tensor probabilities(
      Model model, @Nullable Calibrator calibrator, Tensor inputs, Output output) {
    return calibrator == null
        ? torch.softmax(output.logits().to(ScalarType.Double), 1)
        : calibrator.probabilities(model, inputs, output).to(ScalarType.Double);
  }

  /** The logits that count: the adapter's, or the model's where there are too few rows for it. */
  private Tensor adapted(Tensor inputs, Output output) {
    if (adapter == null || inputs.size(0) < adapter.minimumBatch()) {
      return output.logits();
    }
    synchronized (adapter) {
      return adapter.adapt(inputs).logits();
    }
  }

  /** Arg max of each row; NaN or infinite logits mean that the input held such values. */
  private int[] predict(
      float[] logits, int n, int classes, Tensor inputs, @Nullable List<String> ids) {
    int[] predicted = new int[n];
    for (int i = 0; i < n; i++) {
      int best = 0;
      boolean finite = true;
      for (int c = 0; c < classes; c++) {
        float value = logits[i * classes + c];
        finite &= Float.isFinite(value);
        if (value > logits[i * classes + best]) {
          best = c;
        }
      }
      if (!finite) {
        Shapes.finite("The batch", inputs);
        throw new OutriggerException(
            "The model gave NaN or infinite logits for row "
                + (ids == null ? Integer.toString(i) : ids.get(i))
                + ", though its input is finite: the model's weights are damaged, or the input is"
                + " far outside the range it was trained on.");
      }
      predicted[i] = best;
    }
    return predicted;
  }

  /** Softmax probability of each row's predicted class, uncalibrated. */
  static double[] confidences(float[] logits, int classes, int[] predicted) {
    double[] top = new double[predicted.length];
    for (int i = 0; i < top.length; i++) {
      double sum = 0;
      for (int c = 0; c < classes; c++) {
        sum += Math.exp(logits[i * classes + c] - (double) logits[i * classes + predicted[i]]);
      }
      top[i] = 1 / sum;
    }
    return top;
  }

  /** Each detector's scores, [detectors][N]. */
  static double[][] scores(Model model, List<Detector> detectors, Tensor inputs, Output output) {
    double[][] scores = new double[detectors.size()][];
    for (int d = 0; d < scores.length; d++) {
      scores[d] = Tensors.doubles(detectors.get(d).score(model, inputs, output));
    }
    return scores;
  }

  static List<String> maps(Model model, List<Detector> detectors) {
    Set<String> names = new LinkedHashSet<>();
    detectors.forEach(detector -> names.addAll(detector.maps(model)));
    return List.copyOf(names);
  }

  private String className(int label) {
    return label < info.classNames().size()
        ? info.classNames().get(label)
        : Integer.toString(label);
  }

  /** Where it comes from and how it did when fitted. */
  public GuardInfo info() {
    return info;
  }

  /** What known traffic looks like; null if it was fitted without. */
  public @Nullable GuardReference reference() {
    return reference;
  }

  /** As {@link #reference}, or an error that says what to do. */
  GuardReference requireReference() {
    if (reference == null) {
      throw new OutriggerException(
          "This guard has no reference of known traffic, so nothing can be compared with it: fit"
              + " it again, with referenceRows (--reference-rows) of 2 or more.");
    }
    return reference;
  }

  /** The guarded model. */
  public Model model() {
    return model;
  }

  /** Its detectors. */
  public List<Detector> detectors() {
    return detectors;
  }

  /** The scales that make several detectors comparable, one a detector. */
  List<ScoreScale> scales() {
    return scales;
  }

  /** Its calibrator, or null. */
  public @Nullable Calibrator calibrator() {
    return calibrator;
  }

  /** What gives label sets, or null. */
  public @Nullable ConformalPredictor labelSets() {
    return labelSets;
  }

  /**
   * What the label sets promise, and for which inputs, in one sentence; null without label sets.
   */
  public @Nullable String promise() {
    return labelSets == null ? null : labelSets.promise();
  }

  /** What follows the stream, on its safety net; null if the guard does not adapt. */
  public @Nullable Adapter adapter() {
    return adapter;
  }

  /** Lets the adapter start over; does nothing if there is none. */
  public void resetAdapter() {
    if (adapter != null) {
      synchronized (adapter) {
        adapter.reset();
      }
    }
  }

  /** How images are prepared for the model, or null if it takes tensors as they are. */
  public @Nullable Preprocessing preprocessing() {
    return preprocessing;
  }

  @Override
  public void close() {
    detectors.forEach(Detector::close);
    if (calibrator != null) {
      calibrator.close();
    }
    if (labelSets != null) {
      labelSets.close();
    }
    if (adapter != null) {
      adapter.close();
    }
    if (ownsModel) {
      model.close();
    }
  }
}
