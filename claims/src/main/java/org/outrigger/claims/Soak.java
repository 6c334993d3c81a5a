package org.outrigger.claims;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.datasets.FashionMnist;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Knn;
import org.outrigger.guard.Guard;

/**
 * Does resident memory stay flat? Trains a small residual network for many steps, then lets a guard
 * check many batches, and measures the process along the way. Once a phase has warmed up its memory
 * may grow by no more than 2 % or 20 MB, whichever is more, along the line through its readings.
 */
public final class Soak {
  private static final int READINGS = 40;
  private static final double WARM_UP = 0.25;
  private static final double GROWTH = 0.02;
  private static final double LEAST_MB = 20;
  private static final int BATCH = 32;
  private static final List<String> STACKS =
      List.of(
          "safety-net/tent",
          "open-set-tta/eata/unmix-tns",
          "lame/adanpc:capacity=4000",
          "cotta:views=2");

  /**
   * How long.
   *
   * @param steps of training, at least 100
   * @param checks by the guard, at least 100
   * @param batches that each stack of adapters follows, at least 100
   * @param stacks of adapters, as {@code Adapters.parse} reads them
   * @param rows of training data, at least 200
   */
  public record Settings(int steps, int checks, int batches, List<String> stacks, int rows) {
    public Settings {
      HyperParameter.atLeast("steps", steps, 100);
      HyperParameter.atLeast("checks", checks, 100);
      HyperParameter.atLeast("batches", batches, 100);
      HyperParameter.atLeast("rows", rows, 200);
      stacks = List.copyOf(stacks);
    }

    public static Settings defaults() {
      return new Settings(20_000, 20_000, 5_000, STACKS, 3200);
    }
  }

  /** Is told of each reading. */
  @FunctionalInterface
  public interface Listener {
    /**
     * @param phase {@code training}, {@code checking}, or a stack of adapters
     * @param done steps or checks so far
     * @param megabytes resident
     */
    void read(String phase, long done, double megabytes);
  }

  /**
   * What one phase came to.
   *
   * @param first megabytes on the line through the readings, at the end of the warm-up
   * @param last the same at the end of the phase
   * @param limit the growth that is still flat, in megabytes
   */
  public record Phase(String name, long count, double first, double last, double limit) {
    public double growth() {
      return last - first;
    }

    public boolean flat() {
      return growth() <= limit;
    }
  }

  private final Settings settings;
  private final Listener listener;

  public Soak(Settings settings, Listener listener) {
    this.settings = settings;
    this.listener = listener;
  }

  /** Runs all phases. */
  public List<Phase> run() {
    try (TensorDataset all = FashionMnist.train();
        NeuralModel model =
            NeuralModel.create(
                "resnet8", Map.of("width", 4), all.inputShape(), all.classNames().size(), 0)) {
      Splits parts = all.limit(settings.rows() + settings.rows() / 2).split(1 / 1.5, 0);
      Phase training = train(model, parts);
      try (Guard guard = Guard.of(model).detect(new Energy(), new Knn(5)).fit(parts.second())) {
        List<Phase> phases = new ArrayList<>(List.of(training, check(guard, all)));
        settings.stacks().forEach(stack -> phases.add(follow(stack, model, parts.second(), all)));
        return phases;
      }
    }
  }

  private Phase train(NeuralModel model, Splits parts) {
    Readings readings = new Readings("training", settings.steps());
    long perEpoch = (parts.first().size() + BATCH - 1) / BATCH;
    long[] done = {0};
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults()
                .withBatchSize(BATCH)
                .withEpochs(Math.toIntExact((settings.steps() + perEpoch - 1) / perEpoch)))
        .optimiser(p -> new Sgd(p, Sgd.Settings.nesterov(0.05)))
        .listener(
            new TrainingListener() {
              @Override
              public void stepped(Plan plan, Step step) {
                readings.after(++done[0]);
              }
            })
        .fit(parts.first());
    return readings.phase();
  }

  private Phase check(Guard guard, TensorDataset data) {
    Readings readings = new Readings("checking", settings.checks());
    int batches = Math.toIntExact(data.size()) / BATCH;
    for (int i = 0; i < settings.checks(); i++) {
      int first = i % batches * BATCH;
      try (Batch batch = data.read(IntStream.range(first, first + BATCH).toArray())) {
        guard.check(batch);
      }
      readings.after(i + 1);
    }
    return readings.phase();
  }

  private Phase follow(String stack, NeuralModel model, IndexedDataset source, TensorDataset data) {
    Readings readings = new Readings(stack, settings.batches());
    int batches = Math.toIntExact(data.size()) / BATCH;
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, source);
      for (int i = 0; i < settings.batches(); i++) {
        int first = i % batches * BATCH;
        try (Batch batch = data.read(IntStream.range(first, first + BATCH).toArray());
            Output output = adapter.adapt(batch.inputs())) {
          readings.after(i + 1);
        }
      }
    }
    return readings.phase();
  }

  /** Memory over one phase. */
  private final class Readings {
    private final String phase;
    private final long count;
    private final List<double[]> points = new ArrayList<>();

    Readings(String phase, long count) {
      this.phase = phase;
      this.count = count;
    }

    void after(long done) {
      long every = Math.max(1, count / READINGS);
      if (done % every == 0) {
        double megabytes = ResidentMemory.megabytes();
        points.add(new double[] {done, megabytes});
        listener.read(phase, done, megabytes);
      }
    }

    Phase phase() {
      return fit(phase, points);
    }
  }

  /**
   * Judges readings.
   *
   * @param points of steps and megabytes, in order
   */
  static Phase fit(String phase, List<double[]> points) {
    List<double[]> warm = points.subList((int) Math.floor(WARM_UP * points.size()), points.size());
    double n = warm.size();
    double meanX = warm.stream().mapToDouble(p -> p[0]).average().orElseThrow();
    double meanY = warm.stream().mapToDouble(p -> p[1]).average().orElseThrow();
    double xy = 0;
    double xx = 0;
    for (double[] p : warm) {
      xy += (p[0] - meanX) * (p[1] - meanY);
      xx += (p[0] - meanX) * (p[0] - meanX);
    }
    double slope = n < 2 ? 0 : xy / xx;
    double first = meanY + slope * (warm.get(0)[0] - meanX);
    double last = meanY + slope * (warm.get(warm.size() - 1)[0] - meanX);
    long count = (long) points.get(points.size() - 1)[0];
    return new Phase(phase, count, first, last, Math.max(LEAST_MB, GROWTH * first));
  }
}
