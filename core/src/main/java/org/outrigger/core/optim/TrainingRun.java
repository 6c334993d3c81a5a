package org.outrigger.core.optim;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Loader;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.TrainingListener.Epoch;
import org.outrigger.core.optim.TrainingListener.Plan;
import org.outrigger.core.optim.TrainingListener.Report;
import org.outrigger.core.optim.TrainingListener.Step;
import org.outrigger.core.optim.TrainingListener.Validation;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/** One call of {@link Trainer#fit}: the loop, and what lives as long as it does. */
final class TrainingRun implements AutoCloseable {
  private final Trainer trainer;
  private final Trainer.Settings settings;
  private final Loader loader;
  private final Plan plan;
  private final Schedule schedule;
  private final Optimiser optimiser;
  private final @Nullable Ema ema;
  private final @Nullable RowCycle outlierRows;

  /** Parameters and buffers of the model and parameters of the objective; own handles. */
  final Map<String, Tensor> weights = new LinkedHashMap<>();

  /** Copies of the weights at the best validation score. */
  final Map<String, Tensor> best = new LinkedHashMap<>();

  final List<Epoch> history = new ArrayList<>();
  final Tally tally = new Tally();
  long step;
  int bestEpoch = -1;

  /** The rows that the objective chose for the present epoch; null if it does not choose. */
  int @Nullable [] chosenOutliers;

  /** Sums over the steps of one epoch so far. */
  static final class Tally {
    double loss;
    long steps;
    long correct;
    long known;

    void clear() {
      loss = 0;
      steps = 0;
      correct = 0;
      known = 0;
    }

    double accuracy() {
      return known == 0 ? Double.NaN : (double) correct / known;
    }
  }

  TrainingRun(Trainer trainer, IndexedDataset train) {
    Torch.start();
    this.trainer = trainer;
    settings = trainer.settings;
    // A single row left over waits for another epoch: batch norm cannot train on one row.
    boolean lone = train.size() > settings.batchSize() && train.size() % settings.batchSize() == 1;
    loader =
        Loader.of(train).batchSize(settings.batchSize()).shuffle(settings.seed()).dropLast(lone);
    plan = new Plan(settings.epochs(), loader.batchCount());
    schedule = trainer.schedule.apply(plan);
    outlierRows =
        trainer.outliers == null
            ? null
            : new RowCycle(settings.seed(), "outliers", trainer.outliers.size());
    Map<String, Tensor> trainable = new LinkedHashMap<>();
    trainer
        .network
        .parameters()
        .forEach(
            (name, p) -> {
              weights.put("model/" + name, Scopes.own(p));
              if (p.requires_grad()) {
                trainable.put(name, p);
              }
            });
    trainer.network.buffers().forEach((name, b) -> weights.put("model/" + name, Scopes.own(b)));
    trainer
        .objective
        .parameters()
        .forEach(
            (name, p) -> {
              weights.put("objective/" + name, Scopes.own(p));
              trainable.put("objective/" + name, p);
            });
    optimiser = trainer.optimiser.apply(trainable);
    ema = settings.emaDecay() > 0 ? new Ema(weights, settings.emaDecay(), false) : null;
  }

  Report run() {
    try {
      Torch.seed(Rng.derive(settings.seed(), "network"));
      if (trainer.resume != null) {
        Scopes.run(
            () -> checkpoint().restore(StateFiles.read(Objects.requireNonNull(trainer.resume))));
      }
      trainer.listener.started(plan, step);
      long begin = step;
      long clock = System.nanoTime();
      while (history.size() < settings.epochs() && !outOfPatience()) {
        epoch(history.size(), begin, clock);
      }
      if (settings.patience() > 0) {
        copy(best);
      } else if (ema != null) {
        ema.swapIn();
      }
    } finally {
      optimiser.clearGradients();
      trainer.network.train(false);
    }
    Report report = new Report(history, bestEpoch, history.size() < settings.epochs(), step);
    trainer.listener.finished(report);
    return report;
  }

  private boolean outOfPatience() {
    return settings.patience() > 0
        && !history.isEmpty()
        && history.size() - 1 - bestEpoch >= settings.patience();
  }

  private void epoch(int epoch, long begin, long clock) {
    trainer.objective.epoch(epoch);
    if (tally.steps == 0) {
      chooseOutliers(epoch);
    }
    trainer.network.train(true);
    try (Batches walk = loader.epoch(epoch, Math.toIntExact(tally.steps))) {
      while (walk.hasNext()) {
        Step event = step(epoch, walk, begin, clock);
        trainer.listener.stepped(plan, event);
        if (trainer.checkpointSteps > 0
            && step % trainer.checkpointSteps == 0
            && tally.steps < plan.stepsPerEpoch()) {
          save();
        }
      }
      if (!walk.skipped().isEmpty()) {
        trainer.listener.skipped(plan, epoch, walk.skipped());
      }
    }
    if (tally.steps == 0) {
      throw new OutriggerException(
          "Not one row of '" + loader.data().name() + "' could be read: check the files.");
    }
    Validation validation = validate();
    boolean better = validation != null && better(validation);
    Epoch result = new Epoch(epoch, tally.loss / tally.steps, tally.accuracy(), validation, better);
    history.add(result);
    tally.clear();
    save();
    trainer.listener.epochEnded(plan, result);
  }

  private Step step(int epoch, Batches walk, long begin, long clock) {
    try (PointerScope scope = new PointerScope()) {
      Batch batch = walk.next();
      Tensor inputs = batch.inputs();
      Tensor labels = Objects.requireNonNull(batch.labels());
      Tensor unknown = outliers();
      if (unknown != null) {
        inputs = torch.cat(new TensorVector(inputs, unknown), 0);
        Tensor none =
            torch.full(
                new long[] {unknown.size(0)}, new Scalar(-1), new TensorOptions(ScalarType.Long));
        labels = torch.cat(new TensorVector(labels, none), 0);
      }
      if (trainer.augmentation != null) {
        try (Rng rng = Rng.named(settings.seed(), "augmentation/" + step)) {
          inputs = trainer.augmentation.apply(inputs, rng);
        }
      }
      optimiser.pace(schedule.factor(step));
      optimiser.clearGradients();
      StepObjective.Result result = forward(inputs, labels);
      Tensor loss = result.loss();
      double value = loss.item_double();
      if (!Double.isFinite(value)) {
        throw diverged(epoch, value, inputs);
      }
      loss.backward();
      if (settings.clipNorm() > 0) {
        Clipping.byNorm(optimiser.parameters().values(), settings.clipNorm());
      }
      if (settings.clipValue() > 0) {
        Clipping.byValue(optimiser.parameters().values(), settings.clipValue());
      }
      optimiser.step();
      if (ema != null) {
        ema.update();
      }
      long[] hits = hits(result.logits(), result.labels());
      tally.loss += value;
      tally.correct += hits[0];
      tally.known += hits[1];
      long inEpoch = tally.steps++;
      step++;
      long nanos = (System.nanoTime() - clock) / (step - begin);
      return new Step(
          epoch,
          inEpoch,
          value,
          hits[1] == 0 ? Double.NaN : (double) hits[0] / hits[1],
          optimiser.learningRate() * optimiser.pace(),
          Duration.ofNanos(nanos * Math.max(0, plan.totalSteps() - step)));
    }
  }

  private StepObjective.Result forward(Tensor inputs, Tensor labels) {
    if (trainer.objective instanceof StepObjective own) {
      try (Rng rng = Rng.named(settings.seed(), "objective/" + step)) {
        return own.step(trainer.network::forward, inputs, labels, rng);
      }
    }
    Output output = trainer.network.forward(inputs);
    return new StepObjective.Result(
        trainer.objective.loss(output, labels), output.logits(), labels);
  }

  private int outlierCount() {
    return (int) Math.max(1, Math.round(settings.batchSize() * trainer.outlierRatio));
  }

  private void chooseOutliers(int epoch) {
    if (trainer.outliers == null || !(trainer.objective instanceof OutlierChoice choice)) {
      return;
    }
    long wanted = plan.stepsPerEpoch() * outlierCount();
    try (PointerScope scope = new PointerScope();
        Rng rng = Rng.named(settings.seed(), "outliers of epoch " + epoch)) {
      int[] rows =
          choice.choose(
              trainer.model,
              trainer.outliers,
              (int) Math.min(wanted, trainer.outliers.size()),
              rng);
      if (rows.length == 0) {
        throw new OutriggerException(
            "No outlier was chosen from '" + trainer.outliers.name() + "': give other outliers.");
      }
      chosenOutliers = rows;
    }
  }

  /** The positions of this step's outliers. */
  private int[] outlierRows(RowCycle shuffled, int count) {
    int[] chosen = chosenOutliers;
    if (chosen == null) {
      return shuffled.rows(step * count, count);
    }
    int[] rows = new int[count];
    for (int i = 0; i < count; i++) {
      rows[i] = chosen[(int) ((tally.steps * count + i) % chosen.length)];
    }
    return rows;
  }

  /** The outliers of this step, less those that cannot be read; null if there are none. */
  private @Nullable Tensor outliers() {
    if (trainer.outliers == null || outlierRows == null) {
      return null;
    }
    int count = outlierCount();
    int[] rows = outlierRows(outlierRows, count);
    try (Batches walk =
        Loader.of(trainer.outliers.subset(rows)).batchSize(count).workers(0).epoch(0)) {
      return walk.hasNext() ? walk.next().inputs() : null;
    }
  }

  /** How many rows with a class are predicted right, and how many there are. */
  private static long[] hits(Tensor logits, Tensor labels) {
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      return new long[] {
        logits.argmax(new org.bytedeco.pytorch.LongOptional(1), false).eq(labels).sum().item_long(),
        labels.ge(new Scalar(0)).sum().item_long()
      };
    }
  }

  private OutriggerException diverged(int epoch, double value, Tensor inputs) {
    boolean clean = inputs.isfinite().all().item_bool();
    return new OutriggerException(
        "Training stopped at step "
            + step
            + " (epoch "
            + epoch
            + "): the loss is "
            + value
            + ". "
            + (clean
                ? "Lower the learning rate (now "
                    + optimiser.learningRate() * optimiser.pace()
                    + "), clip gradients (clipNorm = 1) or warm up."
                : "The inputs of this batch hold NaN or infinite values: clean the data."));
  }

  private @Nullable Validation validate() {
    if (trainer.validation == null) {
      return null;
    }
    double lossSum = 0;
    long rows = 0;
    long correct = 0;
    long known = 0;
    if (ema != null) {
      ema.swapIn();
    }
    trainer.network.train(false);
    try (Batches walk = trainer.validation.batches(settings.batchSize());
        AutoGradMode off = new AutoGradMode(false)) {
      while (walk.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = walk.next()) {
          if (batch.labels() == null) {
            throw new OutriggerException(
                "The validation data has no labels: give a labelled data set.");
          }
          Output output = trainer.network.forward(batch.inputs());
          lossSum += trainer.objective.loss(output, batch.labels()).item_double() * batch.size();
          rows += batch.size();
          long[] hits = hits(output.logits(), batch.labels());
          correct += hits[0];
          known += hits[1];
        }
      }
    } finally {
      trainer.network.train(true);
      if (ema != null) {
        ema.swapOut();
      }
    }
    if (rows == 0) {
      throw new OutriggerException("The validation data has no rows that can be read.");
    }
    return new Validation(lossSum / rows, known == 0 ? Double.NaN : (double) correct / known);
  }

  /** Whether this is the best so far; if so, keeps the weights that it was measured with. */
  private boolean better(Validation now) {
    double score = score(now);
    if (bestEpoch >= 0
        && !(score > score(Objects.requireNonNull(history.get(bestEpoch).validation())))) {
      return false;
    }
    bestEpoch = history.size();
    if (settings.patience() > 0) {
      Map<String, Tensor> measured = ema == null ? weights : ema.averages();
      measured.forEach(
          (name, tensor) -> {
            Tensor kept = Scopes.scoped(() -> Scopes.own(tensor.detach().clone()));
            Scopes.release(best.put(name, kept));
          });
    }
    return true;
  }

  private double score(Validation validation) {
    double score =
        settings.monitor() == Trainer.Monitor.LOSS ? -validation.loss() : validation.accuracy();
    return Double.isNaN(score) ? Double.NEGATIVE_INFINITY : score;
  }

  /** Copies values into the weights; nothing has changed if one does not fit. */
  void copy(Map<String, Tensor> values) {
    Checkpoint.checkShapes(weights, values);
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      weights.forEach((name, w) -> w.copy_(Objects.requireNonNull(values.get(name))));
    }
  }

  private void save() {
    if (trainer.checkpoint != null) {
      Scopes.run(
          () -> {
            State state = checkpoint().state();
            StateFiles.write(Objects.requireNonNull(trainer.checkpoint), state);
          });
    }
  }

  private Checkpoint checkpoint() {
    return new Checkpoint(this, trainer, loader.data().size(), optimiser, ema);
  }

  @Override
  public void close() {
    optimiser.close();
    if (ema != null) {
      ema.close();
    }
    weights.values().forEach(Scopes::release);
    best.values().forEach(Scopes::release);
  }
}
