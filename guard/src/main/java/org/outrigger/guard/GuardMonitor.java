package org.outrigger.guard;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.DriftDetector;
import org.outrigger.stream.DriftLevel;

/**
 * Compares a guard's traffic with its {@link GuardReference}, window by window: inputs, scores,
 * unknown rate, predictions and confidence, and errors when labels come.
 *
 * <p>All p-values of a window are corrected together: by Bonferroni over the features of a channel
 * and by Holm over the channels, so that a window without drift raises a false alarm with a chance
 * of at most {@link MonitorSettings#alpha}, taken over guards and windows. Rows that depend on
 * their neighbours raise more. Labels come when they come: they are tested in windows of their own,
 * at the same level, and followed one by one by stream detectors.
 *
 * <p>A guard that adapts gives its adapter's predictions and probabilities, which have no
 * reference: those two channels are not watched then.
 *
 * <p>One pass with bounded memory; saved at any moment and restored it goes on to the last bit. Not
 * safe for concurrent use.
 */
public final class GuardMonitor implements Stateful, AutoCloseable {
  private static final String TYPE = "guard-monitor";

  /**
   * What has been seen so far.
   *
   * @param rows all rows
   * @param windows all windows that were tested
   * @param waiting rows that wait for their window to fill
   * @param labels how many labels came
   * @param errors how many predictions were wrong by them
   * @param expectedErrorRate of the reference; NaN without labels there
   * @param drifting channels that drifted when they were last tested
   * @param history the last windows, the oldest first
   */
  public record Summary(
      long rows,
      long windows,
      int waiting,
      long labels,
      long errors,
      double expectedErrorRate,
      List<String> drifting,
      List<MonitoredWindow> history) {
    /** The last window; null before the first. */
    public @Nullable MonitoredWindow last() {
      return history.isEmpty() ? null : history.get(history.size() - 1);
    }
  }

  private final MonitorSettings settings;
  private final GuardReference reference;
  private final WindowTests tests;
  private final List<String> channels;
  private final int width;
  private final List<DriftDetector> detectors;
  private final List<Tensor> handed = new ArrayList<>();

  private final float[] values;
  private final double[] scores;
  private final double[] confidence;
  private final int[] predicted;
  private int waiting;
  private int unknown;
  private Instant from = Instant.EPOCH;
  private Instant to = Instant.EPOCH;
  private int waitingLabels;
  private int waitingErrors;
  private long rows;
  private long windows;
  private long labels;
  private long errors;
  private long labelWindows;
  private final Map<String, Deque<Boolean>> recent = new LinkedHashMap<>();
  private final Map<String, Boolean> drifting = new LinkedHashMap<>();
  private final Deque<MonitoredWindow> history = new ArrayDeque<>();

  private GuardMonitor(Guard guard, MonitorSettings settings) {
    this.settings = settings;
    reference = guard.requireReference();
    detectors =
        settings.errorDetectors().isBlank() || !settings.channels().contains("errors")
            ? List.of()
            : Methods.parse(DriftDetector.class, settings.errorDetectors());
    for (DriftDetector detector : detectors) {
      if (!detector.domain().accepts(0) || !detector.domain().accepts(1)) {
        throw new OutriggerException(detector.card().name() + " cannot follow errors.");
      }
    }
    tests = new WindowTests(guard, settings);
    boolean adapts = guard.adapter() != null;
    channels =
        settings.channels().stream()
            .filter(c -> !(adapts && (c.equals("predictions") || c.equals("confidence"))))
            .toList();
    width = reference.features().size();
    values = new float[Math.multiplyExact(settings.windowRows(), width)];
    scores = new double[settings.windowRows()];
    confidence = new double[settings.windowRows()];
    predicted = new int[settings.windowRows()];
  }

  /**
   * Starts to watch.
   *
   * @param guard with a reference; it may be closed later
   * @throws OutriggerException if it has none, or the settings name unknown methods
   */
  public static GuardMonitor of(Guard guard, MonitorSettings settings) {
    return new GuardMonitor(guard, settings);
  }

  /** How it looks at traffic. */
  public MonitorSettings settings() {
    return settings;
  }

  /** Takes what a guard answered; it was asked to watch. */
  public List<Change> observe(Guard.Answer answer, Instant at) {
    float[] watched = answer.watched();
    if (watched == null) {
      throw new OutriggerException(
          "The answer holds nothing to watch: call guard.answer(inputs, true).");
    }
    return observe(watched, answer.verdicts().size(), answer.verdicts(), at);
  }

  /**
   * Takes rows.
   *
   * @param watched {@link Guard.Answer#watched}, or the inputs themselves where {@link
   *     GuardReference#watchesInputs}: [rows, F] in row-major order, finite
   * @param count of rows
   * @param verdicts one a row
   * @param at when they were seen
   * @return what changed, for every window that became full and every channel that drifts there
   * @throws OutriggerException if something does not fit; nothing has changed then
   */
  public List<Change> observe(float[] watched, int count, List<Verdict> verdicts, Instant at) {
    check(watched, count, verdicts);
    List<Change> changes = new ArrayList<>();
    Duration bound = settings.windowTime();
    if (bound != null
        && waiting >= MonitorSettings.LEAST
        && Duration.between(from, at).compareTo(bound) >= 0) {
      changes.addAll(test());
    }
    for (int i = 0; i < count; i++) {
      if (waiting == 0) {
        from = at;
      }
      to = at;
      System.arraycopy(watched, i * width, values, waiting * width, width);
      Verdict verdict = verdicts.get(i);
      scores[waiting] = verdict.score();
      confidence[waiting] = verdict.probability();
      predicted[waiting] = verdict.label();
      unknown += verdict.unknown() ? 1 : 0;
      waiting++;
      rows++;
      if (waiting == settings.windowRows()) {
        changes.addAll(test());
      }
    }
    return changes;
  }

  private void check(float[] watched, int count, List<Verdict> verdicts) {
    if (count < 0 || verdicts.size() != count || watched.length != (long) count * width) {
      throw new OutriggerException(
          count
              + " rows of "
              + width
              + " watched values and as many verdicts are needed, but there are "
              + watched.length
              + " values and "
              + verdicts.size()
              + " verdicts.");
    }
    for (int i = 0; i < watched.length; i++) {
      if (!Float.isFinite(watched[i])) {
        throw new OutriggerException(
            "Row "
                + i / width
                + " has the value "
                + watched[i]
                + " for "
                + reference.features().get(i % width)
                + ": leave such rows out.");
      }
    }
    for (Verdict verdict : verdicts) {
      if (verdict.label() < 0 || verdict.label() >= classes()) {
        throw new OutriggerException(
            "A verdict has the label " + verdict.label() + ", which this guard does not have.");
      }
    }
  }

  private int classes() {
    return tests.shares(new int[0]).length;
  }

  /** Tests the rows that wait, if they are 20 or more: at the end of data. */
  public List<Change> finish() {
    return waiting < MonitorSettings.LEAST ? List.of() : test();
  }

  private List<Change> test() {
    int n = waiting;
    int[] classes = Arrays.copyOf(predicted, n);
    double[] score = Arrays.copyOf(scores, n);
    double[] sure = Arrays.copyOf(confidence, n);
    double[] estimated = tests.estimated(classes);
    List<WindowTests.Outcome> outcomes = new ArrayList<>();
    double[] effects = {};
    if (channels.contains("inputs")) {
      try (PointerScope scope = new PointerScope()) {
        Tensor window =
            Tensors.of(Arrays.copyOf(values, n * width), n, width).to(ScalarType.Double);
        effects = tests.effects(window);
        outcomes.add(tests.inputs(window, effects));
      }
    }
    if (channels.contains("scores")) {
      add(outcomes, tests.values("scores", "distribution of scores", score));
    }
    if (channels.contains("unknown")) {
      outcomes.add(tests.unknown(unknown, n));
    }
    if (channels.contains("predictions")) {
      outcomes.add(tests.predictions(classes, estimated));
    }
    if (channels.contains("confidence")) {
      add(outcomes, tests.values("confidence", "distribution of confidence", sure));
    }
    List<MonitoredWindow.Channel> judged = judge(outcomes);
    history.add(
        new MonitoredWindow(
            windows,
            from,
            to,
            n,
            unknown / (double) n,
            Arrays.stream(score).filter(Double::isFinite).average().orElse(Double.NaN),
            Arrays.stream(sure).average().orElse(Double.NaN),
            list(effects),
            list(tests.shares(classes)),
            list(estimated),
            judged));
    if (history.size() > settings.history()) {
      history.remove();
    }
    windows++;
    waiting = 0;
    unknown = 0;
    return judged.stream()
        .filter(MonitoredWindow.Channel::drift)
        .map(MonitoredWindow.Channel::change)
        .toList();
  }

  private static void add(
      List<WindowTests.Outcome> outcomes, WindowTests.@Nullable Outcome outcome) {
    if (outcome != null) {
      outcomes.add(outcome);
    }
  }

  private static List<Double> list(double[] numbers) {
    return DoubleStream.of(numbers).boxed().toList();
  }

  /**
   * Holm's procedure over the channels: the i-th smallest p is compared with alpha / (k + 1 - i).
   */
  private List<MonitoredWindow.Channel> judge(List<WindowTests.Outcome> outcomes) {
    List<WindowTests.Outcome> byP =
        outcomes.stream()
            .filter(o -> !Double.isNaN(o.pValue()))
            .sorted(Comparator.comparingDouble(WindowTests.Outcome::pValue))
            .toList();
    Map<String, Double> thresholds = new LinkedHashMap<>();
    Map<String, Boolean> beyond = new LinkedHashMap<>();
    boolean open = true;
    for (int i = 0; i < byP.size(); i++) {
      double threshold = settings.alpha() / (byP.size() - i);
      open &= byP.get(i).pValue() < threshold;
      thresholds.put(byP.get(i).channel(), threshold);
      beyond.put(byP.get(i).channel(), open);
    }
    List<MonitoredWindow.Channel> judged = new ArrayList<>();
    for (WindowTests.Outcome o : outcomes) {
      judged.add(
          judge(
              o,
              beyond.getOrDefault(o.channel(), o.beyond()),
              thresholds.getOrDefault(o.channel(), Double.NaN),
              windows));
    }
    return judged;
  }

  private MonitoredWindow.Channel judge(
      WindowTests.Outcome o, boolean beyond, double threshold, long number) {
    Deque<Boolean> last = recent.computeIfAbsent(o.channel(), name -> new ArrayDeque<>());
    last.add(beyond);
    if (last.size() > settings.of()) {
      last.remove();
    }
    boolean drift =
        beyond && last.stream().filter(Boolean::booleanValue).count() >= settings.agree();
    boolean first = drift && !Boolean.TRUE.equals(drifting.put(o.channel(), drift));
    drifting.put(o.channel(), drift);
    return new MonitoredWindow.Channel(
        beyond,
        drift,
        new Change(
            to,
            number,
            first,
            o.channel(),
            o.method(),
            o.statistic(),
            o.pValue(),
            threshold,
            o.effect(),
            o.before(),
            o.after(),
            o.features(),
            o.message()));
  }

  /**
   * Takes what labels said about predictions, whenever it comes.
   *
   * @param wrong whether each prediction was wrong, in the order of the labels
   */
  public List<Change> errors(boolean[] wrong, Instant at) {
    List<Change> changes = new ArrayList<>();
    if (!channels.contains("errors")) {
      return changes;
    }
    for (boolean each : wrong) {
      labels++;
      errors += each ? 1 : 0;
      waitingLabels++;
      waitingErrors += each ? 1 : 0;
      for (DriftDetector detector : detectors) {
        if (detector.update(each ? 1 : 0) == DriftLevel.DRIFT) {
          changes.add(detected(detector, at));
        }
      }
      if (waitingLabels == settings.windowRows()) {
        Change change = testErrors(at);
        if (change != null) {
          changes.add(change);
        }
      }
    }
    return changes;
  }

  private Change detected(DriftDetector detector, Instant at) {
    double after = waitingErrors / (double) waitingLabels;
    double before = reference.errorRate();
    return new Change(
        at,
        labelWindows,
        true,
        "errors",
        detector.card().slug(),
        after,
        Double.NaN,
        Double.NaN,
        after - before,
        before,
        after,
        List.of(),
        String.format(
            Locale.ROOT,
            "%s found a change of the error rate: it is %.1f %% over the last %d labels.",
            detector.card().name(),
            100 * after,
            waitingLabels));
  }

  private @Nullable Change testErrors(Instant at) {
    int n = waitingLabels;
    int wrong = waitingErrors;
    waitingLabels = 0;
    waitingErrors = 0;
    labelWindows++;
    int known = reference.wrong();
    if (known < 0) {
      return null;
    }
    double before = reference.errorRate();
    double after = wrong / (double) n;
    double p = RateTests.equal(known, reference.size(), wrong, n);
    MonitoredWindow.Channel judged =
        judge(
            new WindowTests.Outcome(
                "errors",
                "fisher",
                after,
                p,
                false,
                after - before,
                before,
                after,
                List.of(),
                String.format(
                    Locale.ROOT,
                    "%.1f %% of the predictions are wrong instead of %.1f %%.",
                    100 * after,
                    100 * before)),
            p < settings.alpha(),
            settings.alpha(),
            labelWindows - 1);
    Change c = judged.change();
    return judged.drift()
        ? new Change(
            at,
            c.window(),
            c.first(),
            c.channel(),
            c.method(),
            c.statistic(),
            c.pValue(),
            c.threshold(),
            c.effect(),
            c.before(),
            c.after(),
            c.features(),
            c.message())
        : null;
  }

  /** How many windows were tested so far. */
  public long windows() {
    return windows;
  }

  /** How many rows wait for their window to fill. */
  public int waiting() {
    return waiting;
  }

  /** What has been seen so far. */
  public Summary summary() {
    return new Summary(
        rows,
        windows,
        waiting,
        labels,
        errors,
        reference.errorRate(),
        drifting.entrySet().stream().filter(Map.Entry::getValue).map(Map.Entry::getKey).toList(),
        List.copyOf(history));
  }

  /** What is kept beside the numbers of the rows that wait. */
  private record Saved(
      List<String> features,
      List<String> detectors,
      int waiting,
      int unknown,
      Instant from,
      Instant to,
      int waitingLabels,
      int waitingErrors,
      long rows,
      long windows,
      long labels,
      long errors,
      long labelWindows,
      Map<String, List<Boolean>> recent,
      Map<String, Boolean> drifting,
      List<MonitoredWindow> history) {
    /** Whether nothing is missing. */
    boolean whole() {
      return java.util.stream.Stream.of(features, detectors, from, to, recent, drifting, history)
              .noneMatch(java.util.Objects::isNull)
          && waiting >= 0
          && unknown >= 0
          && waitingLabels >= 0
          && waitingErrors >= 0;
    }
  }

  @Override
  public State state() {
    handed.forEach(Tensor::close);
    handed.clear();
    Map<String, List<Boolean>> last = new LinkedHashMap<>();
    recent.forEach((channel, flags) -> last.put(channel, List.copyOf(flags)));
    Map<String, Object> plain = new LinkedHashMap<>();
    plain.put(
        "monitor",
        Json.compact(
            new Saved(
                reference.features(),
                slugs(),
                waiting,
                unknown,
                from,
                to,
                waitingLabels,
                waitingErrors,
                rows,
                windows,
                labels,
                errors,
                labelWindows,
                last,
                drifting,
                List.copyOf(history))));
    for (int i = 0; i < detectors.size(); i++) {
      State one = detectors.get(i).state();
      plain.put("detector-" + i, Map.of("type", one.type(), "values", one.values()));
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("values", Tensors.of(Arrays.copyOf(values, waiting * width), waiting, width));
    tensors.put("scores", Tensors.of(Arrays.copyOf(scores, waiting), waiting));
    tensors.put("confidence", Tensors.of(Arrays.copyOf(confidence, waiting), waiting));
    tensors.put("predicted", Tensors.labels(Arrays.copyOf(predicted, waiting)));
    tensors.replaceAll((name, tensor) -> org.outrigger.core.torch.Scopes.own(tensor));
    handed.addAll(tensors.values());
    return new State(TYPE, 1, plain, tensors);
  }

  private List<String> slugs() {
    return detectors.stream().map(d -> d.card().slug()).toList();
  }

  /**
   * Takes over a state of a monitor of the same guard, with windows that are at most as large and
   * the same detectors of errors.
   */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Saved saved;
    try {
      saved = Json.mapper().readValue(state.text("monitor"), Saved.class);
    } catch (tools.jackson.core.JacksonException e) {
      throw new OutriggerException("The saved monitor is damaged: start anew without it.", e);
    }
    if (!saved.whole()) {
      throw new OutriggerException("The saved monitor is damaged: start anew without it.");
    }
    if (!saved.features.equals(reference.features())
        || !saved.detectors.equals(slugs())
        || saved.waiting >= settings.windowRows()
        || saved.waitingLabels >= settings.windowRows()) {
      throw new OutriggerException(
          "The saved monitor watched other things than this one, or in larger windows: use the same"
              + " guard and settings, or start anew without it.");
    }
    float[] savedValues = Tensors.floats(state.tensor("values"));
    double[] savedScores = Tensors.doubles(state.tensor("scores"));
    double[] savedConfidence = Tensors.doubles(state.tensor("confidence"));
    int[] savedPredicted = Tensors.ints(state.tensor("predicted"));
    int n = saved.waiting;
    if (savedValues.length != n * width
        || savedScores.length != n
        || savedConfidence.length != n
        || savedPredicted.length != n) {
      throw new OutriggerException("The saved monitor is damaged: start anew without it.");
    }
    List<State> parts = new ArrayList<>();
    for (int i = 0; i < detectors.size(); i++) {
      State part = part(state.map("detector-" + i));
      // Into another detector first: a damaged part must leave the whole as it is.
      Methods.create(DriftDetector.class, detectors.get(i).card().slug(), Map.of()).restore(part);
      parts.add(part);
    }
    for (int i = 0; i < parts.size(); i++) {
      detectors.get(i).restore(parts.get(i));
    }
    System.arraycopy(savedValues, 0, values, 0, savedValues.length);
    System.arraycopy(savedScores, 0, scores, 0, n);
    System.arraycopy(savedConfidence, 0, confidence, 0, n);
    System.arraycopy(savedPredicted, 0, predicted, 0, n);
    waiting = n;
    unknown = saved.unknown;
    from = saved.from;
    to = saved.to;
    waitingLabels = saved.waitingLabels;
    waitingErrors = saved.waitingErrors;
    rows = saved.rows;
    windows = saved.windows;
    labels = saved.labels;
    errors = saved.errors;
    labelWindows = saved.labelWindows;
    recent.clear();
    saved.recent.forEach((channel, flags) -> recent.put(channel, new ArrayDeque<>(flags)));
    drifting.clear();
    drifting.putAll(saved.drifting);
    history.clear();
    history.addAll(saved.history);
  }

  @SuppressWarnings("unchecked") // JSON objects have text for keys
  private static State part(Map<?, ?> saved) {
    if (saved.get("type") instanceof String type && saved.get("values") instanceof Map<?, ?> map) {
      return new State(type, 1, (Map<String, Object>) map, Map.of());
    }
    throw new OutriggerException("The saved monitor is damaged: start anew without it.");
  }

  @Override
  public void close() {
    tests.close();
    handed.forEach(Tensor::close);
    handed.clear();
  }
}
