package org.outrigger.adapt;

import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * EATA: entropy minimisation on rows that are reliable (H below E0) and not redundant (their
 * softmax p has a cosine below eps with the running mean m of those learned from), each weighted by
 * exp(E0 - H), with a Fisher leash to the source weights: loss = mean_S exp(E0 - H_i) H_i + beta
 * sum F (theta - theta0)^2. With beta = 0 it is ETA and needs no source data. Niu et al., Efficient
 * Test-Time Model Adaptation without Forgetting, ICML 2022.
 */
@Card(
    slug = "eata",
    name = "EATA",
    summary = "Learns from reliable, new rows only, on a leash to the source weights.",
    paper = "Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022",
    year = 2022,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS, Need.SOURCE},
    state = "scales, shifts, the optimiser, a mean prediction, Fisher diagonal and source weights")
public final class Eata extends GradientAdapter<Eata.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(Eata.class);
  private static final String MEAN = "mean";
  private static final String SEEN = "seen";
  private static final String IDLE = "idle";
  private static final String FISHER = "fisher/";
  private static final String ANCHOR = "anchor/";
  private static final double KEEP = 0.9;
  private static final int STUCK = 20;

  /**
   * @param E0 how large an entropy is reliable, in units of ln C, above 0; from 1 on, all are
   * @param eps below which cosine with the mean prediction a row is new, above 0: somewhat above
   *     1/sqrt(C), such as 0.4 for 10 classes, 0.1 for 100, 0.05 for 1,000; above 1, all are
   * @param beta the strength of the leash, 0 or more: 2,000 for ImageNet, 1 for CIFAR; 0 is ETA
   * @param fisherSize how many source rows the Fisher diagonal is estimated on, 1 or more
   * @param fisherBatch how many of them make a batch, 1 or more
   * @param normaliseFisher whether the Fisher diagonal is divided by its mean, so that a beta goes
   *     for models of any confidence
   * @param seed of the choice of source rows
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      double E0,
      double eps,
      double beta,
      int fisherSize,
      int fisherBatch,
      boolean normaliseFisher,
      long seed,
      Rule optimiser,
      double lr,
      double momentum,
      int steps)
      implements Descent {
    public Settings {
      HyperParameter.positive("E0", E0);
      HyperParameter.positive("eps", eps);
      HyperParameter.notNegative("beta", beta);
      HyperParameter.atLeast("fisherSize", fisherSize, 1);
      HyperParameter.atLeast("fisherBatch", fisherBatch, 1);
      Descent.check(lr, momentum, steps);
    }

    /** As the paper has it for CIFAR. */
    public static Settings defaults() {
      return new Settings(0.4, 0.4, 1, 2000, 64, false, 0, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public Eata() {
    this(Settings.defaults());
  }

  public Eata(Settings settings) {
    super(settings);
  }

  /**
   * The rows whose prediction is new.
   *
   * @param probabilities [N, C]
   * @param mean the mean prediction so far [C]; null if there is none, then all are new
   * @return bool [N]
   */
  public static Tensor novel(Tensor probabilities, @Nullable Tensor mean, double eps) {
    return Scopes.noGrad(
        () ->
            mean == null
                ? torch.ones_like(probabilities.select(1, 0)).to(ScalarType.Bool)
                : torch
                    .cosine_similarity(mean.unsqueeze(0), probabilities, 1, 1e-8)
                    .abs()
                    .lt(new Scalar(eps)));
  }

  /**
   * The mean of exp(margin - H) H over rows; no gradient flows through the weights.
   *
   * @param entropy H [N]
   * @param kept bool [N], at least one
   * @param margin E0 in nats
   */
  public static Tensor weighted(Tensor entropy, Tensor kept, double margin) {
    return Scopes.tensor(
        () -> {
          Tensor weight = entropy.detach().neg().add(new Scalar(margin)).exp();
          return Entropies.masked(weight.mul(entropy), kept);
        });
  }

  /**
   * Adds the squared gradient of the mean cross-entropy of a batch with its own predictions.
   *
   * @param sums by parameter name, float64; changed
   * @param logits [N, C], computed from {@code parameters} with gradients
   */
  static void addSquares(Map<String, Tensor> sums, Map<String, Tensor> parameters, Tensor logits) {
    Tensor loss = Scopes.grad(true, () -> PseudoLabel.losses(logits).mean());
    List<Tensor> gradients = Gradients.of(loss, List.copyOf(parameters.values()), false);
    int i = 0;
    for (String name : parameters.keySet()) {
      Objects.requireNonNull(sums.get(name))
          .add_(gradients.get(i++).to(ScalarType.Double).square());
    }
  }

  @Override
  protected Set<Need> ownNeeds() {
    Set<Need> needs = EnumSet.copyOf(super.ownNeeds());
    if (settings().beta() == 0) {
      needs.remove(Need.SOURCE);
    }
    return needs;
  }

  @Override
  protected String withoutSource() {
    return "give source data (labels are not used), or take ETA, which is eata:beta=0";
  }

  @Override
  protected void ready(Model copy) {
    int classes = copy.classes();
    if (settings().E0() >= 1) {
      LOG.warn("E0 = {} ln C and more lets every row pass as reliable.", settings().E0());
    }
    if (settings().eps() <= 1 / Math.sqrt(classes)) {
      LOG.warn(
          "eps = {} rejects nearly every row once predictions are even over {} classes: take"
              + " somewhat more than {}.",
          settings().eps(),
          classes,
          String.format(Locale.ROOT, "%.3f", 1 / Math.sqrt(classes)));
    }
  }

  @Override
  protected void learn(IndexedDataset source) {
    Map<String, Tensor> sums = zeros();
    int[] count = {0};
    undisturbed(
        () -> {
          try (Batches walk =
              source
                  .shuffled(Rng.derive(settings().seed(), "fisher"))
                  .limit(settings().fisherSize())
                  .batches(settings().fisherBatch())) {
            while (walk.hasNext()) {
              try (Batch batch = walk.next()) {
                count[0] += add(sums, batch.inputs().to(type()));
              }
            }
          }
        });
    keep(sums, count[0]);
  }

  /**
   * Estimates the Fisher diagonal anew, on these batches as they are, and ties the leash to the
   * weights as they are now.
   *
   * @param batches each [N, ...] of data that the model knows
   * @throws OutriggerException if it was not started or beta is 0
   */
  public void anchor(List<Tensor> batches) {
    HyperParameter.positive("beta", settings().beta());
    Scopes.run(
        () -> {
          Map<String, Tensor> sums = zeros();
          int[] count = {0};
          undisturbed(() -> batches.forEach(batch -> count[0] += add(sums, batch)));
          keep(sums, count[0]);
        });
  }

  /** Of the weights: data sets hold float32. */
  private ScalarType type() {
    return parameters().values().iterator().next().scalar_type().intern();
  }

  private Map<String, Tensor> zeros() {
    model();
    Map<String, Tensor> sums = new LinkedHashMap<>();
    parameters()
        .forEach((name, p) -> sums.put(name, torch.zeros_like(p.detach()).to(ScalarType.Double)));
    return sums;
  }

  /** Adds a batch, unless it is a rest too small to be normalised. */
  private int add(Map<String, Tensor> sums, Tensor inputs) {
    if (inputs.size(0) < minimumBatch()) {
      return 0;
    }
    Shapes.finite("A batch of source data", inputs);
    try (PointerScope scope = new PointerScope()) {
      addSquares(sums, parameters(), Scopes.grad(true, () -> forward(inputs)).logits());
    }
    return 1;
  }

  private void keep(Map<String, Tensor> sums, int batches) {
    if (batches == 0) {
      throw new OutriggerException(
          "EATA estimates the Fisher diagonal on batches of "
              + minimumBatch()
              + " or more rows, but got none: give more source data or a larger fisherBatch, or"
              + " take ETA, which is eata:beta=0.");
    }
    double scale = 1.0 / batches;
    if (settings().normaliseFisher()) {
      double total = 0;
      long values = 0;
      for (Tensor sum : sums.values()) {
        total += sum.sum().item_double();
        values += sum.numel();
      }
      scale = total > 0 ? values / total : scale;
    }
    Scalar factor = new Scalar(scale);
    parameters()
        .forEach(
            (name, p) -> {
              Tensor fisher = Objects.requireNonNull(sums.get(name)).mul(factor);
              statistics().put(FISHER + name, fisher.to(p.scalar_type()));
              statistics().put(ANCHOR + name, p.detach().clone());
            });
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor logits = output.logits();
    Tensor entropy = Entropies.entropy(logits);
    double margin = settings().E0() * Math.log(logits.size(1));
    Tensor reliable = entropy.detach().lt(new Scalar(margin));
    Tensor probabilities = torch.softmax(logits.detach(), 1);
    Tensor kept =
        select(
            inputs,
            logits,
            reliable.logical_and(novel(probabilities, memory().find(MEAN), settings().eps())));
    long rows = kept.sum().item_long();
    count(reliable.sum().item_long(), rows, 0);
    if (rows == 0) {
      idle();
      return null;
    }
    remember(probabilities, kept, rows);
    Tensor loss = weighted(entropy, kept, margin);
    return settings().beta() == 0 ? loss : loss.add(leash().mul(new Scalar(settings().beta())));
  }

  private void idle() {
    double idle = memory().number(IDLE, 0) + 1;
    memory().put(IDLE, idle);
    if (idle == STUCK) {
      LOG.warn(
          "{} kept no row of the last {} batches: it no longer adapts. Raise E0 or eps, or reset"
              + " it.",
          stack(),
          STUCK);
    }
  }

  private void remember(Tensor probabilities, Tensor kept, long rows) {
    Tensor old = memory().find(MEAN);
    Tensor now =
        kept.to(probabilities.scalar_type())
            .unsqueeze(0)
            .mm(probabilities)
            .squeeze(0)
            .div(new Scalar((double) rows));
    memory()
        .put(MEAN, old == null ? now : old.mul(new Scalar(KEEP)).add(now, new Scalar(1 - KEEP)));
    memory().put(SEEN, memory().number(SEEN, 0) + 1);
    memory().put(IDLE, 0);
  }

  /** The sum of F (theta - theta0)^2 over all trained parameters. */
  private Tensor leash() {
    Tensor total = null;
    for (Map.Entry<String, Tensor> entry : parameters().entrySet()) {
      Tensor apart = entry.getValue().sub(statistics().tensor(ANCHOR + entry.getKey()));
      Tensor pull = apart.square().mul(statistics().tensor(FISHER + entry.getKey())).sum();
      total = total == null ? pull : total.add(pull);
    }
    return Objects.requireNonNull(total);
  }

  @Override
  protected void restored() {
    if (memory().number(SEEN, 0) > 0 && memory().find(MEAN) == null) {
      throw damaged("mean prediction");
    }
    if (settings().beta() == 0) {
      return;
    }
    for (String name : trained()) {
      for (String part : List.of(FISHER, ANCHOR)) {
        Tensor saved = statistics().find(part + name);
        if (saved == null
            || saved.numel() != Objects.requireNonNull(parameters().get(name)).numel()) {
          throw damaged(part + name);
        }
      }
    }
  }

  private static OutriggerException damaged(String part) {
    return new OutriggerException(
        "The saved EATA lacks its "
            + part
            + ", without which it would adapt in another way: save it anew from one that was"
            + " started with the same settings.");
  }
}
