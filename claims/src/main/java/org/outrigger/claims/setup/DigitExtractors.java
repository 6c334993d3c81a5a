package org.outrigger.claims.setup;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.select.Candidate;
import org.outrigger.select.ModelScore;

/**
 * Small feature extractors of very different quality, and a target set to choose one for: MLPs
 * (64-64-32, ReLU) that learn the digits 0 to 4, for fewer or more epochs, with or without weight
 * decay and with true or wrong labels; 120 labelled digits 5 to 9 to score them on, the other
 * digits 5 to 9 to measure what fine-tuning makes of them.
 */
public final class DigitExtractors implements AutoCloseable {
  private static final int CLASSES = 5;
  private static final int LABELLED = 120;
  private static final int BATCH = 64;

  /** What pre-training does to the labels. */
  public enum Labels {
    CLEAN,
    /** Six of ten labels are drawn anew. */
    NOISY,
    /** All labels change places with others. */
    SHUFFLED
  }

  /**
   * How a candidate is pre-trained.
   *
   * @param epochs passes over the digits 0 to 4
   * @param decay weight decay
   * @param labels what is done to the labels
   * @param start which of the drawn initial weights
   */
  public record Recipe(int epochs, double decay, Labels labels, int start) {}

  private final long seed;
  private final TensorDataset digits;
  private final TensorDataset source;
  private final Splits target;

  private DigitExtractors(long seed, TensorDataset digits, TensorDataset source, Splits target) {
    this.seed = seed;
    this.digits = digits;
    this.source = source;
    this.target = target;
  }

  /**
   * Opens it; the caller closes it.
   *
   * @param seed of the split, of weights, labels and training
   */
  public static DigitExtractors open(long seed) {
    TensorDataset digits = Digits.all();
    IndexedDataset target = digits.keepClasses(5, 6, 7, 8, 9);
    return new DigitExtractors(
        seed,
        digits,
        TensorDataset.copyOf(digits.keepClasses(0, 1, 2, 3, 4)),
        target.splitStratified(LABELLED / (double) target.size(), seed));
  }

  /** Pre-trains an extractor; the caller closes it. */
  public NeuralModel pretrain(Recipe recipe) {
    String name = recipe.toString();
    NeuralModel model = create(Rng.derive(seed, "start " + recipe.start));
    try (TensorDataset data = labelled(recipe.labels, Rng.derive(seed, "labels " + name))) {
      train(model, data, recipe.epochs, 0.05, recipe.decay, Rng.derive(seed, "pretrain " + name));
    }
    return model;
  }

  private static NeuralModel create(long seed) {
    return NeuralModel.create(
        "mlp", Map.of("hidden", List.of(64, 32)), new long[] {64}, CLASSES, seed);
  }

  private TensorDataset labelled(Labels how, long drawSeed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(drawSeed)) {
            int n = Math.toIntExact(source.size());
            int[] labels = source.labels();
            IntUnaryOperator choose =
                switch (how) {
                  case CLEAN -> i -> labels[i];
                  case NOISY -> {
                    double[] odds = Tensors.doubles(rng.uniform(ScalarType.Double, n));
                    double[] drawn = Tensors.doubles(rng.uniform(ScalarType.Double, n));
                    yield i -> odds[i] < 0.6 ? (int) (CLASSES * drawn[i]) : labels[i];
                  }
                  case SHUFFLED -> {
                    int[] order = Tensors.ints(rng.permutation(n));
                    yield i -> labels[order[i]];
                  }
                };
            int[] given = new int[n];
            Arrays.setAll(given, choose);
            return TensorDataset.builder(source.inputs())
                .labels(Tensors.labels(given))
                .classNames(source.classNames())
                .name("digits 0 to 4, " + how)
                .build();
          }
        });
  }

  private static void train(
      NeuralModel model, IndexedDataset data, int epochs, double rate, double decay, long seed) {
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(BATCH).withSeed(seed))
        .optimiser(p -> new Sgd(p, new Sgd.Settings(rate, 0.9, 0, decay, false)))
        .schedule(Schedule.constant())
        .fit(data);
  }

  /** The scores of an extractor on the labelled digits 5 to 9, in the order given. */
  public Map<String, Double> score(NeuralModel model, List<ModelScore> scores) {
    try (RecordedOutputs outputs =
        RecordedOutputs.record(model, target.first(), RecordedOutputs.Options.defaults())) {
      return Scopes.scoped(
          () -> {
            Candidate candidate = Candidate.of(outputs.output(), outputs.requireLabels("A score"));
            Map<String, Double> values = new LinkedHashMap<>();
            scores.forEach(score -> values.put(score.card().name(), score.score(candidate)));
            return values;
          });
    }
  }

  /**
   * The accuracy on the other digits 5 to 9 after all layers were fine-tuned, with a new head, on
   * the labelled ones: 20 epochs at a rate of 0.02 at full size.
   */
  public double fineTuned(NeuralModel model, Recipe recipe, Scale scale) {
    String name = recipe.toString();
    try (NeuralModel tuned = create(Rng.derive(seed, "head " + name))) {
      Map<String, Tensor> body = new LinkedHashMap<>(model.parameters());
      body.keySet().removeIf(key -> key.startsWith("head."));
      tuned.loadStateDict(body, false);
      train(
          tuned, target.first(), scale.pick(20, 2), 0.02, 0, Rng.derive(seed, "fine-tune " + name));
      try (RecordedOutputs outputs =
          RecordedOutputs.record(tuned, target.second(), RecordedOutputs.Options.defaults())) {
        return Accuracy.of(outputs.output().logits(), outputs.requireLabels("Accuracy"));
      }
    }
  }

  @Override
  public void close() {
    source.close();
    digits.close();
  }
}
