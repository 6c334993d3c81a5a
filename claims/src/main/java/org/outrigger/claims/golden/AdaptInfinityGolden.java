package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.data.ClusterBudgets;
import org.outrigger.select.data.CoverageSampling;
import org.outrigger.select.data.ScoreChoice;
import org.outrigger.select.data.SemanticDuplicates;
import org.outrigger.select.data.TokenScores;

/** Golden cases of Adapt-infinity: token scores, strata, and the choices inside clusters. */
public final class AdaptInfinityGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "adapt-infinity";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("shifted_logits")) {
      tokens(golden);
    } else if (golden.hasInput("scores")) {
      strata(golden);
    } else if (golden.hasInput("cluster")) {
      clusters(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void tokens(GoldenCase golden) {
    Tensor logits = golden.input("shifted_logits").unsqueeze(0);
    Tensor labels = golden.labels("shifted_labels").unsqueeze(0);
    if (golden.params().has("ignore")) {
      Tensor ignored = labels.eq(new Scalar((long) golden.param("ignore")));
      labels = labels.masked_fill(ignored, new Scalar(-1));
    }
    golden.expect("el2n", TokenScores.el2n(logits, labels));
    golden.expect("perplexity_paper", TokenScores.logPerplexity(logits, labels).exp());
    golden.expect("entropy", TokenScores.entropy(logits));
    if (golden.hasOutput("perplexity_released_code")) {
      // Each token as a sample of its own: the released code averages their perplexities.
      Tensor known = labels.squeeze(0).ge(new Scalar(0)).nonzero().squeeze(1);
      Tensor each =
          TokenScores.logPerplexity(
              logits.squeeze(0).index_select(0, known).unsqueeze(1),
              labels.squeeze(0).index_select(0, known).unsqueeze(1));
      golden.expect("perplexity_released_code", each.exp().mean());
    }
  }

  private static void strata(GoldenCase golden) {
    CoverageSampling.Strata strata =
        CoverageSampling.strata(golden.input("scores"), (int) golden.param("bins"), 0.05);
    int[] taken = CoverageSampling.taken(strata.counts(), (int) golden.param("budget"));
    golden.expect("low", strata.low());
    golden.expect("high", strata.high());
    golden.expect("stratum_candidates", doubles(strata.counts()));
    golden.expect("stratum_taken", doubles(taken));
    golden.expect("selected_count", Arrays.stream(taken).sum());
  }

  private static void clusters(GoldenCase golden) {
    Tensor embeddings = golden.input("embeddings");
    int[] cluster = Tensors.ints(golden.labels("cluster"));
    int k = (int) golden.param("n_clusters");
    int[][] members =
        IntStream.range(0, k)
            .mapToObj(
                c -> IntStream.range(0, cluster.length).filter(i -> cluster[i] == c).toArray())
            .toArray(int[][]::new);
    int[] sizes = Arrays.stream(members).mapToInt(m -> m.length).toArray();
    int budget = (int) golden.param("sample_budget");
    golden.expect("cluster_sizes", doubles(sizes));
    golden.expect("budgets_balanced", doubles(ClusterBudgets.balanced(sizes, budget)));
    Tensor which = Tensors.labels(cluster);
    if (golden.hasOutput("budgets_score_weighted")) {
      double[] spread = ClusterBudgets.spread(golden.input("score_el2n"), which, k);
      golden.expect(
          "budgets_score_weighted", doubles(ClusterBudgets.weighted(sizes, spread, budget)));
    }
    if (golden.hasOutput("dbp_probabilities")) {
      TensorVector centroids = new TensorVector();
      for (int[] own : members) {
        centroids.push_back(embeddings.index_select(0, Tensors.labels(own)).mean(0));
      }
      golden.expect(
          "dbp_probabilities",
          ClusterBudgets.densities(embeddings, which, torch.stack(centroids, 0)));
    }
    scores(golden, members);
    duplicates(golden, embeddings, members, sizes);
  }

  private static void scores(GoldenCase golden, int[][] members) {
    List<String> names = new ArrayList<>();
    golden.params().path("score_order").forEach(name -> names.add(name.asString()));
    int edges = (int) golden.param("entropy_bins");
    for (String kind : List.of("scale_free", "released_code")) {
      double[] bits = new double[members.length * names.size()];
      double[] chosen = new double[members.length];
      for (int c = 0; c < members.length; c++) {
        TensorVector columns = new TensorVector();
        double[] own = new double[names.size()];
        for (int s = 0; s < own.length; s++) {
          Tensor score =
              golden.input("score_" + names.get(s)).index_select(0, Tensors.labels(members[c]));
          columns.push_back(score);
          double range = ScoreChoice.RANGE;
          if (kind.equals("released_code")) {
            Tensor apart = score.sub(score.mean());
            range *= Math.max(apart.mul(apart).mean().sqrt().item_double(), 1e-300);
          }
          own[s] = ScoreChoice.entropyBits(score, edges, range);
          bits[c * own.length + s] = own[s];
        }
        chosen[c] = ScoreChoice.choose(torch.stack(columns, 1), own);
      }
      if (golden.hasOutput("score_entropy_bits_" + kind)) {
        golden.expect("score_entropy_bits_" + kind, bits);
      }
      if (golden.hasOutput("chosen_score_" + kind)) {
        golden.expect("chosen_score_" + kind, chosen);
      }
    }
  }

  private static void duplicates(
      GoldenCase golden, Tensor embeddings, int[][] members, int[] sizes) {
    if (!golden.params().has("dedup_budget")) {
      return;
    }
    int[] budgets = ClusterBudgets.balanced(sizes, (int) golden.param("dedup_budget"));
    List<Double> similarity = new ArrayList<>();
    List<Integer> kept = new ArrayList<>();
    for (int c = 0; c < members.length; c++) {
      int[] own = members[c];
      double[] redundant =
          SemanticDuplicates.redundancy(embeddings.index_select(0, Tensors.labels(own)))
              .similarity();
      Arrays.stream(redundant).forEach(similarity::add);
      int[] best = SemanticDuplicates.keep(redundant, budgets[c]);
      Arrays.stream(best).forEach(i -> kept.add(own[i]));
    }
    golden.expect("dedup_keep_budget", doubles(budgets));
    golden.expect(
        "dedup_max_similarity_by_cluster_order",
        similarity.stream().mapToDouble(Double::doubleValue).toArray());
    golden.expect(
        "dedup_kept_sorted", kept.stream().sorted().mapToDouble(Integer::intValue).toArray());
  }

  private static double[] doubles(int[] values) {
    return Arrays.stream(values).asDoubleStream().toArray();
  }
}
