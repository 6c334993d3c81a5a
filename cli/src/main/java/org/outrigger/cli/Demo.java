package org.outrigger.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.method.Methods;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.datasets.Mnist;
import org.outrigger.datasets.UnknownImages;
import org.outrigger.detect.Detector;
import org.outrigger.evaluate.corruption.CorruptedDataset;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.evaluate.stream.StreamProtocol;
import org.outrigger.evaluate.stream.TestStream;
import org.outrigger.guard.AdapterComparison;
import org.outrigger.guard.AutoDetector;
import org.outrigger.guard.DetectorComparison;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardEvaluation;
import org.outrigger.guard.Verdict;

/**
 * The main job on embedded data: a model, a guard around it, three kinds of unknown inputs,
 * corrupted inputs of growing severity, and adapters that follow a stream of them.
 */
final class Demo {
  private static final String DETECTORS =
      "msp,maxlogit,energy,entropy,gen,knn,mahalanobis,relative-mahalanobis,vim:dim=32,react,ash-s,scale,"
          + "kl-matching,fdbd";

  /** Classes that the second model never sees. */
  private static final int[] HELD_OUT = {5, 8};

  /** What is led through a stream of corrupted inputs. */
  private static final String ADAPTERS = "source,bn-adapt,safety-net/tent";

  private static final int STREAM_SEVERITY = 3;
  private static final int STREAM_BATCH = 50;

  private static final int BATCH = 128;

  /**
   * How much of the data takes part.
   *
   * @param rows of the training set; a quarter of them validates
   * @param epochs of training
   * @param unknown images of each kind
   * @param corrupted images for each corruption and severity
   * @param streamed images for each corruption of the stream
   */
  record Scale(int rows, int epochs, int unknown, int corrupted, int streamed) {
    static final Scale FULL = new Scale(8000, 6, 2000, 200, 100);
    static final Scale QUICK = new Scale(800, 1, 200, 20, 50);
  }

  /**
   * Corrupted inputs of one severity.
   *
   * @param severity 1 to 5; 0 for clean inputs
   * @param rows how many images each corruption was applied to
   * @param accuracy mean over the corruptions
   * @param flagged share that the guard called unknown
   * @param probability mean calibrated probability of the predicted class
   * @param ece calibration error over all corruptions together
   * @param byCorruption accuracy of each
   */
  record Severity(
      int severity,
      long rows,
      double accuracy,
      double flagged,
      double probability,
      double ece,
      Map<String, Double> byCorruption) {}

  /** All that was measured. */
  record Result(
      long seed,
      long trainRows,
      GuardEvaluation evaluation,
      DetectorComparison comparison,
      DetectorComparison heldOut,
      List<String> heldOutClasses,
      List<Severity> severities,
      AdapterComparison adapters) {
    GuardEvaluation.Predictions predictions() {
      return Objects.requireNonNull(evaluation.known().predictions());
    }

    Map<String, Object> toJson() {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("seed", seed);
      json.put("trainRows", trainRows);
      json.put("evaluation", evaluation.toJson());
      json.put("detectors", comparison.toJson());
      json.put("heldOutClasses", heldOutClasses);
      json.put("heldOutDetectors", heldOut.toJson());
      json.put("corruptions", severities);
      json.put("stream", adapters.toJson());
      return json;
    }
  }

  /** Is told how far the demo is. */
  interface Steps {
    void at(double share, String what);
  }

  private final long seed;
  private final Scale scale;
  private final String device;

  Demo(long seed, Scale scale, String device) {
    this.seed = seed;
    this.scale = scale;
    this.device = device;
  }

  /** Runs it and saves the guard. */
  Result run(Path guardFolder, Steps steps) {
    Splits fashion =
        FashionMnist.train()
            .shuffled(Rng.derive(seed, "demo rows"))
            .limit(scale.rows)
            .splitStratified(0.75, seed);
    IndexedDataset test = FashionMnist.test().limit(scale.unknown);
    IndexedDataset digits = Mnist.test().limit(scale.unknown);
    IndexedDataset textures =
        UnknownImages.textures(scale.unknown, new long[] {1, 28, 28}, Rng.derive(seed, "textures"));
    try (NeuralModel model =
        train(fashion.first(), FashionMnist.classNames(), 0, 0.36, "training a ResNet-8", steps)) {
      steps.at(0.36, "choosing a detector");
      AutoDetector.Choice choice =
          AutoDetector.choose(model, fashion.second(), BATCH, seed, what -> {});
      steps.at(0.42, "fitting the guard");
      try (Guard guard =
          Guard.of(model)
              .detect(choice.detector())
              .fitDetectorsOn(fashion.first())
              .selection(choice.reason())
              .seed(seed)
              .fit(fashion.second())) {
        guard.save(guardFolder);
        steps.at(0.44, "meeting unknown inputs");
        GuardEvaluation evaluation =
            GuardEvaluation.of(guard, test, List.of(digits, textures), BATCH, seed, done -> {});
        steps.at(0.48, "comparing detectors");
        DetectorComparison comparison =
            compare(model, fashion.first(), test, named(digits, textures));
        List<Severity> severities = corrupted(guard, test, steps);
        AdapterComparison adapters = followed(model, test, steps);
        return heldOut(fashion, test, evaluation, comparison, severities, adapters, steps);
      }
    }
  }

  private Result heldOut(
      Splits fashion,
      IndexedDataset test,
      GuardEvaluation evaluation,
      DetectorComparison comparison,
      List<Severity> severities,
      AdapterComparison adapters,
      Steps steps) {
    int[] kept =
        java.util.stream.IntStream.range(0, 10)
            .filter(c -> java.util.Arrays.stream(HELD_OUT).noneMatch(h -> h == c))
            .toArray();
    List<String> names =
        java.util.Arrays.stream(kept).mapToObj(FashionMnist.classNames()::get).toList();
    List<String> unseen =
        java.util.Arrays.stream(HELD_OUT).mapToObj(FashionMnist.classNames()::get).toList();
    IndexedDataset train = fashion.first().keepClasses(kept);
    try (NeuralModel model =
        train(train, names, 0.66, 0.96, "training a second model on eight classes", steps)) {
      steps.at(0.96, "meeting classes it was never shown");
      DetectorComparison second =
          compare(
              model,
              train,
              test.keepClasses(kept),
              Map.of("classes never shown", test.onlyUnknown(HELD_OUT)));
      steps.at(1, "done");
      return new Result(
          seed,
          fashion.first().size(),
          evaluation,
          comparison,
          second,
          unseen,
          severities,
          adapters);
    }
  }

  private static Map<String, IndexedDataset> named(IndexedDataset... sets) {
    Map<String, IndexedDataset> byName = new LinkedHashMap<>();
    for (IndexedDataset set : sets) {
      byName.put(set.name(), set);
    }
    return byName;
  }

  private NeuralModel train(
      IndexedDataset data, List<String> names, double from, double to, String what, Steps steps) {
    NeuralModel model =
        NeuralModel.create(
                "resnet8", Map.of(), new long[] {1, 28, 28}, names.size(), Rng.derive(seed, what))
            .named(names);
    TrainingListener listener =
        new TrainingListener() {
          @Override
          public void stepped(Plan plan, Step step) {
            double share =
                (step.epoch() * plan.stepsPerEpoch() + step.step() + 1.0) / plan.totalSteps();
            steps.at(
                from + share * (to - from),
                String.format(
                    java.util.Locale.ROOT,
                    "%s: loss %.2f, accuracy %.0f %%",
                    what,
                    step.loss(),
                    100 * step.accuracy()));
          }
        };
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults().withEpochs(scale.epochs).withBatchSize(64).withSeed(seed))
        .optimiser(parameters -> new Sgd(parameters, Sgd.Settings.nesterov(0.05)))
        .listener(listener)
        .fit(data);
    return model;
  }

  private DetectorComparison compare(
      NeuralModel model,
      IndexedDataset fit,
      IndexedDataset known,
      Map<String, IndexedDataset> unknown) {
    List<Detector> detectors = Methods.parse(Detector.class, DETECTORS);
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults().withBatchSize(BATCH);
    List<RecordedOutputs> recorded = new ArrayList<>();
    try {
      List<DetectorComparison.Part> kinds = new ArrayList<>();
      unknown.forEach(
          (name, data) -> kinds.add(part(name, model, data, detectors, options, recorded)));
      return DetectorComparison.of(
          model,
          part("fit", model, fit, detectors, options, recorded),
          part("known", model, known, detectors, options, recorded),
          kinds,
          detectors,
          BATCH,
          seed,
          name -> {});
    } finally {
      recorded.forEach(RecordedOutputs::close);
      detectors.forEach(Detector::close);
    }
  }

  private static DetectorComparison.Part part(
      String name,
      NeuralModel model,
      Dataset data,
      List<Detector> detectors,
      RecordedOutputs.Options options,
      List<RecordedOutputs> recorded) {
    RecordedOutputs outputs = DetectorComparison.record(model, data, detectors, options);
    recorded.add(outputs);
    return new DetectorComparison.Part(name, data, outputs);
  }

  private AdapterComparison followed(NeuralModel model, IndexedDataset test, Steps steps) {
    TestStream stream =
        StreamProtocol.parse("continual")
            .with(s -> s.withSeverity(STREAM_SEVERITY).withBatchSize(STREAM_BATCH).withSeed(seed))
            .over(test.limit(scale.streamed));
    return AdapterComparison.of(
        model,
        null,
        stream,
        Adapters.parseAll(ADAPTERS),
        (name, rows) -> steps.at(0.6 + 0.06 * rows / stream.rows(), "following a stream: " + name));
  }

  private List<Severity> corrupted(Guard guard, IndexedDataset test, Steps steps) {
    List<Severity> all = new ArrayList<>();
    IndexedDataset some = test.limit(scale.corrupted);
    all.add(severity(guard, Map.of("clean", some), 0));
    for (int severity = 1; severity <= Corruption.SEVERITIES; severity++) {
      steps.at(0.5 + 0.1 * (severity - 1) / 5, "corruptions of severity " + severity);
      Map<String, Dataset> views = new LinkedHashMap<>();
      for (Corruption corruption : Corruption.CLASSIC) {
        views.put(
            corruption.slug(),
            CorruptedDataset.of(
                some, corruption, severity, Corruption.Settings.seeded(seed).withParallel(true)));
      }
      all.add(severity(guard, views, severity));
    }
    return all;
  }

  private static Severity severity(
      Guard guard, Map<String, ? extends Dataset> views, int severity) {
    EceAccumulator calibration = new EceAccumulator();
    Map<String, Double> accuracies = new LinkedHashMap<>();
    long rows = 0;
    long flagged = 0;
    double probability = 0;
    for (Map.Entry<String, ? extends Dataset> view : views.entrySet()) {
      long right = 0;
      long seen = 0;
      try (Batches batches = view.getValue().batches(BATCH)) {
        while (batches.hasNext()) {
          try (PointerScope scope = new PointerScope();
              Batch batch = batches.next()) {
            int[] labels = Tensors.ints(Objects.requireNonNull(batch.labels()));
            List<Verdict> verdicts = guard.check(batch);
            for (int i = 0; i < labels.length; i++) {
              Verdict verdict = verdicts.get(i);
              boolean correct = verdict.label() == labels[i];
              calibration.add(Math.min(1, verdict.probability()), correct);
              right += correct ? 1 : 0;
              flagged += verdict.unknown() ? 1 : 0;
              probability += verdict.probability();
            }
            seen += labels.length;
          }
        }
      }
      rows += seen;
      accuracies.put(view.getKey(), (double) right / seen);
    }
    double mean =
        accuracies.values().stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
    return new Severity(
        severity,
        rows / views.size(),
        mean,
        (double) flagged / rows,
        probability / rows,
        calibration.ece(),
        accuracies);
  }
}
