package org.outrigger.detect;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Quantiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Adaptation.Outcome;
import org.outrigger.detect.MolGradient.Episode;

/**
 * MOL: meta-learn weights from which a few gradient steps on a handful of labelled known rows of a
 * new distribution restore both classification and detection by energy. Inner steps {@code theta <-
 * theta - a grad L_in(theta; support)} simulate the deployment; Adam minimises {@code L_out} of the
 * adapted weights over the initial ones, through the steps.
 *
 * <p>{@code L_in = CE(f(x), y) + lambda mean relu(E(x) - m_in)^2}, {@code L_out = L_in + lambda
 * mean relu(m_out - E(o))^2}, {@code E = -lse(f)}. Outliers o shape the initial weights only;
 * adapting needs none. Margins that do not fit the scale of the logits switch the energy parts off:
 * watch the active shares in {@link Progress}.
 *
 * <p>Wu et al., "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV 2023. Its code is
 * not public and its text was not at hand: the setting is the paper's, the algorithm is the
 * standard gradient-based meta-learning for it, in full here.
 *
 * <p>Call {@link #attach} with a network, {@link #train} it on tasks, and {@link #adapt} to each
 * distribution that comes; {@link #model} is the adapted network, for a guard with {@link Energy}.
 * Batch norm uses the statistics of the batch in inner and outer steps, query and outliers being
 * one batch, and those of the last support set afterwards; dropout is off. Frozen parameters stay
 * as they are and are no part of the state. Not safe for concurrent use, except {@link #predict}.
 */
@Card(
    slug = "mol",
    name = "MOL",
    summary = "Meta-learns weights that a few labelled known rows adapt to each new distribution.",
    paper =
        "Wu, Lu, Fang, Zhang. Meta OOD Learning for Continuously Adaptive OOD Detection. ICCV 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {
      Need.LOGITS,
      Need.PARAMETER_GRADIENTS,
      Need.SWAPPABLE_LAYERS,
      Need.TRAINING,
      Need.LABELS,
      Need.OUTLIERS
    },
    state = "initial and current weights, normalisation statistics, outer Adam, counters")
public final class Mol implements Method, Stateful, AutoCloseable {
  private static final String TYPE = "meta/mol";

  /** Which derivatives the outer gradient is made of. */
  public enum Order {
    /** Through the inner steps. */
    SECOND,
    /** At the adapted weights, as if the inner gradients were constants: cheaper. */
    FIRST
  }

  /** Where adaptation to a new distribution starts. */
  public enum Mode {
    /** From the present weights, or from the initial ones where these get a lower support loss. */
    CONTINUE,
    /** Always from the initial weights. */
    RESET
  }

  /**
   * @param innerRate a, the step size of the inner SGD, above 0; 0.1 to 0.3 is usual
   * @param innerSteps N, 0 or more; memory grows with it in training; 0 is joint training
   * @param order of the derivatives
   * @param tasks G, episodes in an outer step, 1 or more
   * @param chain tasks in an episode, 1 or more: the weights adapted to one start the next, and the
   *     query losses add up
   * @param support K, rows of each class to adapt to, 1 or more
   * @param query rows of each class in the outer loss, 1 or more
   * @param outliers in the outer loss of a task, 1 or more
   * @param lambda the weight of the energy parts, 0 or more
   * @param marginIn m_in, the energy that known inputs should stay below
   * @param marginOut m_out, the energy that outliers should stay above
   * @param outerRate the learning rate of Adam, above 0
   * @param iterations outer steps of {@link Mol#train(MetaTasks)}, 0 or more
   * @param mode where {@link Mol#adapt} starts
   * @param accept the share of support energies below the threshold, in (0, 1)
   * @param blend how much of the previous threshold the next one keeps, in [0, 1)
   * @param seed of the tasks
   */
  public record Settings(
      double innerRate,
      int innerSteps,
      Order order,
      int tasks,
      int chain,
      int support,
      int query,
      int outliers,
      double lambda,
      double marginIn,
      double marginOut,
      double outerRate,
      int iterations,
      Mode mode,
      double accept,
      double blend,
      long seed) {
    public Settings {
      HyperParameter.positive("innerRate", innerRate);
      HyperParameter.atLeast("innerSteps", innerSteps, 0);
      Objects.requireNonNull(order);
      HyperParameter.atLeast("tasks", tasks, 1);
      HyperParameter.atLeast("chain", chain, 1);
      HyperParameter.atLeast("support", support, 1);
      HyperParameter.atLeast("query", query, 1);
      HyperParameter.atLeast("outliers", outliers, 1);
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.require(Double.isFinite(marginIn), "marginIn", marginIn, "a finite number");
      HyperParameter.require(Double.isFinite(marginOut), "marginOut", marginOut, "a finite number");
      HyperParameter.positive("outerRate", outerRate);
      HyperParameter.atLeast("iterations", iterations, 0);
      Objects.requireNonNull(mode);
      HyperParameter.inside("accept", accept, 0, 1);
      HyperParameter.require(blend >= 0 && blend < 1, "blend", blend, "0 or more and below 1");
    }

    public static Settings defaults() {
      return new Settings(
          0.2,
          3,
          Order.SECOND,
          2,
          1,
          5,
          10,
          50,
          0.1,
          -6,
          -2,
          1e-3,
          1000,
          Mode.CONTINUE,
          0.95,
          0.5,
          0);
    }
  }

  /**
   * An outer step, or means over several.
   *
   * @param iteration outer steps so far
   * @param loss the mean outer loss of the episodes; NaN if all diverged
   * @param activeIn the share of query rows that m_in pushes; NaN if all diverged
   * @param activeOut the share of outliers that m_out pushes; NaN if all diverged
   * @param diverged episodes that were left out because inner steps diverged
   */
  public record Progress(
      long iteration, double loss, double activeIn, double activeOut, long diverged) {}

  private Settings settings;
  private final MolWeights weights = new MolWeights();
  private @Nullable FunctionalNetwork network;

  public Mol() {
    this(Settings.defaults());
  }

  public Mol(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  // -- meta-training

  /**
   * Gives the network whose weights are learned; it is copied, so the caller keeps and closes it.
   * The first call takes its weights as the initial ones; a later one, after a restore, keeps those
   * that are there.
   *
   * @throws OutriggerException if all of it is frozen, or its weights are not those of this MOL
   */
  public void attach(NeuralModel model) {
    FunctionalNetwork attached = new FunctionalNetwork(model);
    try {
      if (weights.empty()) {
        weights.take(attached.trainable(), attached.statistics(), settings.outerRate);
      } else {
        attached.require(weights.initial(), weights.statistics());
      }
    } catch (RuntimeException e) {
      attached.close();
      throw e;
    }
    if (network != null) {
      network.close();
    }
    network = attached;
  }

  private FunctionalNetwork network() {
    if (network == null) {
      throw new OutriggerException("MOL has no network yet: call attach with one first.");
    }
    return network;
  }

  /** Tasks of these data with this MOL's sizes; see {@link ShiftedTasks}. */
  public MetaTasks tasks(
      IndexedDataset known, @Nullable IndexedDataset outliers, List<Shift> shifts) {
    return new ShiftedTasks(
        known, outliers, shifts, settings.support, settings.query, settings.outliers);
  }

  /** Trains until {@code iterations} outer steps are done in all. */
  public Progress train(MetaTasks tasks) {
    return train(tasks, settings.iterations - weights.iteration, progress -> {});
  }

  /**
   * Takes that many more outer steps; each draws its tasks with a generator of its own, so a
   * restored MOL continues to the last bit. Afterwards the current weights are the initial ones.
   *
   * @return means over the last tenth of the steps that learned, and all episodes that diverged
   * @throws OutriggerException if a task is unfit, or the inner steps of every episode diverge
   */
  public Progress train(MetaTasks tasks, long iterations, Consumer<Progress> listener) {
    network();
    long diverged = 0;
    Deque<Progress> last = new ArrayDeque<>();
    try {
      for (long i = 0; i < iterations; i++) {
        Progress step = Scopes.scoped(() -> step(tasks));
        diverged += step.diverged;
        if (!Double.isNaN(step.loss)) {
          last.add(step);
        }
        if (last.size() > Math.max(1, iterations / 10)) {
          last.remove();
        }
        listener.accept(step);
      }
    } finally {
      reset();
    }
    if (iterations > 0 && last.isEmpty()) {
      throw new OutriggerException(
          "MOL learned nothing: the inner steps of all "
              + diverged
              + " episodes diverged. Lower innerRate (now "
              + settings.innerRate
              + "), or scale the inputs.");
    }
    if (network().normalises()) {
      Scopes.run(() -> weights.statistics(typicalStatistics(tasks)));
    }
    return new Progress(
        weights.iteration,
        last.stream().mapToDouble(Progress::loss).average().orElse(Double.NaN),
        last.stream().mapToDouble(Progress::activeIn).average().orElse(Double.NaN),
        last.stream().mapToDouble(Progress::activeOut).average().orElse(Double.NaN),
        diverged);
  }

  private Progress step(MetaTasks tasks) {
    List<Episode> used = new ArrayList<>();
    try (Rng rng = Rng.named(settings.seed, "mol/" + weights.iteration)) {
      for (int g = 0; g < settings.tasks; g++) {
        List<MetaTask> episode = new ArrayList<>();
        for (int c = 0; c < settings.chain; c++) {
          episode.add(draw(tasks, rng));
        }
        Episode done = MolGradient.episode(network()::logits, weights.initial(), episode, settings);
        if (!done.diverged()) {
          used.add(done);
        }
      }
    }
    weights.step(used.stream().map(Episode::gradient).toList());
    return new Progress(
        weights.iteration,
        used.stream().mapToDouble(Episode::loss).average().orElse(Double.NaN),
        used.stream().mapToDouble(Episode::activeIn).average().orElse(Double.NaN),
        used.stream().mapToDouble(Episode::activeOut).average().orElse(Double.NaN),
        settings.tasks - used.size());
  }

  private MetaTask draw(MetaTasks tasks, Rng rng) {
    MetaTask task = tasks.draw(rng);
    task.check(network().classes(), network().classNames());
    return task;
  }

  /** What the batch norms meet on the support sets of some tasks, for use before adapting. */
  private Map<String, Tensor> typicalStatistics(MetaTasks tasks) {
    List<Tensor> inputs = new ArrayList<>();
    try (Rng rng = Rng.named(settings.seed, "mol/statistics")) {
      for (int g = 0; g < settings.tasks; g++) {
        inputs.add(draw(tasks, rng).support());
      }
    }
    Tensor all = torch.cat(new TensorVector(inputs.toArray(new Tensor[0])), 0);
    return network().statistics(all, weights.initial());
  }

  // -- deployment

  /** As {@link #adapt(Tensor, Tensor)}, with the rows of a labelled batch. */
  public Adaptation adapt(Batch support) {
    Tensor labels = support.labels();
    if (labels == null) {
      throw new OutriggerException("MOL adapts to labelled rows, but this batch has no labels.");
    }
    return adapt(support.inputs(), labels);
  }

  /**
   * Adapts to a new distribution.
   *
   * @param inputs [S, ...], a few known rows of it
   * @param labels int64 [S], each class at least once
   * @throws OutriggerException if the rows do not fit; nothing has changed then
   */
  public Adaptation adapt(Tensor inputs, Tensor labels) {
    FunctionalNetwork net = network();
    return Scopes.scoped(
        () -> {
          MetaTask.checkSupport("The support set", inputs, labels, net.classes(), net.classNames());
          MolCandidate continued =
              settings.mode == Mode.CONTINUE
                  ? MolCandidate.of(net, weights.current(), inputs, labels, settings)
                  : null;
          MolCandidate fresh =
              settings.mode == Mode.RESET || weights.adaptations > 0
                  ? MolCandidate.of(net, weights.initial(), inputs, labels, settings)
                  : null;
          boolean reset = continued == null || (fresh != null && fresh.after() < continued.after());
          MolCandidate best = Objects.requireNonNull(reset ? fresh : continued);
          if (best.failed()) {
            return new Adaptation(
                Outcome.REVERTED, best.before(), best.after(), Double.NaN, weights.threshold);
          }
          return adopt(net, best, inputs, reset);
        });
  }

  private Adaptation adopt(FunctionalNetwork net, MolCandidate best, Tensor inputs, boolean reset) {
    double[] energies = Tensors.doubles(Energy.score(best.logits(), 1));
    double threshold = Quantiles.of(energies, settings.accept);
    if (!reset && !Double.isNaN(weights.threshold)) {
      threshold = settings.blend * weights.threshold + (1 - settings.blend) * threshold;
    }
    weights.adopt(best.weights(), net.statistics(inputs, best.weights()), threshold);
    return new Adaptation(
        reset ? Outcome.RESET : Outcome.CONTINUED,
        best.before(),
        best.after(),
        MolGradient.activeIn(best.logits(), settings.marginIn),
        threshold);
  }

  /** Goes back to the initial weights and forgets the threshold. */
  public void reset() {
    weights.reset();
  }

  /**
   * Predicts with the current weights.
   *
   * @param inputs [N, ...]
   * @return an output that the caller or the enclosing scope owns
   */
  public Output predict(Tensor inputs) {
    return network().predict(inputs, weights.current(), weights.statistics());
  }

  /** The energies [N] of inputs [N, ...] with the current weights; larger means less familiar. */
  public Tensor score(Tensor inputs) {
    return Scopes.noGrad(() -> Energy.score(predict(inputs).logits(), 1));
  }

  /** Above which a score is called unknown; NaN before the first adaptation. */
  public double threshold() {
    return weights.threshold;
  }

  /** A model of its own with the current weights, for a guard or a file; the caller closes it. */
  public NeuralModel model() {
    return network().with(weights.current(), weights.statistics());
  }

  /** Outer steps so far. */
  public long iteration() {
    return weights.iteration;
  }

  /** Adaptations since the last {@link #reset}. */
  public long adaptations() {
    return weights.adaptations;
  }

  // -- state

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    return weights.state(TYPE, Map.of("settings", Methods.values(settings)));
  }

  /** Continues with the saved settings and weights; call {@link #attach} as well. */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved = Methods.create(Mol.class, card().slug(), state.map("settings")).settings();
    weights.restore(state, saved.outerRate, network);
    settings = saved;
  }

  /** Another MOL that continues from here on its own; the caller closes it. */
  public Mol copy() {
    Mol copy = new Mol(settings);
    if (!weights.empty()) {
      copy.restore(state());
    }
    if (network != null) {
      copy.attach(network.model());
    }
    return copy;
  }

  @Override
  public void close() {
    weights.close();
    if (network != null) {
      network.close();
      network = null;
    }
  }
}
