package org.outrigger.stream.memory;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * ReLoop2: corrects each probability by the labels of recent, similar events, without training.
 * With attention {@code a = softmax(s / tau)} over what the memory holds near, {@code error = gamma
 * (sum a y - p) + (1 - gamma) (sum a y - sum a p')}, and {@code p + lambda error}, clipped to [0,
 * 1], is served. Zhu et al., KDD 2023.
 *
 * <pre>{@code
 * memory.start(scorer.score(training).keys(), "model 7");
 * Correction served = memory.correct(scored.keys(), scored.base());
 * memory.write(scored.keys(), labels, scored.base());    // once the labels are sure
 * }</pre>
 *
 * <p>Keys are centred by the mean of those it was started with: representations behind a ReLU all
 * point the same way. They must come from one version of the model; start again when it changes.
 *
 * <p>Predicting and writing are safe from many threads at once; a prediction sees each write whole
 * or not at all. While its state is saved nothing may be written.
 */
@Card(
    slug = "reloop2",
    name = "ReLoop2",
    summary = "A memory of recent labelled events corrects each probability, without training.",
    paper =
        "Zhu et al., ReLoop2: Building Self-Adaptive Recommendation Models via Responsive Error"
            + " Compensation Loop, KDD 2023",
    year = 2023,
    room = Room.STREAM,
    needs = {Need.FEATURES, Need.LABELS},
    state = "sketch or recent events, mean key")
public final class ReLoop2 implements Method, Stateful, AutoCloseable {
  private static final String TYPE = "memory/reloop2";

  /** What the memory keeps. */
  public enum Memory {
    /** counts in hashed buckets: constant time */
    SKETCH,
    /** the events: exact neighbours, time proportional to the capacity */
    SAMPLES
  }

  /**
   * @param memory sketch or samples
   * @param k neighbours of the sample memory, 1 or more; 180 in the paper
   * @param arrays of the sketch, 1 or more; 70 in the paper
   * @param bits of the sketch: 2^bits buckets an array, 1 to 24; 16 in the paper
   * @param capacity events that it holds; the oldest leave
   * @param tau temperature of the attention, above 0
   * @param gamma 1: the error of the prediction itself; 0: of those for similar events
   * @param lambda how much of the error is made up for, 0 to 1; 0.4 and 0.9 in the paper
   * @param sigma the sample memory keeps events whose error is larger alone; 0: all
   * @param keep the share of events that the sample memory keeps, drawn at random, above 0
   * @param seed of projections and draws
   */
  public record Settings(
      Memory memory,
      int k,
      int arrays,
      int bits,
      int capacity,
      double tau,
      double gamma,
      double lambda,
      double sigma,
      double keep,
      long seed) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.atLeast("arrays", arrays, 1);
      HyperParameter.between("bits", bits, 1, 24);
      HyperParameter.atLeast("capacity", capacity, 1);
      HyperParameter.positive("tau", tau);
      HyperParameter.between("gamma", gamma, 0, 1);
      HyperParameter.between("lambda", lambda, 0, 1);
      HyperParameter.between("sigma", sigma, 0, 1);
      HyperParameter.require(keep > 0 && keep <= 1, "keep", keep, "above 0 and at most 1");
    }

    public static Settings defaults() {
      return new Settings(Memory.SKETCH, 180, 70, 16, 4000, 0.1, 1, 0.4, 0, 1, 0);
    }

    public Settings withLambda(double value) {
      return new Settings(memory, k, arrays, bits, capacity, tau, gamma, value, sigma, keep, seed);
    }

    public Settings withSketch(int newArrays, int newBits) {
      return new Settings(
          Memory.SKETCH, k, newArrays, newBits, capacity, tau, gamma, lambda, sigma, keep, seed);
    }

    public Settings withSamples(int newK) {
      return new Settings(
          Memory.SAMPLES, newK, arrays, bits, capacity, tau, gamma, lambda, sigma, keep, seed);
    }

    public Settings withCapacity(int events) {
      return new Settings(memory, k, arrays, bits, events, tau, gamma, lambda, sigma, keep, seed);
    }

    public Settings withSeed(long value) {
      return new Settings(
          memory, k, arrays, bits, capacity, tau, gamma, lambda, sigma, keep, value);
    }
  }

  private final Settings settings;
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private @Nullable Live live;

  /** What it has between {@link #start} and {@link #close}. */
  private record Live(ErrorMemory memory, Tensor mean, String version, Rng draws, long[] written) {
    void close() {
      memory.close();
      Scopes.release(mean);
      draws.close();
    }
  }

  public ReLoop2() {
    this(Settings.defaults());
  }

  public ReLoop2(Settings settings) {
    this.settings = settings;
  }

  /**
   * Corrected predictions from what is near.
   *
   * @param near float64 [N, k]
   * @param base float64 [N], in [0, 1]
   * @return in the enclosing scope
   */
  public static Correction compensate(
      Neighbours near, Tensor base, double tau, double gamma, double lambda) {
    return Scopes.scoped(
        () -> {
          Tensor empty = near.filled().logical_not();
          Tensor nothing = empty.all(1);
          Tensor attention =
              torch
                  .softmax(
                      near.scores()
                          .div(new Scalar(tau))
                          .masked_fill(empty, new Scalar(Double.NEGATIVE_INFINITY)),
                      1)
                  .masked_fill(empty, new Scalar(0.0));
          Scalar nan = new Scalar(Double.NaN);
          Tensor labels = attention.mul(near.labels()).sum(1).masked_fill(nothing, nan);
          Tensor means = attention.mul(near.base()).sum(1).masked_fill(nothing, nan);
          Tensor error =
              labels
                  .sub(base)
                  .mul(new Scalar(gamma))
                  .add(labels.sub(means).mul(new Scalar(1 - gamma)))
                  .masked_fill(nothing, new Scalar(0.0));
          Tensor served =
              base.add(error.mul(new Scalar(lambda)))
                  .clamp(new ScalarOptional(new Scalar(0.0)), new ScalarOptional(new Scalar(1.0)));
          return new Correction(
              Scopes.keep(served),
              Scopes.keep(error),
              Scopes.keep(labels),
              Scopes.keep(means),
              Scopes.keep(attention),
              Scopes.keep(near.filled().sum(1)));
        });
  }

  /**
   * Starts with an empty memory for one version of a model.
   *
   * @param keys of training rows, [N, D]; their mean is taken off all keys
   * @param version names the model's version; saved
   * @throws OutriggerException on bad keys; nothing has changed then
   */
  public void start(Tensor keys, String version) {
    Shapes.check().tensor("keys", keys, "N", "D");
    Shapes.notEmpty("keys", keys);
    Shapes.finite("keys", keys);
    Tensor mean = Scopes.scoped(() -> Scopes.own(keys.detach().to(ScalarType.Double).mean(0)));
    Live fresh = make(keys.size(1), mean, version);
    exclusive(
        () -> {
          swap(fresh);
          return true;
        });
  }

  private Live make(long dimension, Tensor mean, String version) {
    return Scopes.scoped(
        () ->
            new Live(
                settings.memory == Memory.SAMPLES
                    ? new SampleMemory(settings.k, settings.capacity, dimension)
                    : new SketchMemory(
                        SketchMemory.draw(settings.arrays, settings.bits, dimension, settings.seed),
                        settings.capacity),
                mean,
                version,
                Rng.named(settings.seed, "down-sampling"),
                new long[1]));
  }

  private void swap(@Nullable Live fresh) {
    Live old = live;
    live = fresh;
    if (old != null) {
      old.close();
    }
  }

  /**
   * Corrects predictions with the memory as it is.
   *
   * @param keys [N, D]
   * @param base the model's probabilities, [N], in [0, 1]
   * @return owned by the enclosing scope or the caller
   * @throws OutriggerException on other shapes, NaN, probabilities outside [0, 1], or before {@link
   *     #start}
   */
  public Correction correct(Tensor keys, Tensor base) {
    lock.readLock().lock();
    try {
      Live now = started();
      check(now, keys, base, null);
      return Scopes.scoped(
          () -> {
            Neighbours near = now.memory.read(centred(now, keys));
            Correction made =
                compensate(
                    near,
                    base.detach().to(ScalarType.Double),
                    settings.tau,
                    settings.gamma,
                    settings.lambda);
            return new Correction(
                Scopes.keep(made.probabilities()),
                Scopes.keep(made.errors()),
                Scopes.keep(made.labels()),
                Scopes.keep(made.base()),
                Scopes.keep(made.attention()),
                Scopes.keep(made.filled()));
          });
    } finally {
      lock.readLock().unlock();
    }
  }

  /**
   * Remembers labelled events. Write when a label is sure: of events whose positive label may still
   * come, the memory would learn that they are negative; see {@link AttributionWindow}.
   *
   * @param keys [N, D], of the same version of the model
   * @param labels [N], in [0, 1]; any numeric type
   * @param base what the model predicted for them, [N], in [0, 1]
   * @throws OutriggerException on bad input; nothing has changed then
   */
  public void write(Tensor keys, Tensor labels, Tensor base) {
    exclusive(
        () -> {
          Live now = started();
          check(now, keys, base, labels);
          Scopes.run(
              () -> {
                Tensor h = centred(now, keys);
                Tensor y = labels.detach().to(ScalarType.Double);
                Tensor p = base.detach().to(ScalarType.Double);
                if (settings.memory == Memory.SAMPLES
                    && (settings.sigma > 0 || settings.keep < 1)) {
                  Tensor rows = chosen(now, y, p);
                  h = h.index_select(0, rows);
                  y = y.index_select(0, rows);
                  p = p.index_select(0, rows);
                }
                now.memory.write(h, y, p);
              });
          now.written[0] += keys.size(0);
          return true;
        });
  }

  private Tensor chosen(Live now, Tensor labels, Tensor base) {
    Tensor wanted =
        settings.sigma > 0
            ? labels.sub(base).abs().gt(new Scalar(settings.sigma))
            : torch.ones_like(labels).to(ScalarType.Bool);
    if (settings.keep < 1) {
      Tensor drawn = now.draws.uniform(ScalarType.Double, labels.size(0));
      wanted = wanted.logical_and(drawn.lt(new Scalar(settings.keep)));
    }
    return wanted.nonzero().flatten();
  }

  private static Tensor centred(Live now, Tensor keys) {
    return keys.detach().to(ScalarType.Double).sub(now.mean);
  }

  private static void check(Live now, Tensor keys, Tensor base, @Nullable Tensor labels) {
    Shapes shapes =
        Shapes.check()
            .size("D", now.mean.size(0), "the start of this memory")
            .tensor("keys", keys, "N", "D")
            .tensor("base", base, "N");
    Shapes.notEmpty("keys", keys);
    Shapes.finite("keys", keys);
    unit("base", base);
    if (labels != null) {
      shapes.tensor("labels", labels, "N");
      unit("labels", labels);
    }
  }

  private static void unit(String name, Tensor values) {
    Shapes.finite(name, values);
    boolean ok =
        Scopes.scoped(
            () ->
                values
                    .ge(new Scalar(0.0))
                    .logical_and(values.le(new Scalar(1.0)))
                    .all()
                    .item_bool());
    if (!ok) {
      throw new OutriggerException(
          name + " holds values outside 0 to 1: probabilities and labels lie there.");
    }
  }

  /** Forgets all events; version and mean key stay. */
  public void clear() {
    exclusive(
        () -> {
          started().memory.clear();
          return true;
        });
  }

  /** Whether it can be used. */
  public boolean started(String version) {
    return shared(() -> live != null && live.version.equals(version));
  }

  /** The version of the model that it was started for. */
  public String version() {
    return shared(() -> started().version);
  }

  /** How many events it holds now. */
  public long size() {
    return shared(() -> started().memory.size());
  }

  /** How many events were ever written. */
  public long written() {
    return shared(() -> started().written[0]);
  }

  /** Bytes that it takes; the same from start to close. */
  public long bytes() {
    return shared(() -> started().memory.bytes() + started().mean.nbytes());
  }

  private Live started() {
    if (live == null) {
      throw new OutriggerException(
          "ReLoop2 is not started yet: call start with the keys of training rows.");
    }
    return live;
  }

  private <T> T shared(Supplier<T> work) {
    lock.readLock().lock();
    try {
      return work.get();
    } finally {
      lock.readLock().unlock();
    }
  }

  private <T> T exclusive(Supplier<T> work) {
    lock.writeLock().lock();
    try {
      return work.get();
    } finally {
      lock.writeLock().unlock();
    }
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    return shared(
        () -> {
          Live now = started();
          Map<String, Object> values = new LinkedHashMap<>(now.memory.values());
          values.put("settings", Methods.values(settings));
          values.put("version", now.version);
          values.put("written", now.written[0]);
          Map<String, Tensor> tensors = new LinkedHashMap<>(now.memory.tensors());
          tensors.put("mean", now.mean);
          tensors.put("draws", now.draws.state());
          return new State(TYPE, 1, values, tensors);
        });
  }

  /**
   * Takes over a saved memory of the same settings; it then continues to the last bit.
   *
   * @throws OutriggerException if it does not fit; nothing has changed then
   */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    // As text in one order: a file turns enums into names and forgets which numbers were long.
    String wanted = new TreeMap<>(Methods.values(settings)).toString();
    if (!wanted.equals(new TreeMap<>(state.map("settings")).toString())) {
      throw new OutriggerException(
          "The saved memory has other settings, "
              + state.map("settings")
              + ": restore it into a ReLoop2 of those.");
    }
    Tensor saved = state.tensor("mean");
    Shapes.check().tensor("The saved mean", saved, "D");
    Shapes.finite("The saved mean", saved);
    String version = state.text("version");
    double written = state.number("written");
    Tensor mean = Scopes.scoped(() -> Scopes.own(saved.to(ScalarType.Double).clone()));
    Live fresh = make(saved.size(0), mean, version);
    try {
      fresh.memory.check(state);
      fresh.draws.state(state.tensor("draws"));
      fresh.memory.restore(state);
      fresh.written[0] = (long) written;
    } catch (RuntimeException e) {
      fresh.close();
      throw e;
    }
    exclusive(
        () -> {
          swap(fresh);
          return true;
        });
  }

  @Override
  public void close() {
    exclusive(
        () -> {
          swap(null);
          return true;
        });
  }
}
