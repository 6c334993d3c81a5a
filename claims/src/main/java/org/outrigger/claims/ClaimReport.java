package org.outrigger.claims;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.outrigger.core.OutriggerException;
import tools.jackson.databind.JsonNode;

/**
 * What one claim came to.
 *
 * @param started when, in UTC
 * @param provenance versions, platform and threads by name
 */
public record ClaimReport(
    Claim claim,
    Scale scale,
    Measurements measured,
    Claim.Finding finding,
    String started,
    Map<String, String> provenance) {
  /**
   * The figures as a table.
   *
   * @param header column names
   * @param rows one a figure: each seed, then mean and deviation
   */
  public record Table(List<String> header, List<List<String>> rows) {}

  public boolean holds() {
    return finding.holds();
  }

  /** One word, and whether it can be relied on. */
  public String outcome() {
    return (holds() ? "holds" : "does not hold")
        + (scale == Scale.SMOKE ? " (smoke run: says nothing about the claim)" : "");
  }

  /** Over all seeds. */
  public Duration time() {
    return measured.runs().stream()
        .map(Measurements.Run::time)
        .reduce(Duration.ZERO, Duration::plus);
  }

  /** The figures, one row each, with a last row of times. */
  public Table table() {
    List<String> header = new ArrayList<>(List.of("figure"));
    measured.runs().forEach(run -> header.add("seed " + run.seed()));
    header.add("mean ± std");
    List<List<String>> rows = new ArrayList<>();
    for (String figure : measured.names()) {
      List<String> row = new ArrayList<>(List.of(figure));
      for (Measurements.Run run : measured.runs()) {
        row.add(Measurements.number(run.figures().getOrDefault(figure, Double.NaN)));
      }
      row.add(measured.summary(figure));
      rows.add(row);
    }
    List<String> times = new ArrayList<>(List.of("time"));
    measured.runs().forEach(run -> times.add(seconds(run.time())));
    times.add(seconds(time()) + " in all");
    rows.add(times);
    return new Table(header, rows);
  }

  /** As JSON-able values. */
  public Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("slug", claim.slug());
    map.put("room", claim.room());
    map.put("title", claim.title());
    map.put("promise", claim.promise());
    map.put("paper", claim.paper());
    map.put("protocol", claim.protocol());
    map.put("baselines", claim.baselines());
    map.put("statement", claim.statement().stream().map(Inequality::text).toList());
    map.put("scale", scale);
    map.put("holds", holds());
    map.put("finding", finding.words());
    map.put("tried", claim.tried());
    List<Object> runs = new ArrayList<>();
    for (Measurements.Run run : measured.runs()) {
      runs.add(
          Map.of(
              "seed", run.seed(),
              "figures", run.figures(),
              "seconds", run.time().toMillis() / 1000.0));
    }
    map.put("runs", runs);
    map.put("order", measured.names());
    Map<String, Object> means = new LinkedHashMap<>();
    for (String figure : measured.names()) {
      means.put(figure, Map.of("mean", measured.mean(figure), "std", measured.deviation(figure)));
    }
    map.put("figures", means);
    map.put("started", started);
    map.put("provenance", provenance);
    return map;
  }

  /**
   * Reads what {@link #toMap} wrote. The claim is the one of that name now, so that its statement
   * is evaluated anew.
   *
   * @throws OutriggerException if there is no such claim, or figures are missing
   */
  public static ClaimReport of(JsonNode saved) {
    Claim claim = ClaimRegistry.named(saved.path("slug").asString(""));
    List<Measurements.Run> runs = new ArrayList<>();
    for (JsonNode run : saved.path("runs")) {
      Map<String, Double> figures = new LinkedHashMap<>();
      for (JsonNode name : saved.path("order")) {
        JsonNode figure = run.path("figures").path(name.asString());
        if (!figure.isNumber()) {
          throw new OutriggerException(
              "The saved run of " + claim.slug() + " lacks the figure " + name + ": run it again.");
        }
        figures.put(name.asString(), figure.asDouble());
      }
      Duration time = Duration.ofMillis(Math.round(run.path("seconds").asDouble(0) * 1000));
      runs.add(new Measurements.Run(run.path("seed").asLong(0), figures, time));
    }
    Measurements measured = new Measurements(runs);
    Map<String, String> provenance = new TreeMap<>();
    saved
        .path("provenance")
        .properties()
        .forEach(entry -> provenance.put(entry.getKey(), entry.getValue().asString("")));
    return new ClaimReport(
        claim,
        saved.path("scale").asString("").equals(Scale.FULL.name()) ? Scale.FULL : Scale.SMOKE,
        measured,
        claim.holds(measured),
        saved.path("started").asString(""),
        provenance);
  }

  private static String seconds(Duration time) {
    return String.format(Locale.ROOT, "%.1f s", time.toMillis() / 1000.0);
  }
}
