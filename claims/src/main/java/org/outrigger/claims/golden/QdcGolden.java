package org.outrigger.claims.golden;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.data.AttributeMeasures;
import org.outrigger.select.data.ComplexityMeasures;
import org.outrigger.select.data.DataChoice;
import org.outrigger.select.data.EmbeddingDiversity;
import org.outrigger.select.data.QualityMeasures;
import org.outrigger.select.data.ReferenceCoverage;
import org.outrigger.select.data.SelfBleu;
import org.outrigger.select.data.TextMeasures;
import org.outrigger.select.data.Vendi;

/** Golden cases of QDC: every measure, and the order of the score-then-filter choice. */
public final class QdcGolden implements GoldenSuite {
  private static final String VENDI = "vendi_";
  private static final String PASS = "pass_at_";
  private static final String DISTINCT = "distinct_";
  private static final String BLEU = "self_bleu_";

  @Override
  public String slug() {
    return "qdc";
  }

  @Override
  public void check(GoldenCase golden) {
    if (List.of("embeddings", "tokens", "quality", "attribute", "solved_of_10").stream()
        .noneMatch(golden::hasInput)) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
    for (String output : golden.outputs()) {
      double value = named(golden, output);
      if (!Double.isNaN(value)) {
        golden.expect(output, value);
      }
    }
    if (golden.hasInput("solved_of_10")) {
      golden.outputs().stream()
          .filter(output -> output.startsWith(PASS))
          .forEach(
              output ->
                  golden.expect(
                      output,
                      QualityMeasures.passAtK(
                          golden.input("solved_of_10"),
                          (int) golden.param("attempts"),
                          Integer.parseInt(output.substring(PASS.length())))));
    }
    if (golden.hasOutput("selected_order")) {
      double[] lengths =
          Arrays.stream(tokens(golden)).mapToDouble(sample -> sample.length).toArray();
      int[] chosen =
          DataChoice.scoreThenFilter(
              golden.input("quality"),
              Tensors.of(lengths, lengths.length),
              golden.input("embeddings"),
              (int) golden.output("selected_order").numel(),
              golden.param("filter_min_cosine_distance"),
              1,
              1);
      golden.expect("selected_order", Arrays.stream(chosen).asDoubleStream().toArray());
    }
  }

  /** An output that is one number; NaN where it is none. */
  private static double named(GoldenCase golden, String output) {
    if (output.startsWith(VENDI)) {
      String order = output.substring(VENDI.length());
      return Vendi.ofEmbeddings(
          golden.input("embeddings"),
          order.equals("inf") ? Double.POSITIVE_INFINITY : Double.parseDouble(order));
    }
    if (output.startsWith(DISTINCT)) {
      return TextMeasures.distinct(
          tokens(golden), Integer.parseInt(output.substring(DISTINCT.length())));
    }
    if (output.startsWith(BLEU)) {
      return SelfBleu.of(tokens(golden), Integer.parseInt(output.substring(BLEU.length())));
    }
    return switch (output) {
      case "quality_mean" -> QualityMeasures.mean(golden.input("quality"));
      case "quality_pass_rate" ->
          QualityMeasures.passRate(golden.input("quality"), golden.param("quality_threshold"));
      case "mean_pairwise_cosine_distance" ->
          EmbeddingDiversity.meanPairwise(golden.input("embeddings"));
      case "mean_nearest_cosine_distance" ->
          EmbeddingDiversity.meanNearest(golden.input("embeddings"));
      case "effective_rank" -> EmbeddingDiversity.effectiveRank(golden.input("embeddings"));
      case "attribute_entropy" -> AttributeMeasures.entropy(golden.labels("attribute"));
      case "attribute_gini_simpson" -> AttributeMeasures.giniSimpson(golden.labels("attribute"));
      case "archive_coverage" -> archive(golden).coverage();
      case "qd_score" -> archive(golden).qdScore();
      case "precision" -> reference(golden).precision();
      case "recall" -> reference(golden).recall();
      case "density" -> reference(golden).density();
      case "coverage" -> reference(golden).coverage();
      case "complexity_mean_length" -> TextMeasures.meanLength(tokens(golden));
      case "complexity_difficulty" ->
          ComplexityMeasures.difficulty(
                  golden.input("solved_of_10"), (int) golden.param("attempts"))
              .mean()
              .item_double();
      default -> Double.NaN;
    };
  }

  private static AttributeMeasures.Archive archive(GoldenCase golden) {
    Tensor descriptors = golden.input("embeddings").narrow(1, 0, 2);
    return AttributeMeasures.archive(
        descriptors,
        golden.input("quality"),
        golden.params().path("grid").get(0).asInt(),
        golden.params().path("grid").get(1).asInt(),
        golden.param("grid_low"),
        golden.param("grid_high"));
  }

  private static ReferenceCoverage reference(GoldenCase golden) {
    return ReferenceCoverage.of(
        golden.input("embeddings"),
        golden.input("reference_embeddings"),
        (int) golden.param("prdc_k"));
  }

  /** Token sequences without their padding. */
  private static int[][] tokens(GoldenCase golden) {
    int padding = (int) golden.param("token_padding");
    return Arrays.stream(Tensors.rows(golden.input("tokens")))
        .map(
            row ->
                Arrays.stream(row)
                    .mapToInt(token -> (int) token)
                    .filter(t -> t != padding)
                    .toArray())
        .toArray(int[][]::new);
  }
}
