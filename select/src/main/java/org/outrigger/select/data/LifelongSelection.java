package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * A lifelong run of {@link AdaptInfinity}: data sets arrive one after the other; each step adds one
 * to the pool, says which rows of the pool to train the present model on, and drops near-duplicates
 * for good where the pool is too large. Saved and restored, it goes on exactly.
 *
 * <pre>{@code
 * LifelongSelection run = new LifelongSelection(new AdaptInfinity());
 * LifelongSelection.Step step = run.step(model, "april", april, 1000, 10_000);
 * Trainer.of(model).fit(step.training());
 * StateFiles.write(file, run.state());
 * }</pre>
 *
 * <p>Not safe for concurrent use.
 */
public final class LifelongSelection implements Stateful {
  private static final String TYPE = "select/adapt-infinity";
  private static final int VERSION = 1;

  /**
   * What a step came to.
   *
   * @param step its number, from 0
   * @param train numbers of the pool's rows to train on, ascending
   * @param keep numbers of the rows that stay in the pool, ascending
   * @param training a view of the rows to train on
   * @param report in figures
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Step(int step, int[] train, int[] keep, IndexedDataset training, Report report) {}

  /**
   * A step in figures.
   *
   * @param added the data set that arrived
   * @param pool rows in the pool before anything was dropped
   * @param trained rows to train on
   * @param dropped rows that left the pool
   * @param within the sum of the distances of the sample vectors to their centroids
   * @param clusters what each gave
   * @param bySource how many of the rows to train on each data set gave
   */
  public record Report(
      String added,
      int pool,
      int trained,
      int dropped,
      double within,
      List<AdaptInfinity.ClusterReport> clusters,
      Map<String, Integer> bySource) {
    public Report {
      clusters = List.copyOf(clusters);
      bySource = new LinkedHashMap<>(bySource);
    }
  }

  private final AdaptInfinity method;
  private final List<SampleScore> scores;
  private DataPool pool = new DataPool();
  private int steps;
  private List<Object> history = new ArrayList<>();

  /** A run with the scores that the method's settings name. */
  public LifelongSelection(AdaptInfinity method) {
    this(method, List.of());
  }

  /**
   * A run with more scores to choose from.
   *
   * @param more scores of one's own, with labels that no other has
   */
  public LifelongSelection(AdaptInfinity method, List<SampleScore> more) {
    this.method = method;
    scores = new ArrayList<>(SampleScore.of(method.settings().scores()));
    for (SampleScore score : more) {
      if (scores.stream().anyMatch(other -> other.label().equals(score.label()))) {
        throw new OutriggerException("Two scores are called '" + score.label() + "'.");
      }
      scores.add(score);
    }
  }

  /** The pool as it is; do not change it. */
  public DataPool pool() {
    return pool;
  }

  /** How many steps were taken. */
  public int steps() {
    return steps;
  }

  /** The reports of all steps, as JSON-able values. */
  public List<Object> history() {
    return List.copyOf(history);
  }

  /**
   * Gives a restored run one of its data sets back.
   *
   * @param name as it was added
   * @param data the same rows in the same order
   */
  public void reconnect(String name, IndexedDataset data) {
    pool.reconnect(name, data);
  }

  /** As the longer form, without progress. */
  public Step step(
      Model model, String name, IndexedDataset added, int trainBudget, int poolBudget) {
    return step(model, name, added, trainBudget, poolBudget, rows -> {});
  }

  /**
   * Takes a step. Train the model on {@link Step#training()} afterwards, from where it is.
   *
   * @param model as it is now; it is not changed
   * @param name of the data set that arrives, unlike all before
   * @param added labelled rows
   * @param trainBudget M, 1 or more
   * @param poolBudget D, 1 or more
   * @param progress is told how many rows of the pool have been through the model
   * @throws OutriggerException if something does not fit; the run is as before then
   */
  public Step step(
      Model model,
      String name,
      IndexedDataset added,
      int trainBudget,
      int poolBudget,
      LongConsumer progress) {
    model.require(method, AdaptInfinity.class);
    if (trainBudget < 1 || poolBudget < 1) {
      throw new OutriggerException(
          "The budgets M = "
              + trainBudget
              + " and D = "
              + poolBudget
              + " must be 1 or more: how many rows to train on, and to keep.");
    }
    DataPool next = pool.copy();
    next.add(name, added);
    int[] before = next.rows();
    try (PoolEvidence evidence =
        PoolEvidence.collect(model, next.view(before), method.settings(), scores, progress)) {
      Selected selected = select(evidence, trainBudget, poolBudget);
      int[] train = Arrays.stream(selected.choice.rows()).map(i -> before[i]).toArray();
      next.drop(selected.pruning, selected.clusters, steps);
      Map<String, Integer> bySource = new LinkedHashMap<>();
      next.sources().forEach(source -> bySource.put(source.name(), 0));
      for (int row : train) {
        bySource.merge(next.row(row).source(), 1, Integer::sum);
      }
      Report report =
          new Report(
              name,
              before.length,
              train.length,
              selected.pruning.dropped().length,
              selected.choice.within(),
              selected.choice.clusters(),
              bySource);
      Step done = new Step(steps, train, next.rows(), next.view(train), report);
      pool = next;
      history = new ArrayList<>(history);
      history.add(Methods.values(report));
      steps++;
      return done;
    }
  }

  /**
   * Positions among the evidence.
   *
   * @param clusters the cluster of each sample that the pruning went by
   */
  @SuppressWarnings("ArrayRecordComponent")
  private record Selected(
      AdaptInfinity.Choice choice, AdaptInfinity.Pruning pruning, int[] clusters) {}

  private Selected select(PoolEvidence evidence, int trainBudget, int poolBudget) {
    return Scopes.scoped(
        () -> {
          List<String> names = scores.stream().map(SampleScore::label).toList();
          Tensor vectors = evidence.vectors();
          Tensor values = evidence.scores();
          AdaptInfinity.Choice all = method.choose(vectors, values, names, trainBudget, steps);
          AdaptInfinity.Pruning pruning =
              AdaptInfinity.prune(evidence.embeddings(), all.assignment(), poolBudget);
          if (!method.settings().lite() || pruning.dropped().length == 0) {
            return new Selected(all, pruning, all.assignment());
          }
          int[] left = pruning.kept();
          Tensor index = Tensors.labels(left);
          AdaptInfinity.Choice fewer =
              method.choose(
                  vectors.index_select(0, index),
                  values.index_select(0, index),
                  names,
                  trainBudget,
                  steps);
          int[] rows = Arrays.stream(fewer.rows()).map(i -> left[i]).toArray();
          return new Selected(
              new AdaptInfinity.Choice(rows, fewer.assignment(), fewer.clusters(), fewer.within()),
              pruning,
              all.assignment());
        });
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>(pool.values());
    values.put("settings", Methods.values(method.settings()));
    values.put("scores", scores.stream().map(SampleScore::label).toList());
    values.put("steps", steps);
    values.put("history", history);
    return new State(TYPE, VERSION, values, pool.tensors());
  }

  /**
   * Takes over a saved run, whose data sets must then be {@link #reconnect}ed.
   *
   * @throws OutriggerException if it is damaged, or was made with other settings or scores
   */
  @Override
  public void restore(State state) {
    state.expect(TYPE, VERSION);
    Map<String, Object> mine = Methods.values(method.settings());
    List<String> changed =
        mine.keySet().stream()
            .filter(
                key ->
                    !String.valueOf(mine.get(key))
                        .equals(String.valueOf(state.map("settings").get(key))))
            .toList();
    if (!changed.isEmpty()) {
      throw new OutriggerException(
          "The saved run was made with other settings of adapt-infinity ("
              + String.join(", ", changed)
              + "): go on with the same, or start a new pool.");
    }
    List<String> names = scores.stream().map(SampleScore::label).toList();
    if (!names.equals(state.values().get("scores"))) {
      throw new OutriggerException(
          "The saved run chose from the scores "
              + state.values().get("scores")
              + ", not from "
              + names
              + ": go on with the same.");
    }
    double count = state.number("steps");
    if (count < 0
        || count != Math.rint(count)
        || !(state.values().get("history") instanceof List<?> reports)) {
      throw new OutriggerException(
          "The saved pool is damaged: its steps cannot be read. Restore a copy of it.");
    }
    DataPool restored =
        DataPool.of(
            state.values().get("sources"),
            Tensors.ints(state.tensor("pool")),
            Tensors.longs(state.tensor("dropped")),
            Tensors.doubles(state.tensor("similarity")));
    pool = restored;
    steps = (int) count;
    history = new ArrayList<>(reports);
  }

  /** The settings that a saved run was made with, to make the method anew. */
  public static Map<String, Object> settings(State state) {
    return state.expect(TYPE, VERSION).map("settings");
  }

  /** The names of the data sets of a saved run, in the order in which they arrived. */
  public static List<String> sources(State state) {
    DataPool saved =
        DataPool.of(
            state.expect(TYPE, VERSION).values().get("sources"),
            Tensors.ints(state.tensor("pool")),
            Tensors.longs(state.tensor("dropped")),
            Tensors.doubles(state.tensor("similarity")));
    return saved.sources().stream().map(DataPool.Source::name).toList();
  }

  /** The positions of a data set's own rows among the numbers of the pool. */
  public static int[] rowsOf(DataPool pool, String source, int[] numbers) {
    return IntStream.of(numbers)
        .mapToObj(pool::row)
        .filter(row -> row.source().equals(source))
        .mapToInt(DataPool.Row::row)
        .toArray();
  }
}
