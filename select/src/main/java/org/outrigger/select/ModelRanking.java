package org.outrigger.select;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.metric.RankCorrelation;

/**
 * Several scores of several candidates on one target set: who ranks where, how far the scores agree
 * with each other, and with accuracies where these are known. Candidates are added one after the
 * other, and none of their tensors is kept.
 */
public final class ModelRanking {
  /** The extra column of a ranking with all scores: TMI without the scale of the features. */
  public static final String ONE_SCALE = "tmi (one scale)";

  /**
   * One candidate.
   *
   * @param name what it is called
   * @param dimension the number of its features D; 0 if it has none
   * @param scores by the scores' names, as far as they could be computed
   * @param left why others could not, by name
   */
  public record Entry(
      String name, long dimension, Map<String, Double> scores, Map<String, String> left) {
    /** A score; NaN if it could not be computed. */
    public double score(String score) {
      return scores.getOrDefault(score, Double.NaN);
    }
  }

  /**
   * How well a score predicts accuracies.
   *
   * @param score its name
   * @param candidates how many have both
   * @param weightedTau see {@link RankCorrelation#weightedKendall}
   * @param kendall tau-b
   * @param spearman correlation of ranks
   * @param pearson correlation
   * @param rel1 the accuracy of the first over the best
   * @param rel3 the best accuracy among the first three over the best
   */
  public record Judgement(
      String score,
      int candidates,
      double weightedTau,
      double kendall,
      double spearman,
      double pearson,
      double rel1,
      double rel3) {}

  private final Map<String, ModelScore> scores;
  private final List<Entry> entries = new ArrayList<>();
  private final Map<String, Map<String, ClassNeighbours>> relative = new LinkedHashMap<>();

  /**
   * @param scores by the names of their columns, at least one
   */
  public ModelRanking(Map<String, ModelScore> scores) {
    if (scores.isEmpty()) {
      throw new OutriggerException("A ranking needs at least one score: name one.");
    }
    this.scores = new LinkedHashMap<>(scores);
  }

  /** Every score with its usual settings, and TMI of features that are put on one scale. */
  public static Map<String, ModelScore> all() {
    Map<String, ModelScore> all = new LinkedHashMap<>();
    Methods.cards(ModelScore.class)
        .forEach(
            card -> all.put(card.slug(), Methods.create(ModelScore.class, card.slug(), Map.of())));
    all.put(ONE_SCALE, new Tmi(Tmi.Settings.defaults().withStandardise(true).withMinDist(1e-3)));
    return all;
  }

  /** Scores under the names that {@link #name} gives them. */
  public static Map<String, ModelScore> named(List<ModelScore> scores) {
    Map<String, ModelScore> named = new LinkedHashMap<>();
    for (ModelScore score : scores) {
      if (named.put(name(score), score) != null) {
        throw new OutriggerException("The score " + name(score) + " is named twice.");
      }
    }
    return named;
  }

  /** Its slug, with the settings that differ from the usual ones. */
  public static String name(ModelScore score) {
    String slug = score.card().slug();
    Map<String, Object> usual = Methods.defaults(slug);
    return slug
        + Methods.values(score.settings()).entrySet().stream()
            .filter(each -> !each.getValue().equals(usual.get(each.getKey())))
            .map(each -> ":" + each.getKey() + "=" + each.getValue())
            .collect(Collectors.joining());
  }

  /** The names of the scores, in order. */
  public List<String> scores() {
    return List.copyOf(scores.keySet());
  }

  /**
   * Scores one more candidate. A score that is not defined for it is left out with the reason.
   *
   * @param progress told the name of each score before it is computed
   */
  public void add(String name, Candidate candidate, Consumer<String> progress) {
    Map<String, Double> values = new LinkedHashMap<>();
    Map<String, String> left = new LinkedHashMap<>();
    scores.forEach(
        (column, score) -> {
          progress.accept(column);
          try {
            if (score instanceof Tmi tmi && tmi.settings().relative() > 0) {
              relative
                  .computeIfAbsent(column, c -> new LinkedHashMap<>())
                  .put(
                      name,
                      Tmi.neighbours(
                          candidate.requireFeatures(tmi), candidate.labels(), tmi.settings()));
            } else {
              put(column, score.score(candidate), values, left);
            }
          } catch (OutriggerException e) {
            left.put(column, e.firstLine());
          }
        });
    long dimension = candidate.features() == null ? 0 : candidate.features().size(1);
    entries.add(new Entry(name, dimension, values, left));
  }

  private static void put(
      String column, double value, Map<String, Double> values, Map<String, String> left) {
    if (Double.isFinite(value)) {
      values.put(column, value);
    } else {
      left.put(column, "The score is " + value + ".");
    }
  }

  /** Floors relative to all candidates are known once all were added. */
  private void finish() {
    relative.forEach(
        (column, neighbours) -> {
          if (!(scores.get(column) instanceof Tmi tmi)) {
            return;
          }
          try {
            double floor = Tmi.floor(List.copyOf(neighbours.values()), tmi.settings());
            for (Entry entry : entries) {
              ClassNeighbours own = neighbours.get(entry.name);
              if (own != null) {
                finish(entry, column, () -> Tmi.result(own, tmi.settings(), floor).score());
              }
            }
          } catch (OutriggerException e) {
            entries.forEach(entry -> entry.left.putIfAbsent(column, e.firstLine()));
          }
        });
  }

  private static void finish(Entry entry, String column, DoubleSupplier score) {
    try {
      put(column, score.getAsDouble(), entry.scores, entry.left);
    } catch (OutriggerException e) {
      entry.left.put(column, e.firstLine());
    }
  }

  /**
   * All candidates, best first.
   *
   * @param by the name of the score to sort by; those without it come last
   */
  public List<Entry> sorted(String by) {
    if (!scores.containsKey(by)) {
      throw new OutriggerException(
          "The ranking has no score '" + by + "'. It has: " + String.join(", ", scores()) + ".");
    }
    finish();
    List<Entry> sorted = new ArrayList<>(entries);
    sorted.sort(
        (a, b) -> {
          boolean none = Double.isNaN(a.score(by));
          boolean other = Double.isNaN(b.score(by));
          return none || other
              ? Boolean.compare(none, other)
              : Double.compare(b.score(by), a.score(by));
        });
    return Collections.unmodifiableList(sorted);
  }

  /**
   * How far two scores order the candidates alike; NaN where fewer than three candidates have both,
   * or one of them is constant.
   */
  public double agreement(
      String one, String other, BiFunction<double[], double[], Double> correlation) {
    finish();
    return correlate(e -> e.score(one), e -> e.score(other), 3, correlation);
  }

  private double correlate(
      ToDoubleFunction<Entry> x,
      ToDoubleFunction<Entry> y,
      int least,
      BiFunction<double[], double[], Double> correlation) {
    List<Entry> both = both(x, y);
    return both.size() < least
        ? Double.NaN
        : correlation.apply(
            both.stream().mapToDouble(x).toArray(), both.stream().mapToDouble(y).toArray());
  }

  private List<Entry> both(ToDoubleFunction<Entry> x, ToDoubleFunction<Entry> y) {
    return entries.stream()
        .filter(e -> !Double.isNaN(x.applyAsDouble(e)) && !Double.isNaN(y.applyAsDouble(e)))
        .toList();
  }

  /**
   * How well each score predicts accuracies, best first.
   *
   * @param accuracies by candidate, above 0; those without are left out
   */
  public List<Judgement> judge(Map<String, Double> accuracies) {
    finish();
    List<Judgement> all = new ArrayList<>();
    for (String score : scores()) {
      Judgement judgement = judge(score, accuracies);
      if (judgement != null) {
        all.add(judgement);
      }
    }
    if (all.isEmpty()) {
      throw new OutriggerException(
          "Scores can be judged where at least 2 candidates have an accuracy, but of "
              + String.join(", ", entries.stream().map(Entry::name).toList())
              + " only these have: "
              + entries.stream().map(Entry::name).filter(accuracies::containsKey).toList()
              + ".");
    }
    // A score that cannot tell candidates apart has no tau; it goes to the end.
    all.sort(
        (a, b) ->
            Double.compare(
                Double.isNaN(b.weightedTau) ? -2 : b.weightedTau,
                Double.isNaN(a.weightedTau) ? -2 : a.weightedTau));
    return all;
  }

  private @Nullable Judgement judge(String score, Map<String, Double> accuracies) {
    ToDoubleFunction<Entry> x = e -> e.score(score);
    ToDoubleFunction<Entry> y = e -> accuracies.getOrDefault(e.name, Double.NaN);
    int candidates = both(x, y).size();
    return candidates < 2
        ? null
        : new Judgement(
            score,
            candidates,
            correlate(x, y, 2, RankCorrelation::weightedKendall),
            correlate(x, y, 2, RankCorrelation::kendall),
            correlate(x, y, 2, RankCorrelation::spearman),
            correlate(x, y, 2, RankCorrelation::pearson),
            correlate(x, y, 2, (a, b) -> RankCorrelation.relAtK(a, b, 1)),
            correlate(x, y, 2, (a, b) -> RankCorrelation.relAtK(a, b, 3)));
  }
}
