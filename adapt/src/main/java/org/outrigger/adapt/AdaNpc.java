package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.FeatureMemory.Neighbours;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * AdaNPC: stored features vote, and the features of the stream join them under the classes that
 * were predicted. With the k most similar rows by cosine s and weights {@code w = softmax(s / T)},
 * the score of a class is the sum of the weights of its rows, plus 1e-5 and at most 1. A batch is
 * predicted before it joins.
 *
 * <p>It follows gradual drift; a jump to where nothing is stored it cannot follow. The logits that
 * it gives are logarithms of votes, which are no calibrated probabilities. With {@code gamma} above
 * 0 it is AdaNPC-BN: a normalisation of the batch's features stands before the memory, and {@code
 * gamma} times a batch its scale and shift take a step that lowers the entropy of the votes.
 *
 * <p>Zhang et al., "AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation", ICML
 * 2023.
 */
@Card(
    slug = "adanpc",
    name = "AdaNPC",
    summary = "Stored features vote, and those of the stream join them; nothing is trained.",
    paper =
        "Zhang et al., AdaNPC: Exploring Non-Parametric Classifier for Test-Time Adaptation, ICML"
            + " 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.FEATURES, Need.SOURCE, Need.LABELS},
    state = "features of the source and of the stream with their labels")
public final class AdaNpc extends Decorator<AdaNpc.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(AdaNpc.class);
  private static final double FLOOR = 1e-5;
  private static final double VARIANCE_FLOOR = 1e-5;
  private static final String SCALE = "norm.weight";
  private static final String SHIFT = "norm.bias";

  /** How sure a vote is. */
  public enum Confidence {
    /** The largest of a second softmax over the votes, in 1/C .. e / (e + C - 1). */
    SOFTMAX,
    /** The largest vote. */
    VOTE
  }

  /**
   * @param k how many rows vote, 1 or more; all if there are fewer
   * @param temperature T, above 0
   * @param beta how sure a prediction must be to join, 0 or more; 0 lets all join, 1.1 none
   * @param confidence how sure a vote is
   * @param epsBall where the best similarity of every row of a batch is above it, all rows with at
   *     least this similarity vote; above 1 never
   * @param capacity the most rows of the stream that are kept, the oldest go first; 0 for no bound
   * @param graphAbove beyond so many rows of the source their neighbours are found approximately
   * @param gamma steps a batch of the normalisation of AdaNPC-BN, 0 or more; 0 for none
   * @param lr the learning rate of those steps, above 0
   */
  public record Settings(
      int k,
      double temperature,
      double beta,
      Confidence confidence,
      double epsBall,
      long capacity,
      long graphAbove,
      int gamma,
      double lr) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.notNegative("beta", beta);
      Objects.requireNonNull(confidence);
      HyperParameter.require(epsBall >= -1, "epsBall", epsBall, "-1 or more");
      HyperParameter.atLeast("capacity", capacity, 0);
      HyperParameter.atLeast("graphAbove", graphAbove, 0);
      HyperParameter.atLeast("gamma", gamma, 0);
      HyperParameter.positive("lr", lr);
    }

    public static Settings defaults() {
      return new Settings(10, 0.1, 0, Confidence.SOFTMAX, 1.1, 0, 1_000_000, 0, 1e-3);
    }
  }

  private final FeatureMemory features =
      new FeatureMemory(statistics(), memory(), settings().capacity());
  private @Nullable Adam optimiser;
  private @Nullable Model model;

  public AdaNpc() {
    this(Settings.defaults());
  }

  public AdaNpc(Settings settings) {
    super(settings, new Source());
  }

  /**
   * The votes of neighbours; gradients flow through the similarities.
   *
   * @param similarities cosines, [B, k]
   * @param labels int64 [B, k]
   * @return scores [B, C], each in 1e-5 .. 1
   */
  public static Tensor votes(Tensor similarities, Tensor labels, long classes, double temperature) {
    return Scopes.tensor(
        () -> {
          Tensor weights = torch.softmax(similarities.div(new Scalar(temperature)), 1);
          return similarities
              .new_zeros(similarities.size(0), classes)
              .scatter_add(1, labels, weights)
              .add(new Scalar(FLOOR))
              .clamp_max(new Scalar(1.0));
        });
  }

  /**
   * The votes of all rows within a similarity.
   *
   * @param similarities to all rows, [B, N]
   * @param labels int64 [N]
   * @param epsBall in -1 .. 1
   * @return scores [B, C], or null if some row has nothing above the similarity
   */
  public static @Nullable Tensor votesWithin(
      Tensor similarities, Tensor labels, long classes, double temperature, double epsBall) {
    double worst =
        Scopes.scoped(() -> similarities.amax(new long[] {1}, false).amin().item_double());
    if (worst <= epsBall) {
      return null;
    }
    return Scopes.tensor(
        () ->
            votes(
                similarities.masked_fill(
                    similarities.lt(new Scalar(epsBall)), new Scalar(Double.NEGATIVE_INFINITY)),
                labels.unsqueeze(0).expand(similarities.shape()),
                classes,
                temperature));
  }

  /**
   * How sure votes are.
   *
   * @param scores [B, C]
   * @return [B]
   */
  public static Tensor confidence(Tensor scores, Confidence confidence) {
    return Scopes.tensor(
        () ->
            (confidence == Confidence.VOTE ? scores : torch.softmax(scores, 1))
                .amax(new long[] {1}, false));
  }

  /**
   * Predicts a batch and lets the sure rows of it join.
   *
   * @param memory the rows that vote
   * @param batch features [B, D]; gradients flow through them where they are switched on
   * @return scores [B, C]
   */
  public static Tensor predict(
      FeatureMemory memory, Tensor batch, long classes, Settings settings) {
    return Scopes.tensor(
        () -> {
          Tensor unit = torch.normalize(batch);
          Tensor scores = scores(memory, unit, classes, settings);
          Scopes.grad(
              false,
              () -> {
                join(memory, unit.detach(), scores.detach(), settings);
                return true;
              });
          return scores;
        });
  }

  private static Tensor scores(FeatureMemory memory, Tensor unit, long classes, Settings settings) {
    if (settings.epsBall() <= 1) {
      Tensor within =
          votesWithin(
              unit.mm(memory.features().t()),
              memory.labels(),
              classes,
              settings.temperature(),
              settings.epsBall());
      if (within != null) {
        return within;
      }
    }
    Neighbours nearest = memory.nearest(unit, settings.k());
    Tensor similarities =
        unit.requires_grad() ? similarities(memory, unit, nearest) : nearest.similarities();
    return votes(similarities, nearest.labels(), classes, settings.temperature());
  }

  /** The cosines of found rows once more, so that gradients flow to the queries. */
  private static Tensor similarities(FeatureMemory memory, Tensor unit, Neighbours nearest) {
    Tensor indices = nearest.indices();
    Tensor rows =
        memory
            .features()
            .index_select(0, indices.flatten())
            .view(indices.size(0), indices.size(1), -1);
    return rows.matmul(unit.unsqueeze(2)).squeeze(2);
  }

  private static void join(FeatureMemory memory, Tensor unit, Tensor scores, Settings settings) {
    Tensor sure = confidence(scores, settings.confidence()).ge(new Scalar(settings.beta()));
    // A zero feature has no direction, and nothing is like it.
    Tensor chosen =
        sure.logical_and(unit.mul(unit).sum(1).gt(new Scalar(0.5))).nonzero().squeeze(1);
    Tensor labels = scores.argmax(new LongOptional(1), false);
    memory.add(unit.index_select(0, chosen), labels.index_select(0, chosen));
  }

  @Override
  protected void prepare(Model model) {
    this.model = model;
  }

  @Override
  protected void learn(IndexedDataset source) {
    Model known = Objects.requireNonNull(model);
    try (RecordedOutputs outputs =
        RecordedOutputs.record(known, source, RecordedOutputs.Options.defaults())) {
      Tensor labels = outputs.labels(who());
      Tensor classed = labels.ge(new Scalar(0)).nonzero().squeeze(1);
      if (classed.size(0) == 0) {
        throw new OutriggerException(
            "AdaNPC needs source data of known classes, but "
                + source.name()
                + " has none: give labelled data.");
      }
      Shapes.labels("The labels of the source", labels, outputs.classes(), true);
      features.learn(
          outputs.features().index_select(0, classed),
          labels.index_select(0, classed),
          settings().graphAbove());
      if (features.known() < settings().k()) {
        LOG.warn(
            "AdaNPC: k = {} is more than the {} source rows: all of them vote until the stream has"
                + " brought more.",
            settings().k(),
            features.known());
      }
    }
    makeNorm();
  }

  @Override
  protected void restored() {
    features.restored();
    makeNorm();
  }

  /** The scale and shift of AdaNPC-BN, unless they are there. */
  private void makeNorm() {
    if (settings().gamma() == 0 || optimiser != null) {
      return;
    }
    Scopes.run(
        () -> {
          Tensor like = statistics().tensor("features");
          Map<String, Tensor> parameters = new LinkedHashMap<>();
          parameters.put(SCALE, torch.ones_like(like.select(0, 0)).requires_grad_(true));
          parameters.put(SHIFT, torch.zeros_like(like.select(0, 0)).requires_grad_(true));
          optimiser = new Adam(parameters, Adam.Settings.of(settings().lr()));
        });
  }

  @Override
  protected Output step(Tensor inputs) {
    Output output = inner().adapt(inputs);
    long classes = output.logits().size(1);
    Tensor scores =
        optimiser == null
            ? predict(features, output.features(), classes, settings())
            : descend(optimiser, output.features(), classes);
    return new Output(scores.log(), output.features());
  }

  private Tensor descend(Adam steps, Tensor batch, long classes) {
    Tensor mean = batch.mean(new long[] {0}, true, null);
    Tensor centred = batch.sub(mean);
    Tensor variance = centred.mul(centred).mean(new long[] {0}, true, null);
    Tensor whitened = centred.div(variance.add(new Scalar(VARIANCE_FLOOR)).sqrt());
    Tensor scale = Objects.requireNonNull(steps.parameters().get(SCALE));
    Tensor shift = Objects.requireNonNull(steps.parameters().get(SHIFT));
    Tensor scores = null;
    for (int i = 0; i < settings().gamma(); i++) {
      try (PointerScope scope = new PointerScope()) {
        Tensor made =
            Scopes.grad(
                true,
                () -> {
                  Tensor votes =
                      predict(features, whitened.mul(scale).add(shift), classes, settings());
                  Entropies.entropy(votes).mean().backward();
                  return votes;
                });
        steps.step();
        steps.clearGradients();
        count(batch.size(0), batch.size(0), 1);
        scores = Scopes.keep(made.detach());
      }
    }
    return Objects.requireNonNull(scores);
  }

  @Override
  protected Map<String, Tensor> moving() {
    return optimiser == null ? Map.of() : optimiser.parameters();
  }

  @Override
  protected Map<String, Stateful> parts() {
    Map<String, Stateful> parts = super.parts();
    if (optimiser != null) {
      parts.put("optimiser", optimiser);
    }
    return parts;
  }

  @Override
  public int minimumBatch() {
    return Math.max(super.minimumBatch(), settings().gamma() > 0 ? 2 : 1);
  }

  @Override
  protected void release() {
    model = null;
    Adam old = optimiser;
    optimiser = null;
    if (old != null) {
      old.close();
    }
  }
}
