package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
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
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * CIDER: unit embeddings that lie close to their class's prototype (compactness) while prototypes
 * lie far apart (dispersion). {@code w Comp + Dis} with {@code Comp = -(t/0.07) mean log
 * softmax_c(h P_c / t)[y]} and {@code Dis = (t/0.1) mean_c log mean_{c' != c} exp(P_c P_c' / t)};
 * prototypes follow the embeddings by a moving average. Score with {@link Knn} on the features (not
 * on the embeddings) afterwards.
 *
 * <p>Ming et al., "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?",
 * ICLR 2023. Call {@link #initialise} first. Two augmented views of a row are two rows of a batch.
 * Outliers in a batch are left out.
 */
@Card(
    slug = "cider",
    name = "CIDER",
    summary = "Trains compact classes far apart on a sphere, for distance-based detectors.",
    paper =
        "Ming et al. How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?"
            + " ICLR 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS},
    state = "the projection head and a prototype for each class")
public final class Cider implements TrainingObjective, Stateful {
  private static final String TYPE = "objective/cider";
  private static final double COMPACTNESS_BASE = 0.07;
  private static final double DISPERSION_BASE = 0.1;

  /**
   * @param w the weight of compactness, 0 or more; 2
   * @param temperature t, above 0; 0.1
   * @param prototypeMomentum how much of a prototype stays at each update, in [0, 1]; 0.95
   * @param embedding the number of dimensions of the embeddings; 128
   * @param seed of the projection head's initial weights
   */
  public record Settings(
      double w, double temperature, double prototypeMomentum, int embedding, long seed) {
    public Settings {
      HyperParameter.notNegative("w", w);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.between("prototypeMomentum", prototypeMomentum, 0, 1);
      HyperParameter.atLeast("embedding", embedding, 2);
    }

    public static Settings defaults() {
      return new Settings(2, 0.1, 0.95, 128, 0);
    }
  }

  private final Settings settings;
  private @Nullable ProjectionHead head;
  private @Nullable Tensor prototypes;

  public Cider() {
    this(Settings.defaults());
  }

  public Cider(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * How similar the prototypes are to one another; smaller is further apart.
   *
   * @param prototypes [C, E], unit rows, at least two
   * @return a scalar
   */
  public static Tensor dispersion(Tensor prototypes, double temperature) {
    long classes = prototypes.size(0);
    Tensor similar = prototypes.mm(prototypes.t()).div(new Scalar(temperature));
    Tensor self = torch.eye(classes).to(ScalarType.Bool);
    return similar
        .masked_fill(self, new Scalar(Double.NEGATIVE_INFINITY))
        .logsumexp(1)
        .mean()
        .sub(new Scalar(Math.log(classes - 1.0)))
        .mul(new Scalar(temperature / DISPERSION_BASE));
  }

  /**
   * How far embeddings are from their prototypes.
   *
   * @param embeddings [N, E], unit rows
   * @param prototypes [C, E], unit rows, without gradient
   * @param labels int64 [N], each 0 or more
   * @return a scalar
   */
  public static Tensor compactness(
      Tensor embeddings, Tensor prototypes, Tensor labels, double temperature) {
    Tensor similar = embeddings.mm(prototypes.t()).div(new Scalar(temperature));
    return torch
        .cross_entropy_loss(similar, labels)
        .mul(new Scalar(temperature / COMPACTNESS_BASE));
  }

  /**
   * The prototypes after the embeddings in order, {@code P_y <- normalise(m P_y + (1 - m) h)}, with
   * gradients to the embeddings.
   *
   * @param prototypes [C, E], unit rows
   * @param embeddings [N, E]
   * @param labels int64 [N], each 0 or more
   * @return [C, E], unit rows
   */
  public static Tensor update(
      Tensor prototypes, Tensor embeddings, Tensor labels, double momentum) {
    Tensor position = Classes.positions(labels, prototypes.size(0));
    long rounds = position.max().item_long();
    Tensor now = prototypes;
    // Classes do not touch one another: the i-th rows of all classes are one step.
    for (long round = 0; round <= rounds; round++) {
      Tensor rows = position.eq(new Scalar(round)).nonzero().flatten();
      Tensor label = labels.index_select(0, rows);
      Tensor moved =
          now.index_select(0, label)
              .mul(new Scalar(momentum))
              .add(embeddings.index_select(0, rows).mul(new Scalar(1 - momentum)));
      now = now.index_copy(0, label, ProjectionHead.unit(moved));
    }
    return now;
  }

  /**
   * Makes the projection head for the features' size and sets each prototype to the normalised mean
   * embedding of its class. {@link #parameters()} lists the head afterwards.
   *
   * @param known labelled outputs of the network before training, in evaluation mode
   * @throws OutriggerException if a class is absent or there are fewer than two
   */
  public void initialise(Outputs known) {
    int classes = known.classes();
    HyperParameter.atLeast("the number of classes", classes, 2);
    @Nullable ProjectionHead[] made = {null};
    try {
      Scopes.run(() -> Scopes.grad(false, () -> meanEmbeddings(known, classes, made)));
    } catch (RuntimeException e) {
      if (made[0] != null) {
        made[0].release();
      }
      throw e;
    }
  }

  private boolean meanEmbeddings(Outputs known, int classes, @Nullable ProjectionHead[] made) {
    Tensor sums =
        torch.zeros(new long[] {classes, settings.embedding}, new TensorOptions(ScalarType.Double));
    Tensor counts = torch.zeros(new long[] {classes}, new TensorOptions(ScalarType.Long));
    Rows.forEach(
        "CIDER",
        known,
        rows -> {
          ProjectionHead drawn = made[0];
          if (drawn == null) {
            try (Rng rng = Rng.named(settings.seed, "cider")) {
              drawn = ProjectionHead.draw(rows.features().size(1), settings.embedding, rng);
            }
            made[0] = drawn;
          }
          Tensor embedded = drawn.embed(rows.features()).to(ScalarType.Double);
          sums.index_add_(0, rows.labels(), embedded);
          counts.add_(torch.one_hot(rows.labels(), classes).sum(0));
        });
    long[] sizes = Tensors.longs(counts);
    for (int c = 0; c < classes; c++) {
      if (sizes[c] == 0) {
        throw new OutriggerException(
            "CIDER needs known rows of each class, but class " + c + " has none.");
      }
    }
    Tensor start = Scopes.own(ProjectionHead.unit(sums).to(ScalarType.Float));
    close();
    head = made[0];
    prototypes = start;
    return true;
  }

  /** {@linkplain #initialise Initialises} with what the model makes of the data. */
  @Override
  public void prepare(Model model, IndexedDataset train, int batchSize) {
    try (RecordedOutputs outputs =
        RecordedOutputs.record(
            model, train, RecordedOutputs.Options.defaults().withBatchSize(batchSize))) {
      initialise(outputs);
    }
  }

  @Override
  public boolean leavesHead() {
    return true;
  }

  private static <T> T need(@Nullable T part) {
    if (part == null) {
      throw new OutriggerException(
          "CIDER has no prototypes yet: call initialise with labelled known outputs first.");
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
    return head == null ? Map.of() : head.parameters("cider");
  }

  /** The prototypes, float32 [C, E], borrowed. */
  public Tensor prototypes() {
    return need(prototypes);
  }

  /** The loss; moves the prototypes. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    Tensor present = prototypes();
    ProjectionHead projection = need(head);
    Shapes.check()
        .size("D", projection.dimension(), "the outputs CIDER was initialised with")
        .tensor("The features", output.features(), "N", "D")
        .tensor("The labels", labels, "N");
    Shapes.notEmpty("The features", output.features());
    Shapes.labels("The labels", labels, present.size(0), true);
    return Scopes.tensor(
        () -> {
          Tensor rows = Losses.known(labels).nonzero().flatten();
          if (rows.numel() == 0) {
            return output.features().sum().mul(new Scalar(0.0));
          }
          Tensor label = labels.index_select(0, rows);
          Tensor embedded = projection.embed(output.features().index_select(0, rows));
          Tensor moved = update(present, embedded, label, settings.prototypeMomentum);
          Tensor still = moved.detach();
          Tensor loss =
              compactness(embedded, still, label, settings.temperature)
                  .mul(new Scalar(settings.w))
                  .add(dispersion(moved, settings.temperature));
          replacePrototypes(still);
          return loss;
        });
  }

  private void replacePrototypes(Tensor moved) {
    // A new tensor: the graph of this loss may need the earlier one.
    Tensor old = prototypes;
    prototypes = Scopes.own(moved);
    Scopes.release(old);
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Tensor> saved = new LinkedHashMap<>(need(head).tensors());
    saved.put("prototypes", prototypes());
    return new State(TYPE, 1, Map.of("settings", Methods.values(settings)), saved);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Shapes shapes =
        Shapes.check()
            .size("E", settings.embedding, "the setting embedding")
            .tensor("The saved prototypes", state.tensor("prototypes"), "C", "E");
    ProjectionHead.check(shapes, state);
    ProjectionHead present = head;
    if (present == null) {
      head = ProjectionHead.of(state);
    } else {
      present.check(shapes);
      present.copy(state);
    }
    Scopes.run(() -> replacePrototypes(state.tensor("prototypes").clone()));
  }

  @Override
  public void close() {
    if (head != null) {
      head.release();
      head = null;
    }
    Scopes.release(prototypes);
    prototypes = null;
  }
}
