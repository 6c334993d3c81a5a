package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.apache.commons.statistics.distribution.ChiSquaredDistribution;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities.HasLinearHead;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * VOS: outliers are made up where the class-conditional Gaussians of the features are thinnest, and
 * a small logistic regression on the weighted energy learns to tell them apart. {@code CE + alpha
 * CE(phi(E_w), known or not)}, {@code E_w = -log sum_c relu(w_c) exp(f_c)}; w and phi are learned
 * with the network.
 *
 * <p>Du et al., "VOS: Learning What You Don't Know by Virtual Outlier Synthesis", ICLR 2022. Call
 * {@link #attach} first. Features of each class are kept in a queue; until all are full the loss is
 * cross-entropy alone. Outliers in a batch (labels below 0) count as outliers too. Both means are
 * over all rows.
 *
 * <p>The paper draws many samples of each Gaussian and keeps the least likely. With one covariance
 * the likelihood depends on the whitened radius alone, whose square is chi-squared, and the
 * direction is uniform: the extremes are drawn from the exact law of the largest radii of that many
 * samples, without drawing the others.
 */
@Card(
    slug = "vos",
    name = "VOS",
    summary = "Trains with outliers made up in feature space; no outlier data needed.",
    paper = "Du et al. VOS: Learning What You Don't Know by Virtual Outlier Synthesis. ICLR 2022",
    year = 2022,
    room = Room.DETECT,
    needs = {
      Need.LOGITS,
      Need.FEATURES,
      Need.LINEAR_HEAD,
      Need.PARAMETER_GRADIENTS,
      Need.TRAINING,
      Need.LABELS
    },
    state = "energy weights, the logistic regression, queues of features, the random state")
public final class Vos implements TrainingObjective, Stateful {
  private static final String TYPE = "objective/vos";
  private static final double RIDGE = 1e-4;

  /**
   * @param alpha the weight of the regression's loss, 0 or more; 0.1
   * @param queue how many features of each class are kept, at least 2; 1000
   * @param draws of how many samples of a class's Gaussian the extremes are taken; 10000
   * @param select how many extremes of each class become outliers, at most draws; 1
   * @param seed of the outliers and of the initial w and phi
   */
  public record Settings(double alpha, int queue, int draws, int select, long seed) {
    public Settings {
      HyperParameter.notNegative("alpha", alpha);
      HyperParameter.atLeast("queue", queue, 2);
      HyperParameter.atLeast("draws", draws, 1);
      HyperParameter.between("select", select, 1, draws);
    }

    public static Settings defaults() {
      return new Settings(0.1, 1000, 10_000, 1, 0);
    }
  }

  private final Settings settings;
  private @Nullable Rng rng;
  private @Nullable LinearHead head;
  private Map<String, Tensor> tensors = Map.of();

  public Vos() {
    this(Settings.defaults());
  }

  public Vos(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The weighted energy; larger means less familiar.
   *
   * @param logits [N, C]
   * @param weights [C], at least one above 0
   * @return [N]
   */
  public static Tensor energy(Tensor logits, Tensor weights) {
    Tensor off = weights.le(new Scalar(0)).unsqueeze(0);
    if (off.all().item_bool()) {
      throw new OutriggerException(
          "The weighted energy is infinite: no energy weight is above 0. Train VOS with a smaller"
              + " learning rate or more known data.");
    }
    // Shifted by the largest logit that counts: one that does not could overflow or hide the rest.
    Tensor shift =
        logits
            .detach()
            .masked_fill(off, new Scalar(Double.NEGATIVE_INFINITY))
            .amax(new long[] {1}, true);
    Tensor exponents = logits.sub(shift).masked_fill(off, new Scalar(0.0)).exp();
    Tensor mass = torch.relu(weights).mul(exponents).sum(1);
    return mass.log().add(shift.squeeze(1)).neg();
  }

  /**
   * The loss, both parts averaged over all rows.
   *
   * @param logits [N, C]
   * @param labels int64 [N]; below 0 for outliers
   * @param weights [C]
   * @param phiWeight [2, 1]; output 1 stands for known
   * @param phiBias [2]
   * @return a scalar
   */
  public static Tensor loss(
      Tensor logits,
      Tensor labels,
      Tensor weights,
      Tensor phiWeight,
      Tensor phiBias,
      double alpha) {
    Tensor regression = torch.addmm(phiBias, energy(logits, weights).unsqueeze(1), phiWeight.t());
    Tensor known = Losses.known(labels).to(ScalarType.Long);
    return Losses.crossEntropy(logits, labels)
        .mean()
        .add(torch.cross_entropy_loss(regression, known).mul(new Scalar(alpha)));
  }

  /**
   * Tells which head turns features into logits, so that made-up features can be scored and their
   * gradient reaches it. The first call makes w and phi, which {@link #parameters()} then lists; a
   * later one, after a restore, keeps them.
   *
   * @param newHead of the network in training, with the very tensors that are trained
   */
  public void attach(LinearHead newHead) {
    Scopes.run(
        () -> {
          long classes = newHead.weight().size(0);
          long dimension = newHead.weight().size(1);
          if (tensors.isEmpty()) {
            tensors = own(initial(classes, dimension));
          } else {
            Shapes.check()
                .size("C", tensor("energy").size(0), "this VOS")
                .size("D", tensor("queue").size(2), "this VOS")
                .tensor("The head's weight", newHead.weight(), "C", "D");
          }
          LinearHead old = head;
          head = new LinearHead(Scopes.own(newHead.weight()), Scopes.own(newHead.bias()));
          release(old);
        });
  }

  /** {@linkplain #attach Attaches} the model's head. */
  @Override
  public void prepare(Model model, IndexedDataset train, int batchSize) {
    model.as(HasLinearHead.class).ifPresent(owner -> attach(owner.head()));
  }

  private Map<String, Tensor> initial(long classes, long dimension) {
    Map<String, Tensor> made = new LinkedHashMap<>();
    made.put("energy", rng().uniform(classes));
    made.put("phi.weight", rng().fillUniform(floats(2, 1), -1, 1));
    made.put("phi.bias", rng().fillUniform(floats(2), -1, 1));
    made.put("queue", floats(classes, settings.queue, dimension));
    TensorOptions integers = new TensorOptions(ScalarType.Long);
    made.put("count", torch.zeros(new long[] {classes}, integers));
    made.put("next", torch.zeros(new long[] {classes}, integers));
    return made;
  }

  private static Tensor floats(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Float));
  }

  private static Map<String, Tensor> own(Map<String, Tensor> made) {
    Map<String, Tensor> owned = new LinkedHashMap<>();
    made.forEach((name, tensor) -> owned.put(name, Scopes.own(tensor)));
    for (String name : new String[] {"energy", "phi.weight", "phi.bias"}) {
      Tensor parameter = owned.get(name);
      if (parameter != null) {
        parameter.requires_grad_(true);
      }
    }
    return owned;
  }

  private Rng rng() {
    Rng made = rng;
    if (made == null) {
      made = Rng.named(settings.seed, "vos");
      rng = made;
    }
    return made;
  }

  private Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "VOS does not know the network's last layer yet: call attach with its linear head first.");
    }
    return tensor;
  }

  /** The energy weights w, w = {@code energy}, and phi; empty before {@link #attach}. */
  @Override
  public Map<String, Tensor> parameters() {
    if (tensors.isEmpty()) {
      return Map.of();
    }
    Map<String, Tensor> parameters = new LinkedHashMap<>();
    parameters.put("vos.energy", tensor("energy"));
    parameters.put("vos.phi.weight", tensor("phi.weight"));
    parameters.put("vos.phi.bias", tensor("phi.bias"));
    return parameters;
  }

  /** The energy weights w, [C], borrowed: what {@link WeightedEnergy} scores with. */
  public Tensor energyWeights() {
    return tensor("energy");
  }

  /** Whether every class's queue is full, so that outliers are made up. */
  public boolean ready() {
    return !tensors.isEmpty()
        && Scopes.scoped(() -> tensor("count").min().item_long() == settings.queue);
  }

  /** The loss; adds the batch's features to the queues. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    Tensor logits = output.logits();
    Losses.check(logits, labels);
    LinearHead last = head;
    if (last == null) {
      throw new OutriggerException(
          "VOS does not know the network's last layer yet: call attach with its linear head first.");
    }
    Shapes.check()
        .size("C", last.weight().size(0), "the attached head")
        .size("D", last.weight().size(1), "the attached head")
        .tensor("The logits", logits, "N", "C")
        .tensor("The features", output.features(), "N", "D");
    return Scopes.tensor(
        () -> {
          enqueue(output.features().detach(), labels);
          if (!ready()) {
            return Losses.crossEntropy(logits, labels).mean();
          }
          Tensor made = synthesise().to(output.features().scalar_type());
          Tensor all = torch.cat(new TensorVector(logits, last.apply(made)), 0);
          Tensor none = torch.full_like(labels.narrow(0, 0, 1), new Scalar(-1));
          Tensor marked = torch.cat(new TensorVector(labels, none.expand(made.size(0))), 0);
          return loss(
              all,
              marked,
              tensor("energy"),
              tensor("phi.weight"),
              tensor("phi.bias"),
              settings.alpha);
        });
  }

  /** First in, first out, for all classes at once. */
  private void enqueue(Tensor features, Tensor labels) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      Tensor known = Losses.known(labels).nonzero().flatten();
      if (known.numel() == 0) {
        return;
      }
      Tensor queue = tensor("queue");
      long classes = queue.size(0);
      Tensor label = labels.index_select(0, known);
      Tensor rows = features.index_select(0, known).to(ScalarType.Float);
      Tensor position = Classes.positions(label, classes);
      Tensor added = torch.one_hot(label, classes).sum(0);
      // Of a class with more rows than its queue holds only the last remain.
      Tensor kept =
          position
              .ge(added.sub(new Scalar(settings.queue)).index_select(0, label))
              .nonzero()
              .flatten();
      Scalar size = new Scalar(settings.queue);
      Tensor slot = tensor("next").index_select(0, label).add(position).remainder(size);
      Tensor target = label.mul(size).add(slot).index_select(0, kept);
      queue.view(-1, queue.size(2)).index_copy_(0, target, rows.index_select(0, kept));
      tensor("next").add_(added).remainder_(size);
      tensor("count").add_(added).clamp_max_(size);
    }
  }

  /**
   * Outliers in feature space from the present queues.
   *
   * @return float64 [C select, D]
   */
  Tensor synthesise() {
    return Scopes.noGrad(
        () -> {
          Tensor queue = tensor("queue").to(ScalarType.Double);
          long classes = queue.size(0);
          long dimension = queue.size(2);
          Tensor means = queue.mean(new long[] {1}, true, null);
          Tensor centred = queue.sub(means).view(-1, dimension);
          Tensor covariance =
              centred
                  .t()
                  .mm(centred)
                  .div(new Scalar((double) centred.size(0)))
                  .add(torch.eye(dimension).to(ScalarType.Double).mul(new Scalar(RIDGE)));
          Tensor factor = torch.linalg_cholesky(covariance);
          Tensor direction = rng().normal(ScalarType.Double, classes, settings.select, dimension);
          Tensor length = direction.norm(new ScalarOptional(new Scalar(2)), new long[] {2}, true);
          Tensor white = direction.div(length).mul(radii(classes, dimension));
          return torch.matmul(white, factor.t()).add(means).flatten(0, 1);
        });
  }

  /** The largest whitened radii of so many samples, [C, select, 1]. */
  private Tensor radii(long classes, long dimension) {
    double[] uniform = Tensors.doubles(rng().uniform(ScalarType.Double, classes, settings.select));
    ChiSquaredDistribution squared = ChiSquaredDistribution.of(dimension);
    double[] radii = new double[uniform.length];
    double log = 0;
    for (int i = 0; i < radii.length; i++) {
      int place = i % settings.select;
      // The largest of n uniforms is u^(1/n); below it the next is the largest of n - 1.
      log = (place == 0 ? 0 : log) + Math.log1p(-uniform[i]) / (settings.draws - place);
      radii[i] = Math.sqrt(squared.inverseSurvivalProbability(-Math.expm1(log)));
    }
    return Tensors.of(radii, classes, settings.select, 1);
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    tensor("energy");
    Map<String, Tensor> saved = new LinkedHashMap<>(tensors);
    saved.put("rng", rng().state());
    return new State(TYPE, 1, Map.of("settings", Methods.values(settings)), saved);
  }

  /** Continues with the saved parameters and queues; call {@link #attach} as well. */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Scopes.run(
        () -> {
          try (AutoGradMode off = new AutoGradMode(false)) {
            Shapes shapes =
                Shapes.check()
                    .size("Q", settings.queue, "the setting queue")
                    .tensor("The saved energy", state.tensor("energy"), "C")
                    .tensor("The saved phi.weight", state.tensor("phi.weight"), "2", "1")
                    .tensor("The saved phi.bias", state.tensor("phi.bias"), "2")
                    .tensor("The saved queue", state.tensor("queue"), "C", "Q", "D")
                    .tensor("The saved count", state.tensor("count"), "C")
                    .tensor("The saved next", state.tensor("next"), "C");
            if (!tensors.isEmpty()) {
              shapes
                  .tensor("The energy weights", tensor("energy"), "C")
                  .tensor("The queue", tensor("queue"), "C", "Q", "D");
            }
            rng().state(state.tensor("rng"));
            if (tensors.isEmpty()) {
              Map<String, Tensor> copies = new LinkedHashMap<>();
              for (String name :
                  new String[] {"energy", "phi.weight", "phi.bias", "queue", "count", "next"}) {
                copies.put(name, state.tensor(name).clone());
              }
              tensors = own(copies);
            } else {
              // In place: an optimiser may hold the parameters.
              tensors.forEach((name, tensor) -> tensor.copy_(state.tensor(name)));
            }
          }
        });
  }

  @Override
  public void close() {
    tensors.values().forEach(Scopes::release);
    tensors = Map.of();
    release(head);
    head = null;
    if (rng != null) {
      rng.close();
      rng = null;
    }
  }

  private static void release(@Nullable LinearHead old) {
    if (old != null) {
      Scopes.release(old.weight());
      Scopes.release(old.bias());
    }
  }
}
