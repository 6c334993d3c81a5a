package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.stream.Adwin;
import org.outrigger.stream.Cusum;
import org.outrigger.stream.DriftDetector;
import org.outrigger.stream.DriftLevel;
import tools.jackson.databind.JsonNode;

/** Golden streams: where each detector raises its flags, and the numbers it ends with. */
final class DriftStreamGolden {
  private static final Map<String, String> SLUGS = new LinkedHashMap<>();
  private static final Map<String, String> NAMES = new LinkedHashMap<>();
  private static final Map<String, List<String>> FINALS =
      Map.of(
          "adwin", List.of("width", "total", "squared deviations"),
          "ddm", List.of("error rate", "best rate", "best spread"),
          "hddm-w", List.of("moving average", "squared weights"),
          "page-hinkley", List.of("sum up", "min up", "sum down", "max down"));

  static {
    for (String slug :
        List.of("page-hinkley", "cusum", "eddm", "ddm", "hddm-a", "hddm-w", "adwin")) {
      SLUGS.put(slug.replace('-', '_'), slug);
    }
    NAMES.put("two", "twoSided");
    NAMES.put("two_sided", "twoSided");
    NAMES.put("two_sided_test", "twoSided");
    NAMES.put("min_instances", "minInstances");
    NAMES.put("slack", "slack");
    NAMES.put("min_sd", "minSd");
    NAMES.put("lambda_val", "lambda");
    NAMES.put("drift_conf", "driftConfidence");
    NAMES.put("drift_confidence", "driftConfidence");
    NAMES.put("warn_conf", "warningConfidence");
    NAMES.put("warning_confidence", "warningConfidence");
    NAMES.put("warm_start", "warmStart");
    NAMES.put("warning", "warningThreshold");
    NAMES.put("warning_threshold", "warningThreshold");
    NAMES.put("drift", "driftThreshold");
    NAMES.put("drift_threshold", "driftThreshold");
    NAMES.put("max_buckets", "maxBuckets");
    NAMES.put("min_window", "minWindow");
    NAMES.put("min_window_length", "minWindow");
    NAMES.put("grace", "grace");
    NAMES.put("grace_period", "grace");
    NAMES.put("reset", "resetOnDrift");
    NAMES.put("reset_on_drift", "resetOnDrift");
  }

  private DriftStreamGolden() {}

  static void check(GoldenCase golden) {
    double[] stream = golden.values("stream");
    Set<String> runs = new LinkedHashSet<>();
    golden.outputs().forEach(name -> runs.add(name.substring(0, name.lastIndexOf('.'))));
    for (String run : runs) {
      check(golden, run, stream);
    }
  }

  private static void check(GoldenCase golden, String run, double[] stream) {
    DriftDetector detector = detector(golden, run);
    List<Double> drifts = new ArrayList<>();
    List<Double> warnings = new ArrayList<>();
    List<Double> trace = new ArrayList<>();
    for (int t = 0; t < stream.length; t++) {
      if (detector.update(stream[t]) == DriftLevel.DRIFT) {
        drifts.add((double) t);
      }
      if (detector.warning()) {
        warnings.add((double) t);
      }
      if (detector instanceof Adwin adwin && t % 32 == 31) {
        trace.addAll(List.of((double) t, (double) adwin.width(), adwin.mean(), adwin.variance()));
      }
    }
    expect(golden, run + ".drift", drifts);
    expect(golden, run + ".warning", warnings);
    expect(golden, run + ".trace", trace);
    if (golden.hasOutput(run + ".final")) {
      List<Double> end = new ArrayList<>();
      for (String name : Objects.requireNonNull(FINALS.get(detector.card().slug()), run)) {
        double value = Objects.requireNonNull(detector.statistics().get(name), name);
        boolean unset = detector.card().slug().equals("ddm") && Double.isInfinite(value);
        end.add(unset ? -1 : value);
      }
      expect(golden, run + ".final", end);
    }
  }

  private static void expect(GoldenCase golden, String name, List<Double> values) {
    if (golden.hasOutput(name)) {
      golden.expect(name, values.stream().mapToDouble(Double::doubleValue).toArray());
    }
  }

  /** The detector that a run is of: by the start of its name, with what its parameters change. */
  private static DriftDetector detector(GoldenCase golden, String run) {
    String kind =
        SLUGS.keySet().stream()
            .filter(name -> run.equals(name) || run.startsWith(name + "_"))
            .findFirst()
            .orElseThrow(
                () ->
                    new OutriggerException(
                        golden.file() + " has the run " + run + ", which this suite cannot run."));
    String variant = run.substring(kind.length());
    Map<String, Object> changes = new LinkedHashMap<>();
    if (variant.contains("noreset") || variant.contains("no_reset")) {
      changes.put("resetOnDrift", false);
    }
    if (variant.contains("two_sided")) {
      changes.put("twoSided", true);
    }
    if (kind.equals("cusum") && (variant.contains("moa") || variant.contains("running"))) {
      changes.putAll(Methods.values(Cusum.Settings.running()));
    }
    for (Map.Entry<String, JsonNode> entry : golden.params().path(run).properties()) {
      JsonNode value = entry.getValue();
      changes.put(
          NAMES.getOrDefault(entry.getKey(), entry.getKey()),
          value.isBoolean()
              ? (Object) value.asBoolean()
              : value.isIntegralNumber()
                  ? (Object) value.asInt()
                  : value.isNumber() ? (Object) value.asDouble() : value.asString());
    }
    return Methods.create(DriftDetector.class, Objects.requireNonNull(SLUGS.get(kind)), changes);
  }
}
