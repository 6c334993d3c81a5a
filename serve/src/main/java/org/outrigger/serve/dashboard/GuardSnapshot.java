package org.outrigger.serve.dashboard;

import java.math.BigDecimal;
import java.math.MathContext;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.outrigger.guard.GuardInfo;
import org.outrigger.serve.ServedGuard;

/**
 * The figures of one guard and its shadow over one range, as JSON types; null where there is none.
 *
 * @param shadow null if none watches
 * @param since when counting began
 * @param now in milliseconds
 */
record GuardSnapshot(
    GuardTelemetry live, @Nullable GuardTelemetry shadow, Instant since, Range range, long now) {
  /** What the tiles call now. */
  private static final long LATELY = 60_000;

  private static final MathContext DIGITS = new MathContext(5);

  /** What the guard is. */
  static Map<String, Object> info(ServedGuard served) {
    GuardInfo info = served.guard().info();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", served.version());
    json.put("model", info.model());
    json.put(
        "detector",
        String.join(" + ", info.detectors().stream().map(GuardInfo.Part::slug).toList()));
    json.put("calibrator", info.calibrator() == null ? null : info.calibrator().slug());
    json.put("created", info.created());
    json.put("data", info.data());
    json.put("classes", info.classNames().size());
    json.put("threshold", number(info.threshold().value()));
    json.put("accept", info.threshold().accept());
    json.put("unknownLower", number(1 - info.threshold().upper()));
    json.put("unknownUpper", number(1 - info.threshold().lower()));
    return json;
  }

  /** The last minute. */
  Map<String, Object> lately() {
    return figures(live.last(LATELY, now), Math.min(LATELY, age()));
  }

  /** The whole range. */
  Map<String, Object> total() {
    Traffic sum = live.sum(range, now);
    Map<String, Object> json = figures(sum, Math.min(now - range.start(now), age()));
    Map<String, Object> statuses = new LinkedHashMap<>();
    sum.statuses().forEach((status, count) -> statuses.put(Integer.toString(status), count));
    json.put("statuses", statuses);
    return json;
  }

  private long age() {
    return Math.max(1000, now - since.toEpochMilli());
  }

  private static Map<String, Object> figures(Traffic traffic, long millis) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("rows", traffic.rows());
    json.put("requests", traffic.requests());
    json.put("rowsPerSecond", number(1000.0 * traffic.rows() / millis));
    json.put("requestsPerSecond", number(1000.0 * traffic.requests() / millis));
    json.put("unknown", number(traffic.unknownRate()));
    json.put("p50", number(traffic.latencies().quantile(0.5)));
    json.put("p95", number(traffic.latencies().quantile(0.95)));
    json.put("p99", number(traffic.latencies().quantile(0.99)));
    json.put("score", number(traffic.meanScore()));
    json.put("queue", traffic.queue());
    return json;
  }

  /** Figures over time; steps before counting began are null. */
  Map<String, Object> series() {
    List<Traffic> steps = live.steps(range, now);
    long start = range.start(now);
    long begun = since.toEpochMilli();
    double[] seconds = new double[steps.size()];
    List<Long> times = new ArrayList<>();
    for (int i = 0; i < seconds.length; i++) {
      long from = start + i * range.step();
      times.add(from);
      long lasted = Math.min(from + range.step(), now) - Math.max(from, begun);
      // A step that has hardly begun says nothing yet.
      seconds[i] = lasted < 2000 ? Double.NaN : lasted / 1000.0;
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("step", range.step());
    json.put("times", times);
    json.put("rows", rates(steps, seconds, Traffic::rows));
    json.put("requests", rates(steps, seconds, Traffic::requests));
    json.put("unknown", values(steps, Traffic::unknownRate));
    json.put("p50", values(steps, step -> step.latencies().quantile(0.5)));
    json.put("p95", values(steps, step -> step.latencies().quantile(0.95)));
    json.put("p99", values(steps, step -> step.latencies().quantile(0.99)));
    json.put("score", values(steps, Traffic::meanScore));
    json.put("queue", values(steps, step -> step.rows() == 0 ? Double.NaN : step.queue()));
    json.put("errors", rates(steps, seconds, GuardSnapshot::errors));
    if (shadow != null) {
      List<Traffic> watched = shadow.steps(range, now);
      json.put("shadowRows", rates(watched, seconds, Traffic::rows));
      json.put("shadowUnknown", values(watched, Traffic::unknownRate));
    }
    return json;
  }

  private static double errors(Traffic traffic) {
    return traffic.statuses().tailMap(400).values().stream().mapToLong(Long::longValue).sum();
  }

  private static List<@Nullable Double> rates(
      List<Traffic> steps, double[] seconds, ToDoubleFunction<Traffic> count) {
    List<@Nullable Double> rates = new ArrayList<>();
    for (int i = 0; i < steps.size(); i++) {
      rates.add(number(count.applyAsDouble(steps.get(i)) / seconds[i]));
    }
    return rates;
  }

  private static List<@Nullable Double> values(
      List<Traffic> steps, ToDoubleFunction<Traffic> value) {
    List<@Nullable Double> values = new ArrayList<>();
    steps.forEach(step -> values.add(number(value.applyAsDouble(step))));
    return values;
  }

  /** The distribution of scores as shares of each bin, beside the reference's. */
  @Nullable Map<String, Object> scores(ServedGuard served, @Nullable ServedGuard watcher) {
    Shapes shapes = live.shapes(served.version());
    Bins bins = shapes == null ? null : shapes.bins();
    Shape shape = live.shape(served.version(), range, now);
    if (shapes == null || bins == null || shape == null) {
      return null;
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("edges", Arrays.stream(bins.edges()).mapToObj(GuardSnapshot::number).toList());
    json.put("rows", IntStream.of(shape.scores()).sum());
    json.put("live", shares(shape.scores()));
    json.put("threshold", number(served.guard().info().threshold().value()));
    Reference reference = shapes.reference();
    if (reference != null) {
      json.put("reference", shares(bins.count(reference.sortedScores())));
      json.put("referenceRows", reference.sortedScores().length);
    }
    Shapes watched = shadow == null || watcher == null ? null : shadow.shapes(watcher.version());
    // Only scores on the same scale can be drawn into one picture.
    if (shadow != null && watcher != null && watched != null && bins.equals(watched.bins())) {
      Shape watchedShape = shadow.shape(watcher.version(), range, now);
      if (watchedShape != null) {
        json.put("shadow", shares(watchedShape.scores()));
      }
    }
    return json;
  }

  /** How often each class was predicted, beside the reference's. */
  @Nullable Map<String, Object> classes(ServedGuard served, @Nullable ServedGuard watcher) {
    Shapes shapes = live.shapes(served.version());
    Shape shape = live.shape(served.version(), range, now);
    if (shapes == null || shape == null) {
      return null;
    }
    List<String> names = new ArrayList<>();
    List<String> all = served.guard().info().classNames();
    names.addAll(all.subList(0, Math.min(all.size(), Shapes.MOST_CLASSES)));
    names.add("all others");
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("names", names);
    json.put("rows", IntStream.of(shape.classes()).sum());
    json.put("live", shares(shape.classes()));
    Reference reference = shapes.reference();
    if (reference != null && reference.classes().length > 0) {
      long[] counts = new long[names.size()];
      for (int c = 0; c < reference.classes().length; c++) {
        counts[Math.min(c, counts.length - 1)] += reference.classes()[c];
      }
      json.put("reference", shares(counts));
    }
    if (shadow != null && watcher != null) {
      Shape watched = shadow.shape(watcher.version(), range, now);
      if (watched != null && watched.classes().length == names.size()) {
        json.put("shadow", shares(watched.classes()));
      }
    }
    return json;
  }

  /** The unknown rows of the last hour with the largest scores. */
  List<Object> top() {
    List<Object> rows = new ArrayList<>();
    for (UnknownInput input : live.top(now)) {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("key", input.key());
      json.put("at", Instant.ofEpochMilli(input.at()).toString());
      json.put("id", input.id());
      json.put("row", input.row());
      json.put("stream", input.stream());
      json.put("version", input.version());
      json.put("label", input.verdict().className());
      json.put("probability", number(input.verdict().probability()));
      json.put("score", number(input.verdict().score()));
      json.put("detector", input.verdict().detector());
      KeptInput kept = input.input();
      json.put(
          "kept", kept == null ? null : kept instanceof KeptInput.Picture ? "picture" : "values");
      rows.add(json);
    }
    return rows;
  }

  private static List<@Nullable Double> shares(int[] counts) {
    return shares(IntStream.of(counts).asLongStream().toArray());
  }

  private static List<@Nullable Double> shares(long[] counts) {
    double total = Arrays.stream(counts).sum();
    return Arrays.stream(counts)
        .<@Nullable Double>mapToObj(count -> number(count / total))
        .toList();
  }

  /** Five digits are enough to draw; null for what is no number. */
  private static @Nullable Double number(double value) {
    return Double.isFinite(value) ? new BigDecimal(value).round(DIGITS).doubleValue() : null;
  }
}
