package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BinaryOperator;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Capabilities.Modality;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * MultiOOD: the modalities of a model agree on the true class and disagree on all others, and
 * outliers made up between classes teach their heads to disagree on what is unknown. {@code L_c +
 * a2dRatio L_a + oodEntropyRatio L_e + a2dRatioOod L_o}, with
 *
 * <ul>
 *   <li>{@code L_c} the mean cross-entropy of the joint head and of each modality's own;
 *   <li>{@code L_a} (A2D, agree to disagree) minus the {@link Discrepancy} of two modalities'
 *       softmax without the true class, the mean over pairs;
 *   <li>{@code L_e}, {@code L_o} on outliers of {@link NpMix}: minus the normalised entropy of each
 *       modality's prediction, and minus the discrepancy over all classes. They reach the
 *       modalities' heads alone.
 * </ul>
 *
 * <p>Dong et al., "MultiOOD: Scaling Out-of-Distribution Detection for Multiple Modalities",
 * NeurIPS 2024. Call {@link #attach} first. The paper trains heads and the last stage of each
 * encoder with Adam at 1e-4 and keeps the epoch whose joint head is the most accurate; any score of
 * the joint logits or features follows. Outliers in a batch (labels below 0) are left out.
 */
@Card(
    slug = "multiood",
    name = "MultiOOD (A2D, NP-Mix)",
    summary = "Trains several modalities to disagree on all but the true class and on outliers.",
    paper =
        "Dong, Zhao, Chatzi, Fink. MultiOOD: Scaling Out-of-Distribution Detection for Multiple"
            + " Modalities. NeurIPS 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {
      Need.LOGITS,
      Need.FEATURES,
      Need.PARAMETER_GRADIENTS,
      Need.TRAINING,
      Need.LABELS,
      Need.MODALITIES
    },
    state = "the last features of each class")
public final class MultiOod implements TrainingObjective, StepObjective, Stateful, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(MultiOod.class);
  private static final String TYPE = "objective/multiood";
  private static final double IN_LOGARITHM = 1e-9;

  /**
   * @param a2dRatio the weight of A2D, 0 or more; the paper has 1 without outliers, 0.5 or 0.1 with
   * @param a2dRatioOod the weight of the discrepancy on outliers, 0 or more; 0.5, or 0.1 for far
   *     unknowns
   * @param oodEntropyRatio the weight of the entropy on outliers, 0 or more; as a2dRatioOod
   * @param distance how predictions are compared
   * @param nnK neighbours of a class that its outliers may lie towards, itself counted; 2 or more
   * @param mixupAlpha both parameters of the mixing share's beta distribution, above 0
   * @param sampleNumber features that are remembered of each class, at least 1
   * @param startEpoch the first epoch with outliers, from 0
   * @param useSinglePred whether the modalities' own heads are classifiers too; without it their
   *     cross-entropies are left out
   * @param logitNormTau 0 for plain cross-entropy; above 0 for {@link LogitNorm} at that
   *     temperature, 0.04 in the paper's code
   */
  public record Settings(
      double a2dRatio,
      double a2dRatioOod,
      double oodEntropyRatio,
      Discrepancy distance,
      int nnK,
      double mixupAlpha,
      int sampleNumber,
      int startEpoch,
      boolean useSinglePred,
      double logitNormTau) {
    public Settings {
      HyperParameter.notNegative("a2dRatio", a2dRatio);
      HyperParameter.notNegative("a2dRatioOod", a2dRatioOod);
      HyperParameter.notNegative("oodEntropyRatio", oodEntropyRatio);
      Objects.requireNonNull(distance);
      HyperParameter.atLeast("nnK", nnK, 2);
      HyperParameter.positive("mixupAlpha", mixupAlpha);
      HyperParameter.atLeast("sampleNumber", sampleNumber, 1);
      HyperParameter.atLeast("startEpoch", startEpoch, 0);
      HyperParameter.notNegative("logitNormTau", logitNormTau);
    }

    /** A2D and NP-Mix with the paper's weights of 0.5. */
    public static Settings defaults() {
      return new Settings(0.5, 0.5, 0.5, Discrepancy.HELLINGER, 3, 10, 65, 10, true, 0);
    }

    /** A2D alone with the paper's weight of 1. */
    public static Settings a2d() {
      return new Settings(1, 0, 0, Discrepancy.HELLINGER, 3, 10, 65, 10, true, 0);
    }

    /** The same with outliers from that epoch on. */
    public Settings withStartEpoch(int epoch) {
      return new Settings(
          a2dRatio,
          a2dRatioOod,
          oodEntropyRatio,
          distance,
          nnK,
          mixupAlpha,
          sampleNumber,
          epoch,
          useSinglePred,
          logitNormTau);
    }

    boolean outliers() {
      return a2dRatioOod > 0 || oodEntropyRatio > 0;
    }
  }

  private final Settings settings;
  private List<Modality> modalities = List.of();
  private @Nullable NpMix memory;
  private int epoch;
  private boolean warned;

  public MultiOod() {
    this(Settings.defaults());
  }

  public MultiOod(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The mean over pairs of modalities of the discrepancy of their predictions.
   *
   * @param logits of each modality, two or more, [N, C]
   * @return a scalar, 0 or more
   */
  public static Tensor discrepancy(List<Tensor> logits, Discrepancy distance) {
    return overPairs(logits, distance::between);
  }

  /** The mean over pairs of modalities of something of their softmax. */
  static Tensor overPairs(List<Tensor> logits, BinaryOperator<Tensor> ofPair) {
    return Scopes.tensor(
        () -> {
          List<Tensor> p = logits.stream().map(each -> torch.softmax(each, 1)).toList();
          List<Tensor> pairs = new ArrayList<>();
          for (int i = 0; i < p.size(); i++) {
            for (int j = i + 1; j < p.size(); j++) {
              pairs.add(ofPair.apply(p.get(i), p.get(j)));
            }
          }
          return mean(pairs);
        });
  }

  private static Tensor mean(List<Tensor> values) {
    return values.stream()
        .reduce(Tensor::add)
        .orElseThrow()
        .div(new Scalar((double) values.size()));
  }

  /**
   * A2D: minus the discrepancy of the modalities on all classes but the true one.
   *
   * @param logits of each modality, two or more, [N, C]; C is 3 or more
   * @param labels int64 [N], each 0 .. C-1
   * @return a scalar, 0 or less
   */
  public static Tensor agreeToDisagree(List<Tensor> logits, Tensor labels, Discrepancy distance) {
    return Scopes.tensor(
        () -> {
          long classes = logits.get(0).size(1);
          enough(classes);
          Tensor others = torch.one_hot(labels, classes).eq(new Scalar(0));
          return discrepancy(
                  logits.stream()
                      .map(each -> each.masked_select(others).view(-1, classes - 1))
                      .toList(),
                  distance)
              .neg();
        });
  }

  /**
   * The entropy of each prediction over that of a uniform one.
   *
   * @param logits [N, C]
   * @return [N], in [0, 1]
   */
  public static Tensor normalisedEntropy(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits, 1);
          return p.mul(p.add(new Scalar(IN_LOGARITHM)).log())
              .sum(1)
              .div(new Scalar(-Math.log(logits.size(1))));
        });
  }

  /**
   * The loss.
   *
   * @param joint logits [N, C] of the joint head
   * @param own logits [N, C] of each modality's head, two or more
   * @param labels int64 [N], each 0 .. C-1
   * @param outliers logits [M, C] of each modality's head on outliers; empty without outliers
   * @return a scalar
   */
  public static Tensor loss(
      Tensor joint, List<Tensor> own, Tensor labels, List<Tensor> outliers, Settings settings) {
    return Scopes.tensor(
        () -> {
          List<Tensor> classified = new ArrayList<>(List.of(joint));
          if (settings.useSinglePred) {
            classified.addAll(own);
          }
          Tensor loss =
              mean(
                  classified.stream()
                      .map(
                          logits ->
                              settings.logitNormTau > 0
                                  ? LogitNorm.loss(logits, labels, settings.logitNormTau)
                                  : torch.cross_entropy_loss(logits, labels))
                      .toList());
          if (settings.a2dRatio > 0) {
            Tensor disagreement = agreeToDisagree(own, labels, settings.distance);
            loss = loss.add(disagreement, new Scalar(settings.a2dRatio));
          }
          if (!outliers.isEmpty()) {
            Tensor entropy =
                mean(outliers.stream().map(each -> normalisedEntropy(each).mean()).toList());
            loss =
                loss.sub(entropy, new Scalar(settings.oodEntropyRatio))
                    .sub(
                        discrepancy(outliers, settings.distance), new Scalar(settings.a2dRatioOod));
          }
          return loss;
        });
  }

  /**
   * Tells how the model's features divide into modalities and which heads they have.
   *
   * @param model the one in training
   * @throws OutriggerException if it has no modalities, fewer than three classes, or fewer classes
   *     than the setting nnK
   */
  public void attach(Model model) {
    Optional<HasModalities> owner = model.as(HasModalities.class);
    if (owner.isEmpty()) {
      throw new OutriggerException(
          "MultiOOD trains a model of two or three modalities, which "
              + model.name()
              + " is not: use the architecture multimodal.");
    }
    attach(owner.get().modalities());
  }

  /** As {@link #attach(Model)}; the heads' tensors are the very ones that are trained. */
  public void attach(List<Modality> parts) {
    if (parts.size() < 2) {
      throw new OutriggerException(
          "MultiOOD compares modalities, but there is only " + parts.size() + ": two are needed.");
    }
    long classes = parts.get(0).head().weight().size(0);
    long dimension = 0;
    for (Modality part : parts) {
      Shapes.check()
          .size("C", classes, "the first modality")
          .size("D", part.width(), "the modality " + part.name())
          .tensor("The head of " + part.name(), part.head().weight(), "C", "D");
      dimension += part.width();
    }
    enough(classes);
    if (settings.outliers()) {
      HyperParameter.between("nnK", settings.nnK, 2, classes);
      NpMix present = memory;
      if (present == null) {
        memory = new NpMix(classes, settings.sampleNumber, dimension);
      } else {
        Shapes.check()
            .size("C", classes, "the model")
            .size("D", dimension, "the model")
            .tensor("The memory of MultiOOD", present.memory(), "C", "*", "D");
      }
    }
    modalities = List.copyOf(parts);
  }

  private static void enough(long classes) {
    if (classes < 3) {
      throw new OutriggerException(
          "MultiOOD lets modalities disagree on the classes that are not the true one, but of "
              + classes
              + " classes that leaves no choice: at least three are needed.");
    }
  }

  /** Warns once if outliers are due and a class has still too few features. */
  @Override
  public void epoch(int now) {
    epoch = now;
    NpMix present = memory;
    if (present == null || warned || now < Math.max(1, settings.startEpoch)) {
      return;
    }
    NpMix.Fill fill = present.fill();
    if (!fill.full()) {
      warned = true;
      LOG.warn(
          "MultiOOD makes no outliers in epoch {}: {}. Give more rows of rare classes, or lower"
              + " sampleNumber.",
          now + 1,
          fill);
    }
  }

  /** How many features each class has in memory; empty before {@link #attach} and for A2D alone. */
  public Optional<NpMix.Fill> fill() {
    return Optional.ofNullable(memory).map(NpMix::fill);
  }

  @Override
  public Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng) {
    Output output = network.apply(inputs);
    Tensor rows = rows(output, labels);
    Tensor label = labels.index_select(0, rows);
    Tensor joint = output.logits().index_select(0, rows);
    Tensor features = output.features().index_select(0, rows);
    List<Tensor> outliers = List.of();
    NpMix present = memory;
    if (present != null) {
      boolean full = present.fill().full();
      present.add(features, label);
      if (full && epoch >= settings.startEpoch) {
        Tensor made =
            present
                .outliers(settings.nnK, settings.mixupAlpha, rng)
                .to(features.scalar_type().intern());
        outliers = own(made);
      }
    }
    return new Result(loss(joint, own(features), label, outliers, settings), joint, label);
  }

  /** The loss of outputs as they are, without outliers; the memory stays as it is. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Tensor rows = rows(output, labels);
          return loss(
              output.logits().index_select(0, rows),
              own(output.features().index_select(0, rows)),
              labels.index_select(0, rows),
              List.of(),
              settings);
        });
  }

  private List<Tensor> own(Tensor features) {
    return modalities.stream().map(part -> part.logits(features)).toList();
  }

  /** The known rows of a batch, checked, int64 [K]. */
  private Tensor rows(Output output, Tensor labels) {
    if (modalities.isEmpty()) {
      throw new OutriggerException(
          "MultiOOD does not know the model's modalities yet: call attach with the model first.");
    }
    Losses.check(output.logits(), labels);
    Modality last = modalities.get(modalities.size() - 1);
    Shapes.check()
        .size("C", last.head().weight().size(0), "the attached model")
        .size("D", last.from() + last.width(), "the attached model")
        .tensor("The logits", output.logits(), "N", "C")
        .tensor("The features", output.features(), "N", "D");
    if (!Double.isFinite(output.features().sum().item_double())) {
      for (Modality part : modalities) {
        Shapes.finite(
            "The modality '" + part.name() + "' is missing or broken: its embedding",
            part.embedding(output.features()));
      }
    }
    Tensor known = Losses.known(labels).nonzero().flatten();
    if (known.numel() == 0) {
      throw new OutriggerException(
          "MultiOOD learns from known rows, but every label of this batch is below 0.");
    }
    return known;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>(Methods.values(settings));
    values.put("distance", settings.distance.name());
    NpMix present = memory;
    return new State(
        TYPE,
        1,
        Map.of("settings", values),
        present == null ? Map.of() : Map.of("memory", present.memory(), "count", present.count()));
  }

  /** Continues with the saved memory; call {@link #attach} before. */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    if (modalities.isEmpty()) {
      throw new OutriggerException(
          "MultiOOD does not know the model's modalities yet: call attach with the model first.");
    }
    NpMix present = memory;
    if (present != null) {
      present.restore(state);
    }
  }

  @Override
  public void close() {
    NpMix present = memory;
    memory = null;
    modalities = List.of();
    if (present != null) {
      present.close();
    }
  }
}
