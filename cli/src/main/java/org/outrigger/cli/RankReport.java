package org.outrigger.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.method.Methods;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.report.ReportPage.Figure;
import org.outrigger.select.ModelRanking;
import org.outrigger.select.ModelRanking.Entry;
import org.outrigger.select.ModelRanking.Judgement;
import org.outrigger.select.ModelScore;

/** A ranking as a page. */
final class RankReport {
  /** Bars of a chart; more are in the table. */
  private static final int BARS = 25;

  private RankReport() {}

  static ReportPage of(
      RankTable table,
      ModelRanking ranking,
      Map<String, String> left,
      Map<String, Double> known,
      List<Judgement> judged) {
    List<Entry> sorted = ranking.sorted(table.by());
    List<String> columns = table.columns(ranking);
    ReportPage page =
        new ReportPage(
            "Which model?",
            sorted.size()
                + " candidates for "
                + table.data()
                + ", scored without training them; larger is better");
    page.figures(
        List.of(
            new Figure("first by " + table.by(), sorted.get(0).name(), first(ranking, columns)),
            new Figure("candidates", Integer.toString(sorted.size()), left.size() + " left out"),
            new Figure(
                "target set",
                Long.toString(table.rows()),
                "rows of " + table.classes() + " classes")));
    if (!judged.isEmpty()) {
      judged(page, known, judged);
    }
    page.section(
        "All scores",
        "Numbers of one score compare candidates on these rows; those of different scores, or of"
            + " other data, do not compare.");
    page.table("", header(columns, known), rows(sorted, columns, known));
    page.section("Pictures", "Candidates in the order of " + table.by() + ".");
    List<Chart> charts = new ArrayList<>();
    for (String score : columns) {
      Map<String, Double> bars = new LinkedHashMap<>();
      sorted.stream()
          .filter(entry -> !Double.isNaN(entry.score(score)))
          .limit(BARS)
          .forEach(entry -> bars.put(entry.name(), entry.score(score)));
      if (!bars.isEmpty()) {
        charts.add(Chart.bars(score, summary(score), score, bars));
      }
    }
    page.charts(charts.toArray(new Chart[0]));
    if (sorted.size() > 2 && columns.size() > 1) {
      agreement(page, table, ranking, columns);
    }
    List<String> reasons = RankTable.reasons(sorted, left);
    if (!reasons.isEmpty()) {
      page.section("Left out", "What could not be opened or scored, and why.");
      reasons.forEach(page::text);
    }
    return page;
  }

  private static String first(ModelRanking ranking, List<String> columns) {
    String winner = ranking.sorted(columns.get(0)).get(0).name();
    long agree =
        columns.stream()
            .filter(score -> ranking.sorted(score).get(0).name().equals(winner))
            .count();
    return "first by " + agree + " of " + columns.size() + " scores";
  }

  private static String summary(String score) {
    String slug = score.split("[: ]", 2)[0];
    String words =
        Methods.cards(ModelScore.class).stream()
            .filter(card -> card.slug().equals(slug))
            .map(card -> card.summary())
            .findFirst()
            .orElse("");
    return score.equals(ModelRanking.ONE_SCALE)
        ? words + " All features divided by one number, so that their scale does not count."
        : words;
  }

  private static void judged(ReportPage page, Map<String, Double> known, List<Judgement> judged) {
    page.section(
        "Which score to trust",
        "How well each score orders the "
            + known.size()
            + " models whose accuracy after fine-tuning is known. Rel@k is the best accuracy among"
            + " the first k over the best of all.");
    Map<String, Double> bars = new LinkedHashMap<>();
    judged.stream()
        .filter(each -> !Double.isNaN(each.weightedTau()))
        .forEach(each -> bars.put(each.score(), each.weightedTau()));
    if (!bars.isEmpty()) {
      page.charts(
          Chart.bars(
              "Agreement with accuracy",
              "1: the same order; 0: no relation; below 0: the wrong way round.",
              "weighted Kendall tau",
              bars));
    }
    page.table("", RankTable.judgementHeader(), judged.stream().map(RankTable::cells).toList());
  }

  private static List<String> header(List<String> columns, Map<String, Double> known) {
    List<String> header = new ArrayList<>(List.of("model", "features"));
    if (!known.isEmpty()) {
      header.add("accuracy");
    }
    header.addAll(columns);
    return header;
  }

  private static List<List<String>> rows(
      List<Entry> sorted, List<String> columns, Map<String, Double> known) {
    List<List<String>> rows = new ArrayList<>();
    for (Entry entry : sorted) {
      List<String> cells = new ArrayList<>();
      cells.add(entry.name());
      cells.add(entry.dimension() == 0 ? "-" : Long.toString(entry.dimension()));
      if (!known.isEmpty()) {
        cells.add(RankTable.number(known.getOrDefault(entry.name(), Double.NaN)));
      }
      columns.forEach(score -> cells.add(RankTable.number(entry.score(score))));
      rows.add(cells);
    }
    return rows;
  }

  private static void agreement(
      ReportPage page, RankTable table, ModelRanking ranking, List<String> columns) {
    page.section(
        "Do the scores agree?",
        "Where they do not, take more rows, or fine-tune the first of each. Figures: "
            + table.agreement().words()
            + ".");
    List<String> header = new ArrayList<>(List.of(""));
    header.addAll(columns);
    List<List<String>> rows = new ArrayList<>();
    for (String one : columns) {
      List<String> cells = new ArrayList<>(List.of(one));
      for (String other : columns) {
        cells.add(
            other.equals(one)
                ? ""
                : RankTable.tau(ranking.agreement(one, other, table.agreement().figure())));
      }
      rows.add(cells);
    }
    page.table("", header, rows);
  }
}
