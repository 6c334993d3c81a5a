package org.outrigger.cli;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.guard.Change;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardInfo;
import org.outrigger.guard.GuardMonitor;
import org.outrigger.guard.GuardReference;
import org.outrigger.guard.MonitorSettings;
import org.outrigger.guard.MonitoredWindow;
import org.outrigger.guard.Verdict;

/** One pass of a monitor over rows in the order of time, and what a report needs of it. */
final class MonitorRun implements AutoCloseable {
  private static final int SAMPLE = 20_000;
  private static final int MOST_UNKNOWN = 12;

  /** A row that the guard found least familiar. */
  record UnknownRow(String id, Instant at, String label, double score, boolean unknown) {}

  private final Guard guard;
  private final GuardMonitor monitor;
  private final List<Change> changes = new ArrayList<>();
  private final List<Double> accuracy = new ArrayList<>();
  private final PriorityQueue<UnknownRow> furthest =
      new PriorityQueue<>(Comparator.comparingDouble(UnknownRow::score));
  private final double[] scores = new double[SAMPLE];
  private final SplittableRandom random = new SplittableRandom(0);
  private long rows;
  private int windowLabels;
  private int windowRight;

  MonitorRun(Guard guard, MonitorSettings settings) {
    this.guard = guard;
    monitor = GuardMonitor.of(guard, settings);
  }

  void take(Tensor inputs, List<String> ids, int @Nullable [] labels, List<Instant> times) {
    Guard.Answer answer = guard.answer(inputs, true);
    float[] watched = java.util.Objects.requireNonNull(answer.watched());
    int width = watched.length / ids.size();
    for (int i = 0; i < ids.size(); i++) {
      Verdict verdict = answer.verdicts().get(i);
      float[] row = java.util.Arrays.copyOfRange(watched, i * width, (i + 1) * width);
      long before = monitor.windows();
      changes.addAll(monitor.observe(row, 1, List.of(verdict), times.get(i)));
      boolean closed = monitor.windows() > before;
      // A window that its time ended does not hold this row, one that its rows ended does.
      if (closed && monitor.waiting() > 0) {
        closeWindow();
      }
      if (labels != null && labels[i] >= 0) {
        boolean wrong = labels[i] != verdict.label();
        changes.addAll(monitor.errors(new boolean[] {wrong}, times.get(i)));
        windowLabels++;
        windowRight += wrong ? 0 : 1;
      }
      if (closed && monitor.waiting() == 0) {
        closeWindow();
      }
      remember(ids.get(i), times.get(i), verdict);
    }
  }

  private void closeWindow() {
    accuracy.add(windowLabels == 0 ? Double.NaN : windowRight / (double) windowLabels);
    windowLabels = 0;
    windowRight = 0;
  }

  private void remember(String id, Instant at, Verdict verdict) {
    long place = rows < SAMPLE ? rows : random.nextLong(rows + 1);
    if (place < SAMPLE) {
      scores[(int) place] = verdict.score();
    }
    rows++;
    if (Double.isNaN(verdict.score())) {
      return;
    }
    UnknownRow lowest = furthest.peek();
    if (furthest.size() < MOST_UNKNOWN || verdict.score() > lowest.score()) {
      furthest.add(new UnknownRow(id, at, verdict.className(), verdict.score(), verdict.unknown()));
      if (furthest.size() > MOST_UNKNOWN) {
        furthest.remove();
      }
    }
  }

  /** Tests what is left. */
  void finish() {
    long before = monitor.windows();
    changes.addAll(monitor.finish());
    if (monitor.windows() > before) {
      closeWindow();
    }
  }

  GuardInfo info() {
    return guard.info();
  }

  GuardReference reference() {
    return java.util.Objects.requireNonNull(guard.reference());
  }

  GuardMonitor.Summary summary() {
    return monitor.summary();
  }

  MonitorSettings settings() {
    return monitor.settings();
  }

  List<Change> changes() {
    return changes;
  }

  /** Changes that had just begun. */
  List<Change> beginnings() {
    return changes.stream().filter(Change::first).toList();
  }

  /** The accuracy of each window; NaN without labels. */
  List<Double> accuracy() {
    return accuracy;
  }

  /** A uniform sample of all scores. */
  double[] scores() {
    return java.util.Arrays.copyOf(scores, (int) Math.min(rows, SAMPLE));
  }

  /** The least familiar rows, the largest score first. */
  List<UnknownRow> furthest() {
    return furthest.stream()
        .sorted(Comparator.comparingDouble(UnknownRow::score).reversed())
        .toList();
  }

  /** All figures as JSON types. */
  Map<String, Object> toJson(String data) {
    GuardMonitor.Summary summary = summary();
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("data", data);
    all.put("model", info().model());
    all.put("rows", summary.rows());
    all.put("windowCount", summary.windows());
    all.put("waiting", summary.waiting());
    all.put("labels", summary.labels());
    all.put("errors", summary.errors());
    all.put("expectedErrorRate", summary.expectedErrorRate());
    all.put("alpha", settings().alpha());
    all.put("features", reference().features());
    all.put("classes", info().classNames());
    all.put("changes", changes);
    all.put("windows", summary.history());
    all.put("accuracy", accuracy);
    all.put("mostUnknown", furthest());
    return all;
  }

  /** Windows in which something drifts. */
  long drifted() {
    return summary().history().stream().filter(MonitoredWindow::drift).count();
  }

  @Override
  public void close() {
    monitor.close();
  }
}
