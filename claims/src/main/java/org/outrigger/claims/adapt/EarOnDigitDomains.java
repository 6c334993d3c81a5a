package org.outrigger.claims.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.ear.Ear;
import org.outrigger.adapt.ear.EarReport;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.Quantiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Msp;

/** New domains of digits are learned without forgetting, and unknown ones are told apart. */
public final class EarOnDigitDomains implements Claim {
  private static final String FUSED = "mean AUROC fused layers";
  private static final String LAST = "mean AUROC last layer";
  private static final String SOFTMAX = "mean AUROC maximum softmax";
  private static final String GAIN = "mean final accuracy EAR over sequential fine-tuning";
  private static final String FORGOTTEN = "accuracy on the first domain that EAR lost";
  private static final String PICK = "accuracy of the zero-shot pick";
  private static final String MEDIAN = "median accuracy of random candidates";
  private static final int SIDE = 8;

  @Override
  public String slug() {
    return "ear";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "EAR learns one domain after the other with a frozen encoder and forgets none";
  }

  @Override
  public String promise() {
    return "A fixed encoder, adaptors chosen without training, and a hyperdimensional detector learn"
        + " new domains on a device without catastrophic forgetting.";
  }

  @Override
  public String paper() {
    return "Efficient Model Adaptation for Continual Learning at the Edge, arXiv:2308.02084, 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above(FUSED, LAST),
        Inequality.above(LAST, SOFTMAX),
        new Inequality(GAIN, Inequality.Relation.GREATER, 0.2, null),
        new Inequality(FORGOTTEN, Inequality.Relation.AT_MOST, 0.05, null),
        new Inequality(PICK, Inequality.Relation.AT_LEAST, 1, MEDIAN));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "detection: class descriptors of the last hidden layer alone, and the maximum softmax"
            + " probability of the encoder",
        "continual learning: fine-tuning the whole encoder on one domain after the other, with the"
            + " same optimiser, steps and batches as the adaptors",
        "search: 20 random candidates of the same space and budget, each trained like the pick");
  }

  @Override
  public String protocol() {
    return "UCI digits, 1,257 rows to train and 540 to test. Detection: an MLP of 64-96-64-48-10"
        + " units trained on the original digits, descriptors in 2,000 dimensions; test rows against"
        + " the same rows turned by 90 degrees, inverted, blurred (3 x 3), half occluded, and with"
        + " Gaussian noise of 0.4. Continual: an MLP of 64-96-64-10 units trained on the original"
        + " digits and frozen, adaptors of at most 6,000 parameters on both hidden layers, chosen of"
        + " 50; domains original, turned by 90 degrees, inverted, half occluded, in that order, each"
        + " tested after the last one. Search: the pick on the turned digits.";
  }

  @Override
  public List<Long> seeds() {
    return List.of(0L, 1L, 2L, 3L, 4L);
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset digits = Digits.images();
        TensorDataset some =
            TensorDataset.copyOf(digits.shuffled(seed).limit(scale.pick(1797, 240)))) {
      Splits parts = some.splitStratified(0.7, seed);
      Map<String, Double> figures = new LinkedHashMap<>();
      detection(parts, seed, scale, figures);
      continual(parts, seed, scale, figures);
      search(parts, seed, scale, figures);
      return figures;
    }
  }

  // -- domains

  private static List<Shift> domains() {
    return List.of(
        Shift.view("original", data -> data),
        Shift.of("turned", EarOnDigitDomains::turn),
        Shift.of("inverted", EarOnDigitDomains::invert),
        Shift.of("occluded", EarOnDigitDomains::occlude));
  }

  /** What the detectors have not seen, as changes of images. */
  private static Map<String, UnaryOperator<Tensor>> unseen(long seed) {
    Map<String, UnaryOperator<Tensor>> unseen = new LinkedHashMap<>();
    unseen.put("turned", EarOnDigitDomains::turn);
    unseen.put("inverted", EarOnDigitDomains::invert);
    unseen.put("blurred", EarOnDigitDomains::blur);
    unseen.put("occluded", EarOnDigitDomains::occlude);
    unseen.put("noisy", x -> noise(x, seed));
    return unseen;
  }

  private static Tensor turn(Tensor x) {
    return torch.rot90(x, 1, 2, 3);
  }

  private static Tensor invert(Tensor x) {
    return x.neg().add(new Scalar(1));
  }

  private static Tensor occlude(Tensor x) {
    Tensor half = x.clone();
    half.narrow(3, SIDE / 2, SIDE / 2).zero_();
    return half;
  }

  private static Tensor blur(Tensor x) {
    return torch.avg_pool2d(
        torch.replication_pad2d(x, 1, 1, 1, 1),
        new long[] {3, 3},
        new long[] {1, 1},
        new long[] {0, 0},
        false,
        true,
        new LongOptional());
  }

  private static Tensor noise(Tensor x, long seed) {
    try (Rng rng = Rng.named(seed, "noise")) {
      return x.add(rng.normal(x.shape()), new Scalar(0.4));
    }
  }

  // -- the encoder and settings

  private static NeuralModel encoder(
      List<Integer> hidden, IndexedDataset train, long seed, Scale scale) {
    NeuralModel model =
        NeuralModel.create("mlp", Map.of("hidden", hidden), new long[] {1, SIDE, SIDE}, 10, seed);
    fit(model, train, scale.pick(40, 2), seed);
    return model;
  }

  private static void fit(NeuralModel model, IndexedDataset train, int epochs, long seed) {
    Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(128).withSeed(seed))
        .optimiser(p -> new Adam(p, Adam.Settings.of(3e-3)))
        .schedule(Schedule.constant())
        .fit(train);
  }

  private static Ear.Settings settings(long seed, Scale scale, Map<String, ?> changes) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("hyperDimension", scale.pick(2000, 100));
    all.put("candidates", scale.pick(50, 3));
    all.put("initialisations", scale.pick(3, 1));
    all.put("steps", scale.pick(300, 5));
    all.put("maxParameters", 6000);
    all.put("seed", seed);
    all.putAll(changes);
    try (Ear ear = Methods.create(Ear.class, "ear", all)) {
      return ear.settings();
    }
  }

  // -- the three experiments

  private static void detection(Splits parts, long seed, Scale scale, Map<String, Double> figures) {
    try (NeuralModel encoder = encoder(List.of(96, 64, 48), parts.first(), seed, scale);
        Ear fused = known(encoder, parts.first(), settings(seed, scale, Map.of("candidates", 1)));
        Ear last =
            known(
                encoder,
                parts.first(),
                settings(seed, scale, Map.of("candidates", 1, "taps", List.of("act3"))))) {
      double[] sums = new double[3];
      Map<String, UnaryOperator<Tensor>> changes = unseen(seed);
      for (Map.Entry<String, UnaryOperator<Tensor>> change : changes.entrySet()) {
        double[] aurocs =
            Scopes.scoped(
                () -> {
                  Tensor id = inputs(parts.second());
                  Tensor ood = change.getValue().apply(id);
                  return new double[] {
                    Auroc.of(fused.predict(id).scores(), fused.predict(ood).scores()),
                    Auroc.of(last.predict(id).scores(), last.predict(ood).scores()),
                    Auroc.of(
                        Msp.score(encoder.predict(id).logits(), 1),
                        Msp.score(encoder.predict(ood).logits(), 1))
                  };
                });
        figures.put("AUROC fused, " + change.getKey(), aurocs[0]);
        figures.put("AUROC last, " + change.getKey(), aurocs[1]);
        figures.put("AUROC softmax, " + change.getKey(), aurocs[2]);
        Arrays.setAll(sums, i -> sums[i] + aurocs[i] / changes.size());
      }
      figures.put(FUSED, sums[0]);
      figures.put(LAST, sums[1]);
      figures.put(SOFTMAX, sums[2]);
    }
  }

  private static Ear known(NeuralModel encoder, IndexedDataset data, Ear.Settings settings) {
    Ear ear = new Ear(settings);
    ear.attach(encoder);
    ear.add("original", data);
    return ear;
  }

  private static Tensor inputs(IndexedDataset data) {
    return data.read(IntStream.range(0, Math.toIntExact(data.size())).toArray()).inputs();
  }

  private static void continual(Splits parts, long seed, Scale scale, Map<String, Double> figures) {
    try (NeuralModel encoder = encoder(List.of(96, 64), parts.first(), seed, scale);
        NeuralModel tuned = encoder.deepCopy();
        Ear ear = new Ear(settings(seed, scale, Map.of()))) {
      ear.attach(encoder);
      double first = Double.NaN;
      int epochs = (int) Math.ceil(ear.settings().steps() * 128.0 / parts.first().size());
      for (Shift shift : domains()) {
        ear.add(shift.name(), shift.of(parts.first()));
        fit(tuned, shift.of(parts.first()), epochs, seed);
        if (Double.isNaN(first)) {
          first = EarReport.of(ear, tests(parts, 1), 256).tests().get(0).accuracy();
        }
      }
      EarReport report = EarReport.of(ear, tests(parts, domains().size()), 256);
      double earMean = 0;
      double tunedMean = 0;
      for (EarReport.Test test : report.tests()) {
        figures.put("accuracy EAR, " + test.name(), test.accuracy());
        figures.put("routing EAR, " + test.name(), report.routingAccuracy(test));
        earMean += test.accuracy() / report.tests().size();
      }
      for (Shift shift : domains()) {
        double accuracy = accuracy(tuned, shift.of(parts.second()));
        figures.put("accuracy fine-tuning, " + shift.name(), accuracy);
        tunedMean += accuracy / domains().size();
      }
      figures.put("mean final accuracy EAR", earMean);
      figures.put("mean final accuracy sequential fine-tuning", tunedMean);
      figures.put(GAIN, earMean - tunedMean);
      figures.put(FORGOTTEN, first - report.tests().get(0).accuracy());
    }
  }

  private static Map<String, IndexedDataset> tests(Splits parts, int count) {
    Map<String, IndexedDataset> tests = new LinkedHashMap<>();
    domains().stream()
        .limit(count)
        .forEach(shift -> tests.put(shift.name(), shift.of(parts.second())));
    return tests;
  }

  private static double accuracy(NeuralModel model, IndexedDataset data) {
    return Scopes.scoped(
        () -> Accuracy.of(model.predict(inputs(data)).logits(), Tensors.labels(data.labels())));
  }

  private static void search(Splits parts, long seed, Scale scale, Map<String, Double> figures) {
    Shift shift = domains().get(1);
    Map<String, IndexedDataset> test = Map.of(shift.name(), shift.of(parts.second()));
    try (NeuralModel encoder = encoder(List.of(96, 64), parts.first(), seed, scale)) {
      Ear.Settings settings = settings(seed, scale, Map.of());
      figures.put(PICK, trained(encoder, settings, shift, parts, test));
      List<Double> random = new ArrayList<>();
      for (int i = 0; i < scale.pick(20, 2); i++) {
        // One candidate drawn is the pick.
        long other = Rng.derive(seed, "candidate " + i);
        random.add(
            trained(
                encoder,
                settings(other, scale, Map.of("candidates", 1, "initialisations", 1)),
                shift,
                parts,
                test));
      }
      figures.put(
          MEDIAN, Quantiles.of(random.stream().mapToDouble(Double::doubleValue).toArray(), 0.5));
    }
  }

  private static double trained(
      NeuralModel encoder,
      Ear.Settings settings,
      Shift shift,
      Splits parts,
      Map<String, IndexedDataset> test) {
    try (Ear ear = new Ear(settings)) {
      ear.attach(encoder);
      ear.add(shift.name(), shift.of(parts.first()));
      return EarReport.of(ear, test, 256).tests().get(0).accuracy();
    }
  }
}
