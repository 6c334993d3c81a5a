package org.outrigger.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.TrainingListener.Plan;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * PALM: unit embeddings that gather about several prototypes a class. A sample is shared out among
 * its class's prototypes by optimal transport (Sinkhorn) and keeps the {@code k} likeliest;
 * prototypes follow their samples by a moving average P'. The loss is {@code L_mle + lambda L_pc}
 * with {@code L_mle = -mean_i [ sum_p w_ip z_i P'_p / tau - log sum_p exp(z_i P'_p / tau) ]} and a
 * contrast that draws prototypes of a class together and pushes all others apart.
 *
 * <p>Lu, Gong, Wang, Xue, Yao, Moore, "Learning with Mixture of Prototypes for Out-of-Distribution
 * Detection", ICLR 2024. {@link #initialise} or {@link #prepare} comes first; a step wants two
 * augmented views of each row, which the trainer makes if it has an augmentation. Afterwards {@link
 * Ssd} or {@link Knn} score the features (not the embeddings). Outliers in a batch are left out.
 *
 * <p>The paper trains for hundreds of epochs. With fewer than about 2,000 steps prototypes hardly
 * leave their random start at the default momentum: take 0.99, or 0.9. With one prototype a class
 * (K = 1) the contrast has nothing to draw together and only pushes; lambda = 0 switches it off.
 */
@Card(
    slug = "palm",
    name = "PALM",
    summary = "Trains features that gather about several prototypes a class, for distances.",
    paper =
        "Lu, Gong, Wang, Xue, Yao, Moore. Learning with Mixture of Prototypes for"
            + " Out-of-Distribution Detection. ICLR 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS},
    state = "the projection head, the prototypes, how many rows of each class were seen")
public final class Palm implements TrainingObjective, Stateful {
  private static final String TYPE = "objective/palm";
  private static final Logger LOG = LoggerFactory.getLogger(Palm.class);
  private static final int WARM_UP_EPOCHS = 10;
  private static final double FLOOR = 0.001;

  /**
   * @param cacheSize K, the prototypes of a class, 1 or more; 6
   * @param k how many prototypes a sample keeps; 5. Above K it is K; 0 to keep all
   * @param prototypeMomentum mu, how much of a prototype stays at each step, in [0, 1]; 0.999
   * @param temperature tau, above 0; 0.1
   * @param epsilon how even the assignment is, above 0; 0.05
   * @param sinkhornIterations 1 or more; 3
   * @param lambda the weight of the contrast between prototypes, 0 or more; 1
   * @param embedding the number of dimensions of the embeddings; 128
   * @param labelled false to ignore classes: K prototypes in all, shared by all rows
   * @param seed of the projection head and the prototypes
   */
  public record Settings(
      int cacheSize,
      int k,
      double prototypeMomentum,
      double temperature,
      double epsilon,
      int sinkhornIterations,
      double lambda,
      int embedding,
      boolean labelled,
      long seed) {
    public Settings {
      HyperParameter.atLeast("cacheSize", cacheSize, 1);
      HyperParameter.atLeast("k", k, 0);
      HyperParameter.between("prototypeMomentum", prototypeMomentum, 0, 1);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.positive("epsilon", epsilon);
      HyperParameter.atLeast("sinkhornIterations", sinkhornIterations, 1);
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.atLeast("embedding", embedding, 2);
    }

    /** The paper's. */
    public static Settings defaults() {
      return new Settings(6, 5, 0.999, 0.1, 0.05, 3, 1, 128, true, 0);
    }

    /** Without classes: so many prototypes for all rows together. */
    public Settings unlabelled(int prototypes) {
      return new Settings(
          prototypes,
          k,
          prototypeMomentum,
          temperature,
          epsilon,
          sinkhornIterations,
          lambda,
          embedding,
          false,
          seed);
    }
  }

  private final Settings settings;
  private @Nullable ProjectionHead head;
  private @Nullable Tensor prototypes;
  private @Nullable Tensor seen;

  public Palm() {
    this(Settings.defaults());
  }

  public Palm(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The paper's pace for {@link org.outrigger.core.optim.Trainer#scheduleFor}: each step takes the
   * rate that was set {@linkplain #rateAfter after} the one before; the first takes the base rate.
   */
  public static Schedule schedule(Plan plan) {
    return step -> step == 0 ? 1 : rateAfter(step - 1, plan);
  }

  /**
   * The factor on the learning rate that is set after a step: from 0 in a line to 1 over 10 epochs,
   * then along half a cosine to 0.001 at the end.
   *
   * @param step from 0
   */
  public static double rateAfter(long step, Plan plan) {
    long rising = WARM_UP_EPOCHS * plan.stepsPerEpoch();
    return step < rising
        ? step / (double) rising
        : Schedule.cosine(Math.max(1, plan.totalSteps() - rising), FLOOR).factor(step - rising);
  }

  /**
   * Makes the projection head, and prototypes that are uniform in [0, 1) before they are scaled to
   * unit length. {@link #parameters()} lists the head afterwards.
   *
   * @param dimension the number of features D
   * @param classes the number of classes C
   */
  public void initialise(long dimension, int classes) {
    HyperParameter.atLeast("the number of features", dimension, 1);
    HyperParameter.atLeast("the number of classes", classes, 1);
    if (settings.k > settings.cacheSize) {
      LOG.warn(
          "PALM: k = {} is more than the {} prototypes of a class: all of them are kept.",
          settings.k,
          settings.cacheSize);
    }
    if (settings.cacheSize == 1 && settings.lambda > 0) {
      LOG.warn(
          "PALM: with one prototype a class the contrast only pushes prototypes apart; set lambda ="
              + " 0 to switch it off.");
    }
    Scopes.run(
        () -> {
          try (Rng rng = Rng.named(settings.seed, "palm")) {
            long groups = settings.labelled ? classes : 1;
            ProjectionHead drawn = ProjectionHead.draw(dimension, settings.embedding, rng);
            Tensor start =
                ProjectionHead.unit(rng.uniform(groups * settings.cacheSize, settings.embedding));
            close();
            head = drawn;
            prototypes = Scopes.own(start);
            seen = Scopes.own(torch.zeros(new long[] {groups}, new TensorOptions(ScalarType.Long)));
          }
        });
  }

  /**
   * {@linkplain #initialise Initialises} for the model's features and classes, and warns of classes
   * that have no row: their prototypes would stay where chance put them.
   */
  @Override
  public void prepare(Model model, IndexedDataset train, int batchSize) {
    int classes;
    try (PointerScope scope = new PointerScope();
        Batches walk = train.batches(batchSize)) {
      if (!walk.hasNext()) {
        throw new OutriggerException(
            "PALM has no rows to train on: '" + train.name() + "' has none that can be read.");
      }
      Tensor features = model.predict(walk.next().inputs()).features();
      // Some models know it only after their first prediction.
      classes = model.classes();
      initialise(features.size(1), classes);
    }
    if (settings.labelled) {
      boolean[] found = new boolean[classes];
      Arrays.stream(train.labels())
          .filter(c -> c >= 0 && c < classes)
          .forEach(c -> found[c] = true);
      List<Integer> missing = IntStream.range(0, classes).filter(c -> !found[c]).boxed().toList();
      if (!missing.isEmpty()) {
        LOG.warn(
            "PALM: '{}' has no row of the classes {}, so their prototypes stay random and attract"
                + " nothing. Give rows of each class.",
            train.name(),
            missing);
      }
    }
  }

  @Override
  public boolean leavesHead() {
    return true;
  }

  /** Two, as in the paper. */
  @Override
  public int views() {
    return 2;
  }

  private static <T> T need(@Nullable T part) {
    if (part == null) {
      throw new OutriggerException(
          "PALM has no prototypes yet: call initialise with the sizes of features and classes"
              + " first.");
    }
    return part;
  }

  /**
   * The unit embeddings of features.
   *
   * @param features [N, D]
   * @return float32 [N, E]
   */
  public Tensor embed(Tensor features) {
    return need(head).embed(features);
  }

  /** The projection head's weights; empty before {@link #initialise}. */
  @Override
  public Map<String, Tensor> parameters() {
    return head == null ? Map.of() : head.parameters("palm");
  }

  /** The prototypes, float32 [M, E], unit rows, borrowed; prototype p is of class p mod C. */
  public Tensor prototypes() {
    return need(prototypes);
  }

  /** How many rows of each class the losses so far were computed on, int64 [C], borrowed. */
  public Tensor seen() {
    return need(seen);
  }

  /** The loss; moves the prototypes. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    Tensor present = prototypes();
    ProjectionHead projection = need(head);
    long groups = seen().size(0);
    Shapes.check()
        .size("D", projection.dimension(), "what PALM was initialised for")
        .tensor("The features", output.features(), "N", "D")
        .tensor("The labels", labels, "N");
    Shapes.notEmpty("The features", output.features());
    Shapes.labels("The labels", labels, settings.labelled ? groups : Long.MAX_VALUE, true);
    return Scopes.tensor(
        () -> {
          Tensor rows = Losses.known(labels).nonzero().flatten();
          if (rows.numel() == 0) {
            return output.features().sum().mul(new Scalar(0.0));
          }
          Tensor label = labels.index_select(0, rows);
          if (!settings.labelled) {
            label = torch.zeros_like(label);
          }
          Tensor embedded = projection.embed(output.features().index_select(0, rows));
          PrototypeMixture step = PrototypeMixture.step(embedded, present, label, groups, settings);
          replace(step.prototypes(), torch.one_hot(label, groups).sum(0));
          return step.loss(settings.lambda);
        });
  }

  private void replace(Tensor moved, Tensor counted) {
    // A new tensor: the graph of this loss may need the earlier one.
    Tensor old = prototypes;
    prototypes = Scopes.own(moved.detach());
    Scopes.release(old);
    seen().add_(counted);
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Tensor> saved = new LinkedHashMap<>(need(head).tensors());
    saved.put("prototypes", prototypes());
    saved.put("seen", seen());
    return new State(TYPE, 1, Map.of("settings", Methods.values(settings)), saved);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Tensor moved = state.tensor("prototypes");
    Tensor counted = state.tensor("seen");
    Shapes shapes =
        Shapes.check()
            .size("E", settings.embedding, "the setting embedding")
            .tensor("The saved seen", counted, "C")
            .size("M", counted.size(0) * settings.cacheSize, "its classes and cacheSize")
            .tensor("The saved prototypes", moved, "M", "E");
    if (seen != null) {
      shapes.tensor("The classes of this PALM", seen, "C");
    }
    PrototypeMixture.requireUnit("The saved prototypes", moved, "The file is damaged.");
    ProjectionHead.check(shapes, state);
    ProjectionHead present = head;
    if (present == null) {
      head = ProjectionHead.of(state);
    } else {
      present.check(shapes);
      present.copy(state);
    }
    Scopes.run(
        () -> {
          Scopes.release(prototypes);
          Scopes.release(seen);
          prototypes = Scopes.own(moved.to(ScalarType.Float).clone());
          seen = Scopes.own(counted.to(ScalarType.Long).clone());
        });
  }

  @Override
  public void close() {
    if (head != null) {
      head.release();
      head = null;
    }
    Scopes.release(prototypes);
    Scopes.release(seen);
    prototypes = null;
    seen = null;
  }
}
