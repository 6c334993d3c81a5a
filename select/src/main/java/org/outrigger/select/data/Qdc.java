package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.data.QdcData.Column;
import org.outrigger.select.data.QdcReport.Family;
import org.outrigger.select.data.QdcReport.Measure;

/**
 * QDC: what a data set is good for, in three families of numbers: quality for generalisation to
 * data like it, diversity for data unlike it, complexity for both; and a choice of samples that has
 * all three in view. The survey has no method of its own; the measures are the usual definitions.
 * Havrilla et al., 2024.
 *
 * <p>High diversity can be noise: a report shows quality beside it. The Vendi score and the mean
 * pairwise distance are ruled by the large directions, which near-duplicates barely move; the
 * distance to the nearest neighbour and the coverage of a reference tell them.
 */
@Card(
    slug = "qdc",
    name = "QDC",
    summary =
        "Measures quality, diversity and complexity of a data set, and chooses with all three.",
    paper =
        "Havrilla et al., Surveying the Effects of Quality, Diversity, and Complexity in Synthetic"
            + " Data From Large Language Models, 2024",
    year = 2024,
    room = Room.SELECT,
    needs = {})
public final class Qdc implements Method {
  /** Names of measures that others refer to. */
  public static final String QUALITY = "quality mean";

  public static final String NEAREST = "nearest cosine distance";
  public static final String COVERAGE = "reference coverage";
  public static final String RECALL = "reference recall";
  public static final String LENGTH = "mean length";

  /**
   * @param passQuality the quality that passes, in [0, 1]
   * @param passK k of pass@k
   * @param folds of the estimate of label noise
   * @param bleuOrder the longest N-grams of self-BLEU
   * @param bleuSample the most samples that self-BLEU compares
   * @param distinctOrders N of distinct-N
   * @param vendiOrder q of the Vendi score that is shown beside 0.5, 1, 2 and infinity
   * @param k neighbours for precision, recall, density and coverage
   * @param gridRows cells of the archive along the first coordinate of the embeddings
   * @param gridColumns cells along the second
   * @param gridLow where the grid begins
   * @param gridHigh where it ends
   * @param tau the cosine distance that the filter demands
   * @param a the power of quality in {@code q^a c^b}
   * @param b the power of complexity
   * @param lq the weight of quality in the greedy balance
   * @param lc the weight of complexity
   * @param ld the weight of distance
   * @param seed of subsamples and folds
   */
  public record Settings(
      double passQuality,
      int passK,
      int folds,
      int bleuOrder,
      int bleuSample,
      List<Integer> distinctOrders,
      double vendiOrder,
      int k,
      int gridRows,
      int gridColumns,
      double gridLow,
      double gridHigh,
      double tau,
      double a,
      double b,
      double lq,
      double lc,
      double ld,
      long seed) {
    public Settings {
      HyperParameter.between("passQuality", passQuality, 0, 1);
      HyperParameter.atLeast("passK", passK, 1);
      HyperParameter.atLeast("folds", folds, 2);
      HyperParameter.atLeast("bleuOrder", bleuOrder, 1);
      HyperParameter.atLeast("bleuSample", bleuSample, 2);
      distinctOrders = List.copyOf(distinctOrders);
      distinctOrders.forEach(order -> HyperParameter.atLeast("distinctOrders", order, 1));
      HyperParameter.notNegative("vendiOrder", vendiOrder);
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.atLeast("gridRows", gridRows, 1);
      HyperParameter.atLeast("gridColumns", gridColumns, 1);
      HyperParameter.require(
          gridHigh > gridLow, "gridHigh", gridHigh, "above gridLow = " + gridLow);
      HyperParameter.between("tau", tau, 0, 2);
      HyperParameter.notNegative("a", a);
      HyperParameter.notNegative("b", b);
      HyperParameter.notNegative("lq", lq);
      HyperParameter.notNegative("lc", lc);
      HyperParameter.notNegative("ld", ld);
    }

    public static Settings defaults() {
      return new Settings(
          0.5, 1, 5, 4, 500, List.of(1, 2, 3), 1, 3, 5, 5, -2, 2, 0.1, 1, 1, 1, 1, 1, 0);
    }
  }

  private final Settings settings;

  public Qdc() {
    this(Settings.defaults());
  }

  public Qdc(Settings settings) {
    this.settings = settings;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /** Measures all that what is known of a set allows. */
  public QdcReport measure(QdcData data) {
    return Scopes.scoped(
        () -> {
          Measured measured = new Measured(data.size());
          quality(data, measured);
          lexical(data, measured);
          embedded(data, measured);
          attributes(data, measured);
          complexity(data, measured);
          return new QdcReport(data.name(), data.size(), data.embedding(), measured.all);
        });
  }

  /**
   * Measures several sets so that the figures can be compared: each on a random subsample of the
   * size of the smallest.
   *
   * @throws OutriggerException if their embeddings come from different sources
   */
  public List<QdcReport> compare(List<QdcData> sets) {
    if (sets.isEmpty()) {
      throw new OutriggerException("There are no sets to compare.");
    }
    int n = sets.stream().mapToInt(QdcData::size).min().orElseThrow();
    List<QdcReport> reports = new ArrayList<>();
    for (QdcData set : sets) {
      QdcReport report = set.withSubsample(n, Rng.derive(settings.seed, "compare"), this::measure);
      if (!reports.isEmpty()) {
        report.comparable(reports.get(0));
      }
      reports.add(report);
    }
    return reports;
  }

  /** {@link DataChoice#scoreThenFilter} with these settings. */
  public int[] scoreThenFilter(Tensor quality, Tensor complexity, Tensor embeddings, int budget) {
    return DataChoice.scoreThenFilter(
        quality, complexity, embeddings, budget, settings.tau, settings.a, settings.b);
  }

  /** {@link DataChoice#greedyBalance} with these settings. */
  public int[] greedyBalance(Tensor quality, Tensor complexity, Tensor embeddings, int budget) {
    return DataChoice.greedyBalance(
        quality, complexity, embeddings, budget, settings.lq, settings.lc, settings.ld);
  }

  /** Collects measures. */
  private static final class Measured {
    final List<Measure> all = new ArrayList<>();
    private final int n;

    Measured(int n) {
      this.n = n;
    }

    void add(Family family, String name, double value, String how, boolean larger) {
      all.add(new Measure(family, name, value, how, n, larger, false));
    }

    void embedded(String name, double value, String how) {
      all.add(new Measure(Family.DIVERSITY, name, value, how, n, true, true));
    }

    void sampled(String name, double value, String how, int most) {
      all.add(new Measure(Family.DIVERSITY, name, value, how, Math.min(n, most), false, false));
    }
  }

  private void quality(QdcData data, Measured to) {
    Tensor quality = data.column(Column.QUALITY);
    if (quality != null) {
      to.add(Family.QUALITY, QUALITY, QualityMeasures.mean(quality), "", true);
      to.add(
          Family.QUALITY,
          "quality pass rate",
          QualityMeasures.passRate(quality, settings.passQuality),
          "quality of " + number(settings.passQuality) + " or more",
          true);
    }
    Tensor solved = data.column(Column.SOLVED);
    if (solved != null) {
      to.add(
          Family.QUALITY,
          "pass@" + settings.passK,
          QualityMeasures.passAtK(solved, data.attempts(), settings.passK).mean().item_double(),
          data.attempts() + " attempts",
          true);
    }
    Tensor labels = data.column(Column.LABELS);
    Tensor verified = data.column(Column.VERIFIED);
    if (labels != null && verified != null) {
      to.add(
          Family.QUALITY,
          "agreement with verifier",
          QualityMeasures.agreement(labels, verified),
          "",
          true);
    }
    Tensor embeddings = data.column(Column.EMBEDDINGS);
    if (labels != null && embeddings != null && AttributeMeasures.distinct(labels) > 1) {
      to.add(
          Family.QUALITY,
          "label noise",
          LabelAgreement.noise(
              embeddings, labels, Math.min(settings.folds, data.size()), settings.seed),
          settings.folds + " folds, contradicted above 0.9",
          false);
    }
  }

  private void lexical(QdcData data, Measured to) {
    int[][] tokens = tokens(data);
    if (tokens != null) {
      for (int order : settings.distinctOrders) {
        to.add(
            Family.DIVERSITY, "distinct-" + order, TextMeasures.distinct(tokens, order), "", true);
      }
      if (data.size() > 1) {
        to.sampled(
            "self-BLEU-" + settings.bleuOrder,
            SelfBleu.of(tokens, settings.bleuOrder, settings.bleuSample, settings.seed),
            "at most " + settings.bleuSample + " samples",
            settings.bleuSample);
      }
    }
    List<String> texts = data.texts();
    if (texts != null) {
      to.add(
          Family.DIVERSITY,
          "compression ratio",
          TextMeasures.compressionRatio(texts),
          "deflate level 9",
          true);
    }
  }

  private static int @Nullable [][] tokens(QdcData data) {
    int[][] tokens = data.tokens();
    List<String> texts = data.texts();
    return tokens != null || texts == null ? tokens : TextMeasures.tokens(texts);
  }

  private void embedded(QdcData data, Measured to) {
    Tensor embeddings = data.column(Column.EMBEDDINGS);
    if (embeddings == null) {
      return;
    }
    to.embedded(NEAREST, EmbeddingDiversity.meanNearest(embeddings), "");
    to.embedded("pairwise cosine distance", EmbeddingDiversity.meanPairwise(embeddings), "");
    Tensor spectrum = Vendi.spectrum(embeddings);
    List<Double> orders = new ArrayList<>(List.of(0.5, 1.0, 2.0, Double.POSITIVE_INFINITY));
    if (!orders.contains(settings.vendiOrder)) {
      orders.add(settings.vendiOrder);
    }
    for (double order : orders) {
      to.embedded(
          "Vendi, order " + (Double.isInfinite(order) ? "inf" : number(order)),
          Vendi.score(spectrum, order),
          "cosine");
    }
    to.embedded("effective rank", EmbeddingDiversity.effectiveRank(embeddings), "centred");
    Tensor reference = data.reference();
    if (reference != null) {
      ReferenceCoverage found = ReferenceCoverage.of(embeddings, reference, settings.k);
      String how = "k = " + settings.k + ", " + reference.size(0) + " reference samples";
      to.embedded(COVERAGE, found.coverage(), how);
      to.embedded(RECALL, found.recall(), how);
      to.all.add(
          new Measure(
              Family.QUALITY,
              "reference precision",
              found.precision(),
              how,
              data.size(),
              true,
              true));
      to.all.add(
          new Measure(
              Family.QUALITY, "reference density", found.density(), how, data.size(), true, true));
    }
    Tensor quality = data.column(Column.QUALITY);
    if (quality != null && embeddings.size(1) >= 2) {
      AttributeMeasures.Archive archive =
          AttributeMeasures.archive(
              embeddings.narrow(1, 0, 2),
              quality,
              settings.gridRows,
              settings.gridColumns,
              settings.gridLow,
              settings.gridHigh);
      String how =
          settings.gridRows
              + " x "
              + settings.gridColumns
              + " cells on ["
              + number(settings.gridLow)
              + ", "
              + number(settings.gridHigh)
              + "]";
      to.embedded("archive coverage", archive.coverage(), how);
      to.embedded("QD-score", archive.qdScore(), how);
    }
  }

  private static void attributes(QdcData data, Measured to) {
    data.attributes()
        .forEach(
            (name, values) -> {
              to.add(
                  Family.DIVERSITY,
                  name + " entropy",
                  AttributeMeasures.entropy(values),
                  "nats",
                  true);
              to.add(
                  Family.DIVERSITY,
                  name + " Gini-Simpson",
                  AttributeMeasures.giniSimpson(values),
                  "",
                  true);
              to.add(
                  Family.DIVERSITY, name + " values", AttributeMeasures.distinct(values), "", true);
            });
    var tags = data.tags();
    if (tags != null) {
      to.add(
          Family.DIVERSITY,
          "tag coverage",
          AttributeMeasures.tagCoverage(tags, data.knownTags()),
          data.knownTags().size() + " tags",
          true);
      to.add(Family.COMPLEXITY, "tags a sample", ComplexityMeasures.tagsPerSample(tags), "", true);
    }
  }

  private void complexity(QdcData data, Measured to) {
    int[][] tokens = tokens(data);
    if (tokens != null) {
      to.add(Family.COMPLEXITY, LENGTH, TextMeasures.meanLength(tokens), "tokens", true);
    }
    List<String> texts = data.texts();
    if (texts != null) {
      to.add(
          Family.COMPLEXITY,
          "bits a character",
          TextMeasures.bitsPerCharacter(texts),
          "deflate level 9",
          true);
    }
    Tensor solved = data.column(Column.SOLVED);
    if (solved != null) {
      to.add(
          Family.COMPLEXITY,
          "difficulty",
          ComplexityMeasures.difficulty(solved, data.attempts()).mean().item_double(),
          data.attempts() + " attempts",
          true);
    }
    Tensor losses = data.column(Column.TOKEN_LOSS);
    if (losses != null) {
      to.add(Family.COMPLEXITY, "perplexity", ComplexityMeasures.perplexity(losses), "", true);
    }
    Tensor with = data.column(Column.LOSS_WITH);
    Tensor without = data.column(Column.LOSS_WITHOUT);
    if (with != null && without != null) {
      Tensor ifd = ComplexityMeasures.instructionFollowingDifficulty(with, without);
      Tensor useful = ifd.masked_select(ifd.lt(new Scalar(1.0)));
      to.add(
          Family.COMPLEXITY,
          "IFD",
          useful.numel() == 0 ? 1 : useful.mean().item_double(),
          useful.numel() + " samples below 1",
          true);
    }
    data.complexities()
        .forEach(
            (name, values) ->
                to.add(
                    Family.COMPLEXITY,
                    name,
                    values.to(ScalarType.Double).mean().item_double(),
                    "mean",
                    true));
  }

  private static String number(double value) {
    return value == Math.rint(value)
        ? Long.toString((long) value)
        : String.format(Locale.ROOT, "%s", value);
  }
}
