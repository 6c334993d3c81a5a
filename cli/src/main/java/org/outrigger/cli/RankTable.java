package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.metric.RankCorrelation;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.select.ModelRanking;
import org.outrigger.select.ModelRanking.Entry;
import org.outrigger.select.ModelRanking.Judgement;

/**
 * A ranking as tables.
 *
 * @param data the name of the target set
 * @param rows how many it has
 * @param classes how many classes these are of
 * @param by the score that is sorted by
 * @param agreement how scores are compared
 */
record RankTable(String data, long rows, int classes, String by, Agreement agreement) {
  /** Columns of scores that stand side by side on a console. */
  private static final int COLUMNS = 6;

  /** Reasons that are shown in full. */
  private static final int REASONS = 12;

  /** How two scores are compared. */
  enum Agreement {
    WEIGHTED("weighted Kendall tau", RankCorrelation::weightedKendall),
    KENDALL("Kendall tau-b", RankCorrelation::kendall),
    SPEARMAN("Spearman correlation", RankCorrelation::spearman);

    private final String words;

    @SuppressWarnings("ImmutableEnumChecker")
    private final BiFunction<double[], double[], Double> figure;

    Agreement(String words, BiFunction<double[], double[], Double> figure) {
      this.words = words;
      this.figure = figure;
    }

    String words() {
      return words;
    }

    BiFunction<double[], double[], Double> figure() {
      return figure;
    }
  }

  /** A score as it is shown: four significant digits or so. */
  static String number(double value) {
    return Double.isNaN(value)
        ? "-"
        : String.format(Locale.ROOT, Math.abs(value) < 100 ? "%.4f" : "%.2f", value);
  }

  /** A correlation. */
  static String tau(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%+.2f", value);
  }

  /** The scores, the one that is sorted by first. */
  List<String> columns(ModelRanking ranking) {
    List<String> columns = new ArrayList<>(ranking.scores());
    columns.remove(by);
    columns.add(0, by);
    return columns;
  }

  void print(
      PrintWriter out,
      ModelRanking ranking,
      Map<String, String> left,
      Map<String, Double> known,
      List<Judgement> judged) {
    List<Entry> sorted = ranking.sorted(by);
    out.println(
        sorted.size()
            + (sorted.size() == 1 ? " candidate" : " candidates")
            + " for "
            + data
            + " ("
            + rows
            + " rows, "
            + classes
            + " classes), by "
            + by
            + "; larger is better.");
    List<String> columns = columns(ranking);
    for (int from = 0; from < columns.size(); from += COLUMNS) {
      out.println();
      List<String> part = columns.subList(from, Math.min(columns.size(), from + COLUMNS));
      scores(sorted, part, from == 0, known).print(out);
    }
    if (sorted.size() > 2 && columns.size() > 1) {
      out.println();
      out.println("How far the scores agree (" + agreement.words + "):");
      agreements(ranking).print(out);
    }
    if (!judged.isEmpty()) {
      out.println();
      out.println("How well the scores predict the accuracies:");
      TextTable table = new TextTable(judgementHeader().toArray(new String[0]));
      judged.forEach(each -> table.row(cells(each)));
      table.print(out);
    }
    reasons(out, sorted, left);
  }

  private static TextTable scores(
      List<Entry> sorted, List<String> part, boolean first, Map<String, Double> known) {
    boolean accuracy = first && !known.isEmpty();
    List<String> header = new ArrayList<>(List.of("model"));
    if (first) {
      header.add("features");
    }
    if (accuracy) {
      header.add("accuracy");
    }
    header.addAll(part);
    TextTable table = new TextTable(header.toArray(new String[0]));
    for (Entry entry : sorted) {
      List<String> cells = new ArrayList<>(List.of(entry.name()));
      if (first) {
        cells.add(entry.dimension() == 0 ? "-" : Long.toString(entry.dimension()));
      }
      if (accuracy) {
        cells.add(number(known.getOrDefault(entry.name(), Double.NaN)));
      }
      part.forEach(score -> cells.add(number(entry.score(score))));
      table.row(cells);
    }
    return table;
  }

  private TextTable agreements(ModelRanking ranking) {
    List<String> columns = columns(ranking);
    List<String> header = new ArrayList<>(List.of(""));
    IntStream.rangeClosed(1, columns.size()).forEach(i -> header.add(Integer.toString(i)));
    TextTable table = new TextTable(header.toArray(new String[0]));
    for (int i = 0; i < columns.size(); i++) {
      List<String> cells = new ArrayList<>(List.of(i + 1 + " " + columns.get(i)));
      for (String other : columns) {
        cells.add(
            other.equals(columns.get(i))
                ? ""
                : tau(ranking.agreement(columns.get(i), other, agreement.figure)));
      }
      table.row(cells);
    }
    return table;
  }

  static List<String> judgementHeader() {
    return List.of(
        "score", "models", "weighted tau", "Kendall", "Spearman", "Pearson", "Rel@1", "Rel@3");
  }

  static List<String> cells(Judgement each) {
    return List.of(
        each.score(),
        Integer.toString(each.candidates()),
        tau(each.weightedTau()),
        tau(each.kendall()),
        tau(each.spearman()),
        tau(each.pearson()),
        ReportPage.number(each.rel1()),
        ReportPage.number(each.rel3()));
  }

  /** Why models and scores are missing: by model, then by score, the same reason once. */
  static List<String> reasons(List<Entry> entries, Map<String, String> left) {
    List<String> lines = new ArrayList<>();
    left.forEach((model, reason) -> lines.add(model + ": " + reason));
    Map<String, List<String>> scores = new LinkedHashMap<>();
    for (Entry entry : entries) {
      entry
          .left()
          .forEach(
              (score, reason) ->
                  scores
                      .computeIfAbsent(score + ": " + reason, r -> new ArrayList<>())
                      .add(entry.name()));
    }
    scores.forEach(
        (reason, models) ->
            lines.add(
                (models.size() == entries.size() && models.size() > 1
                        ? "all models"
                        : models.stream().limit(3).collect(Collectors.joining(", "))
                            + (models.size() > 3 ? " and " + (models.size() - 3) + " more" : ""))
                    + ", "
                    + reason));
    return lines;
  }

  private static void reasons(PrintWriter out, List<Entry> entries, Map<String, String> left) {
    List<String> lines = reasons(entries, left);
    if (lines.isEmpty()) {
      return;
    }
    out.println();
    out.println("Left out:");
    lines.stream().limit(REASONS).forEach(line -> out.println("  " + line));
    if (lines.size() > REASONS) {
      out.println("  and " + (lines.size() - REASONS) + " more, which --json shows");
    }
  }

  Map<String, Object> toJson(
      ModelRanking ranking,
      Map<String, String> left,
      Map<String, Double> known,
      List<Judgement> judged) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("data", data);
    all.put("rows", rows);
    all.put("classes", classes);
    all.put("by", by);
    List<Object> candidates = new ArrayList<>();
    for (Entry entry : ranking.sorted(by)) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", entry.name());
      one.put("features", entry.dimension());
      one.put("scores", entry.scores());
      one.put("left", entry.left());
      Double accuracy = known.get(entry.name());
      if (accuracy != null) {
        one.put("accuracy", accuracy);
      }
      candidates.add(one);
    }
    all.put("candidates", candidates);
    all.put("left", left);
    Map<String, Object> matrix = new LinkedHashMap<>();
    for (String one : ranking.scores()) {
      Map<String, @Nullable Double> row = new LinkedHashMap<>();
      for (String other : ranking.scores()) {
        if (!other.equals(one)) {
          double tau = ranking.agreement(one, other, agreement.figure);
          row.put(other, Double.isNaN(tau) ? null : tau);
        }
      }
      matrix.put(one, row);
    }
    all.put("agreement", Map.of("measure", agreement.words, "scores", matrix));
    if (!judged.isEmpty()) {
      all.put("judged", judged);
    }
    return all;
  }
}
