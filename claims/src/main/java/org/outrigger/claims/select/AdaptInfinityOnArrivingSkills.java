package org.outrigger.claims.select;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.select.data.AdaptInfinity;
import org.outrigger.select.data.CoverageSampling;
import org.outrigger.select.data.LifelongSelection;

/** Selection by gradient clusters keeps a rare skill alive in a lifelong run. */
public final class AdaptInfinityOnArrivingSkills implements Claim {
  private static final String RARE = "rare skill accuracy ";
  private static final String MEAN = "mean accuracy ";
  private static final String FORGETTING = "forgetting ";
  private static final String OURS = "Adapt-infinity";
  private static final String UNIFORM = "clusters with uniform draw";
  private static final String RANDOM = "random from pool";
  private static final String NEW = "new data only";
  private static final String LAG = "mean accuracy random minus Adapt-infinity";

  /** A skill: what is done to a digit [8, 8], and how many samples of it there are. */
  private record Skill(String name, int size, UnaryOperator<Tensor> change) {}

  /** In the order in which they arrive; the second is the rare one. */
  private static final List<Skill> SKILLS =
      List.of(
          new Skill("clean", 1100, x -> x),
          new Skill("checkerboard", 60, AdaptInfinityOnArrivingSkills::checkerboard),
          new Skill("flipped", 700, x -> x.flip(1)),
          new Skill("inverted", 500, x -> x.neg().add(new Scalar(1.0))),
          new Skill("transposed", 250, x -> x.transpose(1, 2)));

  private static final int RARE_SKILL = 1;

  @Override
  public String slug() {
    return "adapt-infinity";
  }

  @Override
  public Room room() {
    return Room.SELECT;
  }

  @Override
  public String title() {
    return "Adapt-infinity keeps a rare skill in a lifelong run";
  }

  @Override
  public String promise() {
    return "Selecting training data anew at every step, by gradient clusters and informative"
        + " scores, retains skills, rare ones above all, with a bounded pool and budget.";
  }

  @Override
  public String paper() {
    return "Maharana, Yoon, Chen, Bansal, Adapt-infinity: Scalable Continual Multimodal Instruction"
        + " Tuning via Dynamic Data Selection, ICLR 2025";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above(RARE + OURS, RARE + RANDOM),
        Inequality.below(LAG, 0.04),
        Inequality.below(MEAN + NEW, 0.5, MEAN + OURS),
        Inequality.below(MEAN + NEW, 0.5, MEAN + RANDOM));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the same clusters and pool, but a uniform draw inside each cluster",
        "a uniform draw from a pool that is pruned at random",
        "a uniform draw from the newest data alone");
  }

  @Override
  public String protocol() {
    return "Five skills are made of 1,100 of the 8x8 digits, each with ten outputs of its own:"
        + " clean (1,100 samples), rolled with a checkerboard of signs (60, the rare one),"
        + " rows flipped (700), inverted (500), transposed (250); they arrive in this order."
        + " An MLP 64-64-64-50 is tuned from where it is on M = 300 samples at each step (25"
        + " epochs, SGD 0.03, momentum 0.9, batches of 32); the pool holds D = 2,000."
        + " Adapt-infinity: gradients of the second layer in 256 dimensions, K = 25, scores"
        + " EL2N, entropy and perplexity. Tested on the other 697 digits in all five skills;"
        + " forgetting is the best accuracy on a skill before the last step minus that after"
        + " it, mean of the first four. The paper's gain in mean accuracy is not visible at"
        + " this size.";
  }

  @Override
  public List<Long> seeds() {
    return List.of(0L, 1L, 2L, 3L, 4L);
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    List<TensorDataset> train = new ArrayList<>();
    List<TensorDataset> test = new ArrayList<>();
    try (TensorDataset digits = Digits.images()) {
      Splits parts = digits.split(1100.0 / digits.size(), seed);
      for (int s = 0; s < SKILLS.size(); s++) {
        Skill skill = SKILLS.get(s);
        int size = scale.pick(skill.size(), Math.max(20, skill.size() / 10));
        train.add(skill(parts.first().shuffled(Rng.derive(seed, skill.name())).limit(size), s));
        test.add(skill(parts.second().limit(scale.pick(697, 100)), s));
      }
      Map<String, Double> figures = new LinkedHashMap<>();
      for (String who : List.of(OURS, UNIFORM, RANDOM, NEW)) {
        measure(who, train, test, seed, scale, figures);
      }
      figures.put(
          LAG,
          figures.getOrDefault(MEAN + RANDOM, Double.NaN)
              - figures.getOrDefault(MEAN + OURS, Double.NaN));
      return figures;
    } finally {
      train.forEach(TensorDataset::close);
      test.forEach(TensorDataset::close);
    }
  }

  /** What is trained on when a skill arrives. */
  @FunctionalInterface
  private interface Selector {
    IndexedDataset step(NeuralModel model, int skill);
  }

  private static void measure(
      String who,
      List<TensorDataset> train,
      List<TensorDataset> test,
      long seed,
      Scale scale,
      Map<String, Double> figures) {
    int budget = scale.pick(300, 40);
    int pool = scale.pick(2000, 150);
    Selector selector =
        switch (who) {
          case OURS -> lifelong(train, CoverageSampling.Draw.COVERAGE, budget, pool, seed, scale);
          case UNIFORM -> lifelong(train, CoverageSampling.Draw.RANDOM, budget, pool, seed, scale);
          case RANDOM -> replay(train, budget, pool, seed);
          default ->
              (model, s) -> train.get(s).shuffled(Rng.derive(seed, "new " + s)).limit(budget);
        };
    double[][] accuracy = new double[SKILLS.size()][];
    try (NeuralModel model =
        NeuralModel.create("mlp", Map.of("hidden", List.of(64, 64)), new long[] {64}, 50, seed)) {
      for (int s = 0; s < SKILLS.size(); s++) {
        Trainer.of(model)
            .settings(
                Trainer.Settings.defaults()
                    .withEpochs(scale.pick(25, 2))
                    .withBatchSize(32)
                    .withSeed(Rng.derive(seed, "train " + s)))
            .optimiser(p -> new Sgd(p, new Sgd.Settings(0.03, 0.9, 0, 0, false)))
            .schedule(Schedule.constant())
            .fit(selector.step(model, s));
        accuracy[s] = test.stream().mapToDouble(rows -> accuracy(model, rows)).toArray();
      }
    }
    int last = SKILLS.size() - 1;
    figures.put(RARE + who, accuracy[last][RARE_SKILL]);
    figures.put(MEAN + who, Arrays.stream(accuracy[last]).average().orElseThrow());
    figures.put(
        FORGETTING + who,
        IntStream.range(0, last)
            .mapToDouble(
                s ->
                    IntStream.range(s, last).mapToDouble(t -> accuracy[t][s]).max().orElseThrow()
                        - accuracy[last][s])
            .average()
            .orElseThrow());
  }

  private static Selector lifelong(
      List<TensorDataset> train,
      CoverageSampling.Draw draw,
      int budget,
      int pool,
      long seed,
      Scale scale) {
    AdaptInfinity method =
        Methods.create(
            AdaptInfinity.class,
            "adapt-infinity",
            Map.of(
                "clusters",
                scale.pick(25, 5),
                "projection",
                scale.pick(256, 16),
                "layer",
                "fc2",
                "scores",
                List.of("el2n", "entropy", "perplexity"),
                "draw",
                draw,
                "seed",
                seed));
    LifelongSelection run = new LifelongSelection(method);
    return (model, s) ->
        run.step(model, SKILLS.get(s).name(), train.get(s), budget, pool).training();
  }

  private static Selector replay(List<TensorDataset> train, int budget, int pool, long seed) {
    List<IndexedDataset> held = new ArrayList<>();
    return (model, s) -> {
      held.add(train.get(s));
      IndexedDataset all =
          IndexedDataset.concat(held.toArray(new IndexedDataset[0]))
              .shuffled(Rng.derive(seed, "replay " + s));
      held.clear();
      held.add(all.limit(pool));
      return all.limit(budget);
    };
  }

  private static double accuracy(NeuralModel model, TensorDataset rows) {
    return Scopes.scoped(
        () -> {
          Output output = model.predict(rows.inputs());
          return Accuracy.of(output.logits(), Tensors.labels(rows.labels()));
        });
  }

  /** Digits of a skill: rows [64], labels ten times the skill plus the digit. */
  private static TensorDataset skill(IndexedDataset digits, int skill) {
    return Scopes.scoped(
        () -> {
          TensorDataset rows = TensorDataset.copyOf(digits);
          Tensor images = SKILLS.get(skill).change().apply(rows.inputs().squeeze(1));
          Tensor labels =
              Tensors.labels(rows.labels()).to(ScalarType.Long).add(new Scalar(10L * skill));
          return TensorDataset.builder(images.contiguous().view(-1, 64))
              .labels(labels)
              .name(SKILLS.get(skill).name())
              .build();
        });
  }

  private static Tensor checkerboard(Tensor images) {
    double[] signs =
        IntStream.range(0, 64).mapToDouble(i -> (i / 8 + i % 8) % 2 == 0 ? 1 : -1).toArray();
    Tensor rolled = torch.roll(images, new long[] {4, 4}, 1, 2);
    return rolled.mul(Tensors.of(signs, 8, 8).to(ScalarType.Float));
  }
}
