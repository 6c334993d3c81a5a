package org.outrigger.guard;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.AutoSelect;
import org.outrigger.detect.Detector;

/**
 * Chooses a guard's detector by the rule of {@link AutoSelect}, on a seeded sample of the
 * validation data: half of it to fit candidates on, half to make unknown inputs from.
 */
public final class AutoDetector {
  /** The fewest validation rows it can choose from. */
  public static final int LEAST_ROWS = 20;

  private static final int SAMPLE = 2000;

  private AutoDetector() {}

  /**
   * The outcome.
   *
   * @param detector the chosen one, not fitted yet
   * @param reason in a sentence, for people
   */
  public record Choice(Detector detector, String reason) {}

  /**
   * Chooses.
   *
   * @param progress is told in a few words what happens
   */
  public static Choice choose(
      Model model, Dataset validation, int batchSize, long seed, Consumer<String> progress) {
    try (TensorDataset rows = sample(validation, seed)) {
      int n = Math.toIntExact(rows.size());
      if (n < LEAST_ROWS) {
        throw new OutriggerException(
            "Too few validation rows ("
                + n
                + ") to choose a detector by itself: name one, or give at least "
                + LEAST_ROWS
                + ".");
      }
      int[] first = java.util.stream.IntStream.range(0, n / 2).toArray();
      int[] second = java.util.stream.IntStream.range(n / 2, n).toArray();
      progress.accept("fitting candidates");
      try (RecordedOutputs fit =
              RecordedOutputs.record(
                  model,
                  rows.subset(first),
                  RecordedOutputs.Options.defaults().withBatchSize(batchSize));
          PointerScope scope = new PointerScope()) {
        long[] index = Arrays.stream(second).asLongStream().toArray();
        Tensor held = rows.inputs().index_select(0, Tensors.of(index, index.length));
        progress.accept("trying generated unknown inputs");
        AutoSelect.Choice choice =
            AutoSelect.select(
                model, AutoSelect.candidates(), fit, held, new AutoSelect.Settings(0.01, seed));
        String slug = choice.detector().card().slug();
        choice.detector().close();
        return new Choice(Methods.create(Detector.class, slug, Map.of()), reason(slug, choice));
      }
    }
  }

  /** A seeded sample in random order, in memory. */
  private static TensorDataset sample(Dataset data, long seed) {
    if (data instanceof IndexedDataset indexed && data.size() > 0) {
      int n = Math.toIntExact(Math.min(SAMPLE, data.size()));
      int[] rows;
      try (Rng rng = Rng.named(seed, "auto detector");
          PointerScope scope = new PointerScope()) {
        rows = Arrays.copyOf(Tensors.ints(rng.permutation(data.size())), n);
      }
      return TensorDataset.copyOf(indexed.subset(rows));
    }
    return Reservoir.sample(data, SAMPLE, Rng.derive(seed, "auto detector"));
  }

  private static String reason(String slug, AutoSelect.Choice choice) {
    String figures =
        choice.table().stream()
            .filter(row -> row.leftOut().isEmpty())
            .map(row -> String.format(Locale.ROOT, "%s %.3f", row.detector(), row.mean()))
            .collect(Collectors.joining(", "));
    return "Detector "
        + slug
        + " chosen: the simplest within 0.01 of the best mean AUROC on unknown inputs generated from"
        + " the validation data ("
        + figures
        + ").";
  }
}
