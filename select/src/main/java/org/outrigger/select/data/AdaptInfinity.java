package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Adapt-infinity: as data sets arrive over time, select anew at every step what to train on. The
 * pool is grouped into pseudo-skills by the similarity of gradients; in each group the score whose
 * histogram has the largest entropy decides, a balanced budget is drawn over its strata, and
 * near-duplicates leave the pool for good. Maharana, Yoon, Chen, Bansal, ICLR 2025.
 *
 * <p>This is one step on vectors and scores; {@link LifelongSelection} is the run over data sets.
 */
@Card(
    slug = "adapt-infinity",
    name = "Adapt-infinity",
    summary = "Re-selects training data at every step of a lifelong run, by skill and by score.",
    paper =
        "Maharana, Yoon, Chen, Bansal, Adapt-infinity: Scalable Continual Multimodal Instruction"
            + " Tuning via Dynamic Data Selection, ICLR 2025",
    year = 2025,
    room = Room.SELECT,
    needs = {Need.LOGITS, Need.FEATURES, Need.PARAMETER_GRADIENTS, Need.LABELS},
    state = "the pool: which rows are in it, which were dropped, when and why")
public final class AdaptInfinity implements Method {
  /** A gradient below this is of a sample that is learned; its direction would be noise. */
  public static final double LEARNED = 1e-12;

  private static final int EPOCHS = 100;

  /**
   * @param clusters K, pseudo-skills; at most the size of the pool
   * @param kmeansBatch rows of one step of mini-batch k-means
   * @param strata of coverage-centred sampling inside a cluster
   * @param cut the share of a cluster that is left out at both ends of the score, in [0, 0.5)
   * @param entropyEdges edges of the histogram that chooses a score
   * @param scores names of the scores to choose from, in the order that ties go by
   * @param budget how the training budget is spread over clusters
   * @param draw how a cluster's samples are drawn
   * @param layer the path of the layer whose gradients are taken; empty: the last before the head
   * @param projection dimensions p of the sample vectors
   * @param projectionSeed of the projection; the same for ever
   * @param sign whether only the signs of the gradients count
   * @param epsilon the step of the zero-order estimate of gradients; 0: backward passes
   * @param semanticLayer the layer whose mean output is a sample's meaning; empty: the features
   * @param contextFrom the first value of an input row that belongs to the removable field
   * @param contextWidth how many values that field has; 0: there is none
   * @param lite whether the pool is pruned before the draw, which is then cheaper
   * @param batchSize rows of a pass through the model
   * @param seed of clusters and draws
   */
  public record Settings(
      int clusters,
      int kmeansBatch,
      int strata,
      double cut,
      int entropyEdges,
      List<String> scores,
      ClusterBudgets.Rule budget,
      CoverageSampling.Draw draw,
      String layer,
      int projection,
      long projectionSeed,
      boolean sign,
      double epsilon,
      String semanticLayer,
      int contextFrom,
      int contextWidth,
      boolean lite,
      int batchSize,
      long seed) {
    public Settings {
      HyperParameter.atLeast("clusters", clusters, 1);
      HyperParameter.atLeast("kmeansBatch", kmeansBatch, 1);
      HyperParameter.atLeast("strata", strata, 1);
      HyperParameter.require(cut >= 0 && cut < 0.5, "cut", cut, "0 or more and below 0.5");
      HyperParameter.atLeast("entropyEdges", entropyEdges, 2);
      HyperParameter.atLeast("projection", projection, 1);
      HyperParameter.notNegative("epsilon", epsilon);
      HyperParameter.atLeast("contextFrom", contextFrom, 0);
      HyperParameter.atLeast("contextWidth", contextWidth, 0);
      HyperParameter.atLeast("batchSize", batchSize, 1);
      scores = SampleScore.of(scores).stream().map(SampleScore::label).toList();
    }

    public static Settings defaults() {
      return new Settings(
          10,
          10240,
          50,
          0.05,
          50,
          List.of("perplexity", "el2n", "entropy", "grounding"),
          ClusterBudgets.Rule.BALANCED,
          CoverageSampling.Draw.COVERAGE,
          "",
          8192,
          0,
          false,
          0,
          "",
          0,
          0,
          false,
          256,
          0);
    }
  }

  /**
   * One cluster of a step.
   *
   * @param size samples in it
   * @param budget how many of them are trained on
   * @param score the score that was chosen
   * @param entropies of all scores, in bits
   * @param learned whether it holds the samples whose gradient vanished
   */
  public record ClusterReport(
      int size, int budget, String score, Map<String, Double> entropies, boolean learned) {
    public ClusterReport {
      entropies = Collections.unmodifiableMap(new LinkedHashMap<>(entropies));
    }
  }

  /**
   * What a step selected.
   *
   * @param rows positions to train on, ascending
   * @param assignment the cluster of each sample
   * @param clusters what each cluster gave
   * @param within the sum of the distances of all vectors to their centroids
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Choice(int[] rows, int[] assignment, List<ClusterReport> clusters, double within) {}

  private final Settings settings;

  public AdaptInfinity() {
    this(Settings.defaults());
  }

  public AdaptInfinity(Settings settings) {
    this.settings = settings;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /**
   * Selects what to train on.
   *
   * @param vectors sample vectors [N, p], not normalised; NaN counts as 0
   * @param scores float64 [N, S], one column a score
   * @param names of the scores
   * @param budget M; at least N takes everything
   * @param step draws differ from step to step
   * @throws OutriggerException if K exceeds N, M is below 1, or a score is NaN for all samples
   */
  public Choice choose(Tensor vectors, Tensor scores, List<String> names, int budget, long step) {
    Shapes.check()
        .tensor("The sample vectors", vectors, "N", "p")
        .tensor("The scores", scores, "N", "S")
        .size("S", names.size(), "the names of the scores");
    int n = Math.toIntExact(vectors.size(0));
    check(n, budget, scores, names);
    try (Rng rng = Rng.named(settings.seed, "adapt-infinity step " + step)) {
      return Scopes.scoped(
          () -> {
            Tensor x = normalised(vectors);
            Groups groups = group(x, rng);
            int[] budgets = budgets(groups, x, scores, names, budget);
            List<ClusterReport> reports = new ArrayList<>();
            List<Integer> chosen = new ArrayList<>();
            for (int c = 0; c < groups.sizes.length; c++) {
              int[] members = groups.members(c);
              reports.add(
                  choose(members, scores, names, budgets[c], c == groups.learned, rng, chosen));
            }
            int[] rows = chosen.stream().mapToInt(Integer::intValue).sorted().toArray();
            return new Choice(rows, groups.assignment, reports, groups.within);
          });
    }
  }

  private ClusterReport choose(
      int[] members,
      Tensor scores,
      List<String> names,
      int budget,
      boolean learned,
      Rng rng,
      List<Integer> chosen) {
    return Scopes.scoped(
        () -> {
          Tensor own = scores.index_select(0, Tensors.labels(members));
          double[] entropies = new double[names.size()];
          Map<String, Double> shown = new LinkedHashMap<>();
          for (int s = 0; s < entropies.length; s++) {
            entropies[s] =
                ScoreChoice.entropyBits(own.select(1, s), settings.entropyEdges, ScoreChoice.RANGE);
            shown.put(names.get(s), entropies[s]);
          }
          int best = ScoreChoice.choose(own, entropies);
          int[] drawn =
              CoverageSampling.draw(
                  own.select(1, best), budget, settings.draw, settings.strata, settings.cut, rng);
          Arrays.stream(drawn).forEach(i -> chosen.add(members[i]));
          return new ClusterReport(members.length, budget, names.get(best), shown, learned);
        });
  }

  /** Clusters by position; the last may be that of the learned samples. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Groups(
      int[] assignment, int[] sizes, Tensor centroids, double within, int learned) {
    int[] members(int cluster) {
      return IntStream.range(0, assignment.length).filter(i -> assignment[i] == cluster).toArray();
    }
  }

  private Groups group(Tensor x, Rng rng) {
    int n = Math.toIntExact(x.size(0));
    double[] lengths = Tensors.doubles(x.mul(x).sum(1));
    int[] moving = IntStream.range(0, n).filter(i -> lengths[i] > 0).toArray();
    int[] assignment = new int[n];
    if (moving.length == 0) {
      return new Groups(
          assignment, new int[] {n}, torch.zeros(new long[] {1, x.size(1)}, x.options()), 0, 0);
    }
    MiniBatchKMeans.Clusters found =
        MiniBatchKMeans.fit(
            moving.length == n ? x : x.index_select(0, Tensors.labels(moving)),
            Math.min(settings.clusters, moving.length),
            settings.kmeansBatch,
            EPOCHS,
            rng);
    int k = found.sizes().length;
    boolean learned = moving.length < n;
    Arrays.fill(assignment, k);
    for (int i = 0; i < moving.length; i++) {
      assignment[moving[i]] = found.assignment()[i];
    }
    int[] sizes = Arrays.copyOf(found.sizes(), learned ? k + 1 : k);
    Tensor centroids = found.centroids();
    if (learned) {
      sizes[k] = n - moving.length;
      centroids =
          torch.cat(
              new TensorVector(
                  centroids, torch.zeros(new long[] {1, x.size(1)}, centroids.options())),
              0);
    }
    return new Groups(assignment, sizes, centroids, found.within(), learned ? k : -1);
  }

  private int[] budgets(Groups groups, Tensor x, Tensor scores, List<String> names, int budget) {
    int[] sizes = groups.sizes;
    int[] raw =
        switch (settings.budget) {
          case BALANCED -> ClusterBudgets.balanced(sizes, budget);
          case DENSITY ->
              ClusterBudgets.weighted(
                  sizes,
                  ClusterBudgets.densities(x, Tensors.labels(groups.assignment), groups.centroids),
                  budget);
          case SCORE_WEIGHTED ->
              ClusterBudgets.weighted(
                  sizes,
                  ClusterBudgets.spread(
                      scores.select(1, names.indexOf("el2n")),
                      Tensors.labels(groups.assignment),
                      sizes.length),
                  budget);
        };
    return ClusterBudgets.fit(raw, sizes, budget);
  }

  private void check(int n, int budget, Tensor scores, List<String> names) {
    if (budget < 1) {
      throw new OutriggerException(
          "The training budget M = " + budget + " is out of range: use 1 or more.");
    }
    if (settings.clusters > n) {
      throw new OutriggerException(
          "clusters K = "
              + settings.clusters
              + " exceeds the pool of "
              + n
              + " samples: use fewer clusters or more data.");
    }
    if (settings.budget == ClusterBudgets.Rule.SCORE_WEIGHTED && !names.contains("el2n")) {
      throw new OutriggerException(
          "Score-weighted budgets go by el2n: add it to the scores, or use balanced budgets.");
    }
    boolean[] empty =
        Scopes.scoped(
            () -> {
              double[] known =
                  Tensors.doubles(scores.isnan().logical_not().to(ScalarType.Double).sum(0));
              boolean[] none = new boolean[known.length];
              for (int s = 0; s < none.length; s++) {
                none[s] = known[s] == 0;
              }
              return none;
            });
    for (int s = 0; s < empty.length; s++) {
      if (empty[s]) {
        throw new OutriggerException(
            "The score '" + names.get(s) + "' is NaN for all samples: leave it out.");
      }
    }
  }

  /** Rows of length one; those whose gradient vanished, of length 0. */
  static Tensor normalised(Tensor vectors) {
    return Scopes.tensor(
        () -> {
          Tensor x = GradientVectors.clean(vectors.detach().to(ScalarType.Double));
          Tensor norms = x.mul(x).sum(1).sqrt().unsqueeze(1);
          Tensor learned = norms.lt(new Scalar(LEARNED));
          return x.div(norms.masked_fill(learned, new Scalar(1.0)))
              .masked_fill(learned, new Scalar(0.0));
        });
  }

  /**
   * What stays in the pool, and what each dropped sample was like.
   *
   * @param kept positions, ascending
   * @param dropped positions, ascending
   * @param similarity of each dropped sample to the earlier one that it resembles most
   * @param resembles the position of that one; -1 if it resembles none
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Pruning(int[] kept, int[] dropped, double[] similarity, int[] resembles) {}

  /**
   * Permanent pruning to a pool budget: balanced budgets over the clusters, and in each the samples
   * that resemble an earlier one least.
   *
   * @param embeddings [N, d], oldest sample first
   * @param assignment the cluster of each sample
   * @param budget D, 1 or more; N or more keeps everything
   */
  public static Pruning prune(Tensor embeddings, int[] assignment, int budget) {
    Shapes.check()
        .tensor("The embeddings", embeddings, "N", "d")
        .size("N", assignment.length, "the clusters");
    if (budget < 1) {
      throw new OutriggerException(
          "The pool budget D = " + budget + " is out of range: use 1 or more.");
    }
    int n = assignment.length;
    if (n <= budget) {
      return new Pruning(IntStream.range(0, n).toArray(), new int[0], new double[0], new int[0]);
    }
    int[][] members =
        Arrays.stream(assignment)
            .distinct()
            .sorted()
            .mapToObj(c -> IntStream.range(0, n).filter(i -> assignment[i] == c).toArray())
            .toArray(int[][]::new);
    int[] sizes = Arrays.stream(members).mapToInt(m -> m.length).toArray();
    int[] budgets = ClusterBudgets.fit(ClusterBudgets.balanced(sizes, budget), sizes, budget);
    boolean[] kept = new boolean[n];
    double[] similarity = new double[n];
    int[] resembles = new int[n];
    for (int c = 0; c < members.length; c++) {
      int[] own = members[c];
      SemanticDuplicates.Redundancy found =
          Scopes.scoped(
              () -> SemanticDuplicates.redundancy(embeddings.index_select(0, Tensors.labels(own))));
      for (int i = 0; i < own.length; i++) {
        similarity[own[i]] = found.similarity()[i];
        int near = found.nearest()[i];
        resembles[own[i]] = near < 0 ? -1 : own[near];
      }
      for (int i : SemanticDuplicates.keep(found.similarity(), budgets[c])) {
        kept[own[i]] = true;
      }
    }
    int[] out = IntStream.range(0, n).filter(i -> !kept[i]).toArray();
    return new Pruning(
        IntStream.range(0, n).filter(i -> kept[i]).toArray(),
        out,
        Arrays.stream(out).mapToDouble(i -> similarity[i]).toArray(),
        Arrays.stream(out).map(i -> resembles[i]).toArray());
  }
}
