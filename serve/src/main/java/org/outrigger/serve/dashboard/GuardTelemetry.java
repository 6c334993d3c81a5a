package org.outrigger.serve.dashboard;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.JudgedBatch;

/** What is counted of one guard, or of its shadow. Safe for concurrent use. */
final class GuardTelemetry {
  /** A version that answers, the one before, and one that is about to. */
  private static final int VERSIONS = 3;

  private static final int TEXT = 200;

  private final boolean keepInputs;
  private final History<Traffic> traffic = new History<>(Traffic::new);
  private final TopUnknown top = new TopUnknown();
  private final Map<String, Shapes> versions = new LinkedHashMap<>();

  GuardTelemetry(boolean keepInputs) {
    this.keepInputs = keepInputs;
  }

  /** A version may come to judge. */
  synchronized void opened(String version, Shapes shapes) {
    versions.put(version, shapes);
    while (versions.size() > VERSIONS) {
      versions.remove(versions.keySet().iterator().next());
    }
  }

  synchronized void answered(long at, int status, long nanos) {
    traffic.at(at, counts -> counts.request(status, nanos));
  }

  synchronized void judged(JudgedBatch batch, int waiting) {
    Shapes shapes = versions.get(batch.version());
    long at = batch.at().toEpochMilli();
    int rows = 0;
    int unknown = 0;
    double scores = 0;
    for (JudgedBatch.Request request : batch.requests()) {
      List<Verdict> verdicts = request.verdicts();
      rows += verdicts.size();
      for (int i = 0; i < verdicts.size(); i++) {
        Verdict verdict = verdicts.get(i);
        scores += verdict.score();
        if (shapes != null) {
          shapes.judged(at, verdict.score(), verdict.label());
        }
        if (verdict.unknown()) {
          unknown++;
          int row = i;
          top.offer(
              at,
              verdict.score(),
              key -> unknown(key, at, batch.version(), request, row, verdict, shapes));
        }
      }
    }
    int judgedRows = rows;
    int unknownRows = unknown;
    double scoreSum = scores;
    traffic.at(
        at,
        counts ->
            counts.judged(batch.requests().size(), judgedRows, unknownRows, scoreSum, waiting));
  }

  private UnknownInput unknown(
      long key,
      long at,
      String version,
      JudgedBatch.Request request,
      int row,
      Verdict verdict,
      @Nullable Shapes shapes) {
    KeptInput input = null;
    if (keepInputs && shapes != null) {
      int length = request.inputs().length / request.rows();
      input =
          KeptInput.of(
              request.inputs(), row * length, shapes.info().inputShape(), shapes.info().features());
    }
    return new UnknownInput(
        key, at, cut(request.id()), row, cut(request.stream()), version, verdict, input);
  }

  private static String cut(String text) {
    return text.length() > TEXT ? text.substring(0, TEXT) + "..." : text;
  }

  synchronized List<Traffic> steps(Range range, long now) {
    return traffic.steps(range, now);
  }

  synchronized Traffic sum(Range range, long now) {
    return traffic.sum(range, now);
  }

  synchronized Traffic last(long millis, long now) {
    return traffic.last(millis, now);
  }

  /** How a version's rows of a range are spread; null if it is not counted. */
  synchronized @Nullable Shape shape(String version, Range range, long now) {
    Shapes shapes = versions.get(version);
    return shapes == null ? null : shapes.sum(range, now);
  }

  /** How a version's rows are counted; null if it is not. */
  synchronized @Nullable Shapes shapes(String version) {
    return versions.get(version);
  }

  synchronized List<UnknownInput> top(long now) {
    return top.list(now);
  }

  /** The input of a row; null if it is not kept. */
  synchronized @Nullable KeptInput input(long key) {
    UnknownInput found = top.get(key);
    return found == null ? null : found.input();
  }
}
