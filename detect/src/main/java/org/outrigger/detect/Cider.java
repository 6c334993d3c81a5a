package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
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
public final class Cider implements TrainingObjective, Stateful, AutoCloseable {
  private static final String TYPE = "objective/cider";
  private static final double COMPACTNESS_BASE = 0.07;
  private static final double DISPERSION_BASE = 0.1;
  private static final String[] PARAMETERS = {
    "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"
  };

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
  private Map<String, Tensor> tensors = Map.of();

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
      now = now.index_copy(0, label, unit(moved));
    }
    return now;
  }

  private static Tensor unit(Tensor rows) {
    Tensor length = rows.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true);
    return rows.div(length.clamp_min(new Scalar(1e-12)));
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
    Scopes.run(
        () -> {
          try (AutoGradMode off = new AutoGradMode(false)) {
            Map<String, Tensor> made = new LinkedHashMap<>();
            Tensor sums =
                torch.zeros(
                    new long[] {classes, settings.embedding}, new TensorOptions(ScalarType.Double));
            Tensor counts = torch.zeros(new long[] {classes}, new TensorOptions(ScalarType.Long));
            Rows.forEach(
                "CIDER",
                known,
                rows -> {
                  if (made.isEmpty()) {
                    made.putAll(own(head(rows.features().size(1))));
                  }
                  Tensor embedded = embed(made, rows.features()).to(ScalarType.Double);
                  sums.index_add_(0, rows.labels(), embedded);
                  counts.add_(torch.one_hot(rows.labels(), classes).sum(0));
                });
            long[] sizes = Tensors.longs(counts);
            for (int c = 0; c < classes; c++) {
              if (sizes[c] == 0) {
                made.values().forEach(Scopes::release);
                throw new OutriggerException(
                    "CIDER needs known rows of each class, but class " + c + " has none.");
              }
            }
            made.put("prototypes", Scopes.own(unit(sums).to(ScalarType.Float)));
            close();
            tensors = trainable(made);
          }
        });
  }

  private Map<String, Tensor> head(long dimension) {
    try (Rng rng = Rng.named(settings.seed, "cider")) {
      double bound = 1 / Math.sqrt(dimension);
      Map<String, Tensor> head = new LinkedHashMap<>();
      head.put("head.0.weight", rng.fillUniform(floats(dimension, dimension), -bound, bound));
      head.put("head.0.bias", rng.fillUniform(floats(dimension), -bound, bound));
      head.put(
          "head.2.weight", rng.fillUniform(floats(settings.embedding, dimension), -bound, bound));
      head.put("head.2.bias", rng.fillUniform(floats(settings.embedding), -bound, bound));
      return head;
    }
  }

  private static Tensor floats(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Float));
  }

  private static Map<String, Tensor> own(Map<String, Tensor> made) {
    Map<String, Tensor> owned = new LinkedHashMap<>();
    made.forEach((name, tensor) -> owned.put(name, Scopes.own(tensor)));
    return owned;
  }

  private static Map<String, Tensor> trainable(Map<String, Tensor> owned) {
    for (String name : PARAMETERS) {
      get(owned, name).requires_grad_(true);
    }
    return owned;
  }

  private static Tensor get(Map<String, Tensor> tensors, String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "CIDER has no prototypes yet: call initialise with labelled known outputs first.");
    }
    return tensor;
  }

  private static Tensor embed(Map<String, Tensor> head, Tensor features) {
    Tensor x = features.to(ScalarType.Float);
    Tensor hidden =
        torch.relu(torch.addmm(get(head, "head.0.bias"), x, get(head, "head.0.weight").t()));
    return unit(torch.addmm(get(head, "head.2.bias"), hidden, get(head, "head.2.weight").t()));
  }

  /**
   * The unit embeddings of features.
   *
   * @param features [N, D]
   * @return float32 [N, E]
   */
  public Tensor embed(Tensor features) {
    return Scopes.tensor(() -> embed(tensors, features));
  }

  /** The projection head's weights; empty before {@link #initialise}. */
  @Override
  public Map<String, Tensor> parameters() {
    Map<String, Tensor> parameters = new LinkedHashMap<>();
    if (!tensors.isEmpty()) {
      for (String name : PARAMETERS) {
        parameters.put("cider." + name, get(tensors, name));
      }
    }
    return parameters;
  }

  /** The prototypes, float32 [C, E], borrowed. */
  public Tensor prototypes() {
    return get(tensors, "prototypes");
  }

  /** The loss; moves the prototypes. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    Tensor prototypes = prototypes();
    Shapes.check()
        .size("D", get(tensors, "head.0.weight").size(1), "the outputs CIDER was initialised with")
        .tensor("The features", output.features(), "N", "D")
        .tensor("The labels", labels, "N");
    Shapes.notEmpty("The features", output.features());
    Shapes.labels("The labels", labels, prototypes.size(0), true);
    return Scopes.tensor(
        () -> {
          Tensor rows = Losses.known(labels).nonzero().flatten();
          if (rows.numel() == 0) {
            return output.features().sum().mul(new Scalar(0.0));
          }
          Tensor label = labels.index_select(0, rows);
          Tensor embedded = embed(tensors, output.features().index_select(0, rows));
          Tensor moved = update(prototypes, embedded, label, settings.prototypeMomentum);
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
    Tensor old = tensors.put("prototypes", Scopes.own(moved));
    Scopes.release(old);
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    prototypes();
    return new State(TYPE, 1, Map.of("settings", Methods.values(settings)), tensors);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Scopes.run(
        () -> {
          try (AutoGradMode off = new AutoGradMode(false)) {
            Shapes shapes =
                Shapes.check()
                    .size("E", settings.embedding, "the setting embedding")
                    .tensor("The saved prototypes", state.tensor("prototypes"), "C", "E")
                    .tensor("The saved head.0.weight", state.tensor("head.0.weight"), "D", "D")
                    .tensor("The saved head.0.bias", state.tensor("head.0.bias"), "D")
                    .tensor("The saved head.2.weight", state.tensor("head.2.weight"), "E", "D")
                    .tensor("The saved head.2.bias", state.tensor("head.2.bias"), "E");
            @Nullable Tensor present = tensors.get("head.0.weight");
            if (present == null) {
              Map<String, Tensor> copies = new LinkedHashMap<>();
              for (String name : PARAMETERS) {
                copies.put(name, Scopes.own(state.tensor(name).clone()));
              }
              copies.put("prototypes", Scopes.own(state.tensor("prototypes").clone()));
              tensors = trainable(copies);
            } else {
              shapes.tensor("The projection head", present, "D", "D");
              // In place: an optimiser may hold the parameters.
              for (String name : PARAMETERS) {
                get(tensors, name).copy_(state.tensor(name));
              }
              replacePrototypes(state.tensor("prototypes").clone());
            }
          }
        });
  }

  @Override
  public void close() {
    tensors.values().forEach(Scopes::release);
    tensors = Map.of();
  }
}
