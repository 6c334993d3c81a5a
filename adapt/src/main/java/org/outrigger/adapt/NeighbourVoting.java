package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Trains features for {@link AdaNpc}: the loss of a row is minus the logarithm of what its nearest
 * rows in a queue of earlier ones vote for its class. After each step the batch's unit features
 * overwrite the oldest of the queue, which begins with random rows of class 0. The temperature
 * falls in a line from {@code temperature} to {@code finalTemperature}.
 *
 * <pre>{@code
 * try (NeighbourVoting votes = NeighbourVoting.create(dimension, classes, settings, seed)) {
 *   Trainer.of(model).objective(votes).fit(train);
 * }
 * }</pre>
 */
public final class NeighbourVoting implements StepObjective, Stateful, AutoCloseable {
  private static final String TYPE = "objective/neighbour-voting";

  /**
   * @param k how many rows of the queue vote, 1 or more; all if there are fewer
   * @param queue how many rows are kept, 1 or more
   * @param temperature of the first step, above 0
   * @param finalTemperature of step {@code annealing} and later, above 0
   * @param annealing over so many steps the temperature falls, 1 or more
   */
  public record Settings(
      int k, int queue, double temperature, double finalTemperature, int annealing) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.atLeast("queue", queue, 1);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.positive("finalTemperature", finalTemperature);
      HyperParameter.atLeast("annealing", annealing, 1);
    }

    /** The authors' for small images; for larger ones k = 150 and a queue of 3,500. */
    public static Settings defaults() {
      return new Settings(10, 1000, 1, 0.1, 5000);
    }
  }

  private final Settings settings;
  private final long classes;
  private Tensor features;
  private Tensor labels;
  private long next;
  private long steps;

  /**
   * Starts from a given queue, which is copied.
   *
   * @param features [Q, D], of any length
   * @param labels int64 [Q]
   * @param next where the next batch is written, in 0 .. Q-1
   * @param classes C
   */
  public NeighbourVoting(
      Tensor features, Tensor labels, long next, long classes, Settings settings) {
    Shapes.check().tensor("The queue", features, "Q", "D").tensor("Its labels", labels, "Q");
    Shapes.notEmpty("The queue", features);
    Shapes.labels("The labels of the queue", labels, classes, false);
    HyperParameter.between("next", next, 0, features.size(0) - 1);
    this.settings = Objects.requireNonNull(settings);
    this.classes = classes;
    this.features = Scopes.scoped(() -> Scopes.own(torch.normalize(features.detach())));
    this.labels = Scopes.scoped(() -> Scopes.own(labels.clone()));
    this.next = next;
  }

  /**
   * Starts from a random queue.
   *
   * @param dimension the number of features D
   * @param classes C
   */
  public static NeighbourVoting create(long dimension, long classes, Settings settings, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(seed, "neighbour queue")) {
            return new NeighbourVoting(
                rng.normal(settings.queue(), dimension),
                torch.zeros(new long[] {settings.queue()}, new TensorOptions(ScalarType.Long)),
                0,
                classes,
                settings);
          }
        });
  }

  /**
   * What the queue votes for features; gradients flow through them, not through the queue.
   *
   * @param batch [N, D]
   * @return scores [N, C], each in 1e-5 .. 1
   */
  public Tensor scores(Tensor batch) {
    Shapes.check().size("D", features.size(1), "the queue").tensor("The features", batch, "N", "D");
    return Scopes.tensor(
        () -> {
          Tensor similarities = torch.normalize(batch).mm(features.t());
          T_TensorTensor_T top = similarities.topk(Math.min(settings.k(), features.size(0)));
          Tensor voters = labels.index_select(0, top.get1().flatten()).view(top.get1().shape());
          return AdaNpc.votes(top.get0(), voters, classes, temperature());
        });
  }

  /** The temperature of the present step. */
  public double temperature() {
    double share = Math.min(1, steps / (double) settings.annealing());
    return settings.temperature() + share * (settings.finalTemperature() - settings.temperature());
  }

  /** The mean of {@code -log score_y} over the rows that have a class; 0 if none has. */
  public static Tensor loss(Tensor scores, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Tensor known = labels.ge(new Scalar(0));
          Tensor own = scores.gather(1, labels.clamp_min(new Scalar(0)).unsqueeze(1)).squeeze(1);
          return Entropies.masked(own.log().neg(), known);
        });
  }

  /**
   * Writes rows over the oldest of the queue.
   *
   * @param batch features [N, D], of any length
   * @param labels int64 [N]; rows below 0 are left out
   */
  public void push(Tensor batch, Tensor labels) {
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  Tensor chosen = labels.ge(new Scalar(0)).nonzero().squeeze(1);
                  long size = features.size(0);
                  long rows = Math.min(size, chosen.size(0));
                  chosen = chosen.narrow(0, chosen.size(0) - rows, rows);
                  Tensor places =
                      torch
                          .arange(
                              new Scalar(next),
                              new Scalar(next + rows),
                              new TensorOptions(ScalarType.Long))
                          .remainder(new Scalar(size));
                  Tensor unit = torch.normalize(batch.detach().index_select(0, chosen));
                  // New tensors: the graph of a loss may need the earlier ones.
                  Tensor oldFeatures = features;
                  Tensor oldLabels = this.labels;
                  features = Scopes.own(features.index_copy(0, places, unit));
                  this.labels =
                      Scopes.own(oldLabels.index_copy(0, places, labels.index_select(0, chosen)));
                  Scopes.release(oldFeatures);
                  Scopes.release(oldLabels);
                  next = (next + rows) % size;
                  return true;
                }));
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    Shapes.labels("The labels", labels, classes, true);
    return Scopes.tensor(() -> loss(scores(output.features()), labels));
  }

  @Override
  public Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng) {
    Shapes.labels("The labels", labels, classes, true);
    Output output = network.apply(inputs);
    Tensor scores = scores(output.features());
    Tensor loss = loss(scores, labels);
    push(output.features(), labels);
    steps++;
    return new Result(loss, scores.detach().log(), labels);
  }

  /** The unit features of the queue, [Q, D]; borrowed. */
  public Tensor features() {
    return features;
  }

  /** The labels of the queue, int64 [Q]; borrowed. */
  public Tensor labels() {
    return labels;
  }

  /** Where the next batch is written. */
  public long next() {
    return next;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("next", next);
    values.put("steps", steps);
    return new State(TYPE, 1, values, Map.of("features", features, "labels", labels));
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Tensor rows = state.tensor("features");
    Tensor classesOfRows = state.tensor("labels");
    Shapes.check()
        .size("Q", features.size(0), "the queue")
        .size("D", features.size(1), "the queue")
        .tensor("The saved queue", rows, "Q", "D")
        .tensor("Its labels", classesOfRows, "Q");
    Shapes.finite("The saved queue", rows);
    Shapes.labels("The labels of the saved queue", classesOfRows, classes, false);
    double place = state.number("next");
    double done = state.number("steps");
    if (place < 0 || place >= rows.size(0) || done < 0) {
      throw new OutriggerException(
          "The saved queue is written next at " + place + ", which it has not: it is damaged.");
    }
    Tensor oldFeatures = features;
    Tensor oldLabels = labels;
    features = Scopes.scoped(() -> Scopes.own(rows.clone()));
    labels = Scopes.scoped(() -> Scopes.own(classesOfRows.clone()));
    Scopes.release(oldFeatures);
    Scopes.release(oldLabels);
    next = (long) place;
    steps = (long) done;
  }

  @Override
  public void close() {
    Scopes.release(features);
    Scopes.release(labels);
  }
}
