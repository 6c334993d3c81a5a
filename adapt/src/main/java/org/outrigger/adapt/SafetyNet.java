package org.outrigger.adapt;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A safety net under an adapter: every few batches it compares what the adapter says with what the
 * source model says, and rolls the adapter back to its last good snapshot when it has collapsed.
 * While it is caught, the source model answers.
 *
 * <p>It looks at the entropy, the confidence, the agreement with the source model and the spread of
 * the predicted classes, as running means; the spread is the effective number of classes, exp of
 * the entropy of their histogram, less one. An adapter has collapsed when its logits are not
 * finite, when its predictions spread over far fewer classes than those of the source model on the
 * same rows, or when it is far more confident than it agrees. It learns without labels, so it can
 * see no error that keeps the classes apart.
 */
@Card(
    slug = "safety-net",
    name = "Safety net",
    summary = "Watches the adapter below for collapse and rolls it back.",
    paper = "none: this toolkit's own",
    year = 2026,
    room = Room.ADAPT,
    needs = {},
    state = "running means, two snapshots, and the state of the adapter below")
public final class SafetyNet extends Decorator<SafetyNet.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(SafetyNet.class);
  private static final String OWN = "own";
  private static final String SOURCE = "source";
  private static final String ENTROPY = "entropy";
  private static final String CONFIDENCE = "confidence";
  private static final String AGREEMENT = "agreement";
  private static final String ROWS = "rows";
  private static final String SEEN = "batches";
  private static final String ROLLBACKS = "rollbacks";
  private static final String IN_A_ROW = "in a row";
  private static final String RESTING = "resting";
  private static final int EVENTS = 100;

  /**
   * @param every how many batches lie between two looks, 1 or more
   * @param memory how much of the running means a look keeps, in [0, 1)
   * @param minSpread the least spread of the predicted classes, as a share of the source model's,
   *     in [0, 1)
   * @param maxGap by how much the mean confidence may exceed the agreement with the source model,
   *     in (0, 1]
   * @param rest for how many batches the source model answers after a roll-back, 0 or more
   * @param patience after how many roll-backs without a good look in between the adapter starts
   *     over, 1 or more
   */
  public record Settings(
      int every, double memory, double minSpread, double maxGap, int rest, int patience) {
    public Settings {
      HyperParameter.atLeast("every", every, 1);
      HyperParameter.require(memory >= 0 && memory < 1, "memory", memory, "0 or more, below 1");
      HyperParameter.require(
          minSpread >= 0 && minSpread < 1, "minSpread", minSpread, "0 or more, below 1");
      HyperParameter.require(maxGap > 0 && maxGap <= 1, "maxGap", maxGap, "above 0, up to 1");
      HyperParameter.atLeast("rest", rest, 0);
      HyperParameter.atLeast("patience", patience, 1);
    }

    public static Settings defaults() {
      return new Settings(4, 0.7, 0.3, 0.85, 8, 2);
    }
  }

  /** Why an adapter was rolled back. */
  public enum Reason {
    NOT_FINITE("its predictions are not finite"),
    FEW_CLASSES("it predicts far fewer classes than the source model"),
    OVERCONFIDENT("it is certain of what the source model contradicts");

    private final String meaning;

    Reason(String meaning) {
      this.meaning = meaning;
    }

    /** In a few words. */
    public String meaning() {
      return meaning;
    }
  }

  /**
   * How the adapter is doing: running means over the looks so far, NaN before the first.
   *
   * @param entropy of its predictions, as a share of ln C
   * @param confidence the mean largest probability
   * @param agreement the share of rows for which it says what the source model says
   * @param spread the effective number of classes that it predicts, less one
   * @param sourceSpread the same of the source model
   */
  public record Health(
      double entropy, double confidence, double agreement, double spread, double sourceSpread) {}

  /**
   * A roll-back.
   *
   * @param batch at which it happened, from 1
   * @param reason why
   * @param health what was seen
   * @param startedOver whether it went back to the start rather than to a snapshot
   */
  public record Event(long batch, Reason reason, Health health, boolean startedOver) {
    @Override
    public String toString() {
      return String.format(
          Locale.ROOT,
          "batch %d: rolled back %s, since %s (confidence %.2f, agreement %.2f, spread %.2f against"
              + " %.2f)",
          batch,
          startedOver ? "to the start" : "to the last good state",
          reason.meaning(),
          health.confidence(),
          health.agreement(),
          health.spread(),
          health.sourceSpread());
    }
  }

  private final GoodState older = new GoodState();
  private final GoodState newer = new GoodState();
  private final Deque<Event> events = new ArrayDeque<>();
  private @Nullable Model source;
  private Consumer<Event> listener = event -> {};

  public SafetyNet() {
    this(Settings.defaults());
  }

  public SafetyNet(Settings settings) {
    super(settings, new Tent());
  }

  /** The effective number of classes in a histogram [C], less one: in 0 .. C-1. */
  public static double spread(Tensor histogram) {
    double[] counts = Tensors.doubles(histogram);
    double sum = 0;
    for (double count : counts) {
      sum += count;
    }
    double entropy = 0;
    for (double count : counts) {
      entropy -= count > 0 ? count / sum * Math.log(count / sum) : 0;
    }
    return sum > 0 ? Math.exp(entropy) - 1 : 0;
  }

  /** Is told of each roll-back, besides the log. */
  public SafetyNet onRollback(Consumer<Event> told) {
    listener = told;
    return this;
  }

  /** The last roll-backs, oldest first; they are not part of the state. */
  public List<Event> events() {
    return new ArrayList<>(events);
  }

  /** How many roll-backs there were. */
  public long rollbacks() {
    return (long) memory().number(ROLLBACKS, 0);
  }

  /** Whether the source model answers at the moment. */
  public boolean resting() {
    return memory().number(RESTING, 0) > 0;
  }

  /** How the adapter is doing. */
  public Health health() {
    Tensor own = memory().find(OWN);
    return new Health(
        memory().number(ENTROPY, Double.NaN),
        memory().number(CONFIDENCE, Double.NaN),
        memory().number(AGREEMENT, Double.NaN),
        own == null ? Double.NaN : spread(own),
        own == null ? Double.NaN : spread(memory().tensor(SOURCE)));
  }

  @Override
  protected void prepare(Model model) {
    source = model;
  }

  @Override
  protected Output step(Tensor inputs) {
    double resting = memory().number(RESTING, 0);
    long batch = (long) memory().number(SEEN, 0) + 1;
    memory().put(SEEN, batch);
    if (resting > 0) {
      memory().put(RESTING, resting - 1);
      return sourceModel().predict(inputs);
    }
    if (!newer.present()) {
      newer.take(inner());
    }
    Output output = inner().adapt(inputs);
    boolean finite = output.logits().isfinite().all().item_bool();
    if (finite && batch % settings().every() != 0) {
      return output;
    }
    Output reference = sourceModel().predict(inputs);
    if (finite) {
      look(output.logits(), reference.logits());
    }
    Reason reason = finite ? judge(output.logits().size(1)) : Reason.NOT_FINITE;
    if (reason == null) {
      memory().put(IN_A_ROW, 0);
      older.swap(newer);
      newer.take(inner());
      return output;
    }
    rollBack(batch, reason);
    output.close();
    return reference;
  }

  /**
   * Predicts a batch as {@link #adapt} would, and learns nothing: the state stays as it is. While
   * the adapter is caught, or where its logits are not finite, the source model answers.
   *
   * @param inputs [N, ...], finite; N at least {@link #minimumBatch()}
   * @return as of {@link #adapt}; the caller owns it
   */
  public Output predict(Tensor inputs) {
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      if (resting()) {
        return kept(sourceModel().predict(inputs));
      }
      try (Snapshot before = inner().snapshot()) {
        Output output;
        try {
          output = inner().adapt(inputs);
        } finally {
          inner().restore(before.state());
        }
        boolean finite = output.logits().isfinite().all().item_bool();
        return kept(finite ? output : sourceModel().predict(inputs));
      }
    }
  }

  private void look(Tensor logits, Tensor reference) {
    Tensor p = torch.softmax(logits, 1);
    Tensor own = p.argmax(new LongOptional(1), false);
    Tensor other = reference.argmax(new LongOptional(1), false);
    long classes = logits.size(1);
    mean(ENTROPY, Entropies.entropy(logits).mean().item().toDouble() / Math.log(classes));
    mean(CONFIDENCE, p.amax(new long[] {1}, false).mean().item().toDouble());
    mean(AGREEMENT, own.eq(other).to(torch.ScalarType.Double).mean().item_double());
    histogram(OWN, own, classes);
    histogram(SOURCE, other, classes);
    memory().put(ROWS, settings().memory() * memory().number(ROWS, 0) + logits.size(0));
  }

  private void mean(String name, double value) {
    double before = memory().number(name, Double.NaN);
    double keep = settings().memory();
    memory().put(name, Double.isNaN(before) ? value : keep * before + (1 - keep) * value);
  }

  private void histogram(String name, Tensor labels, long classes) {
    Tensor counts = torch.one_hot(labels, classes).sum(0).to(torch.ScalarType.Double);
    Tensor before = memory().find(name);
    memory()
        .put(
            name,
            before == null ? counts : before.mul(new Scalar(settings().memory())).add(counts));
  }

  /** What is wrong, or null. */
  private @Nullable Reason judge(long classes) {
    Health health = health();
    // Too few rows say nothing about a histogram.
    if (memory().number(ROWS, 0) < 2 * classes) {
      return null;
    }
    if (health.spread() < settings().minSpread() * health.sourceSpread()) {
      return Reason.FEW_CLASSES;
    }
    return health.confidence() - health.agreement() > settings().maxGap()
        ? Reason.OVERCONFIDENT
        : null;
  }

  /** A collapse is seen late, so it goes back to the good state before the last one. */
  private void rollBack(long batch, Reason reason) {
    double inARow = memory().number(IN_A_ROW, 0) + 1;
    boolean over = inARow >= settings().patience();
    Health seen = health();
    if (over) {
      inner().reset();
      older.drop();
      newer.drop();
    } else {
      (older.present() ? older : newer).giveBack(inner());
    }
    countResets(1);
    for (String name : List.of(OWN, SOURCE, ENTROPY, CONFIDENCE, AGREEMENT, ROWS)) {
      memory().remove(name);
    }
    memory().put(IN_A_ROW, inARow);
    memory().put(ROLLBACKS, rollbacks() + 1);
    memory().put(RESTING, settings().rest());
    Event event = new Event(batch, reason, seen, over);
    events.addLast(event);
    if (events.size() > EVENTS) {
      events.removeFirst();
    }
    LOG.warn("{} {}", inner().stack(), event);
    listener.accept(event);
  }

  private Model sourceModel() {
    return Objects.requireNonNull(source);
  }

  @Override
  protected Map<String, Stateful> parts() {
    Map<String, Stateful> parts = new LinkedHashMap<>(super.parts());
    parts.put("older", older);
    parts.put("newer", newer);
    return parts;
  }

  @Override
  protected void release() {
    older.drop();
    newer.drop();
    events.clear();
    source = null;
    super.release();
  }
}
