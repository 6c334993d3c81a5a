package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Modality discrepancy: how much the modalities of a model contradict each other. The mean over
 * pairs of modalities of the Hellinger distance of their predictions, in [0, 1]; it reads what each
 * modality's own head says, not the joint logits.
 *
 * <p>Dong et al., "MultiOOD: Scaling Out-of-Distribution Detection for Multiple Modalities",
 * NeurIPS 2024, who train models for it with {@link MultiOod}. Heads that were never trained
 * contradict each other at random.
 */
@Card(
    slug = "modality-discrepancy",
    name = "Modality discrepancy",
    summary = "Modalities that contradict each other mean unknown; needs no fitting.",
    paper =
        "Dong, Zhao, Chatzi, Fink. MultiOOD: Scaling Out-of-Distribution Detection for Multiple"
            + " Modalities. NeurIPS 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.FEATURE_MAPS, Need.MODALITIES})
public final class ModalityDiscrepancy implements Detector {
  private static final String TYPE = "detector/modality-discrepancy";

  /**
   * @param distance how two predictions are compared: any that a row has of its own
   */
  public record Settings(Discrepancy distance) {
    public Settings {
      HyperParameter.require(
          distance.ofRows(), "distance", distance, "HELLINGER, L1 or MSE, which rows have");
    }

    public static Settings defaults() {
      return new Settings(Discrepancy.HELLINGER);
    }
  }

  private volatile Settings settings;

  public ModalityDiscrepancy() {
    this(Settings.defaults());
  }

  public ModalityDiscrepancy(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The score.
   *
   * @param logits of each modality's head, two or more, [N, C]
   * @return [N], 0 or more
   */
  public static Tensor score(List<Tensor> logits, Discrepancy distance) {
    return MultiOod.overPairs(logits, distance::rows);
  }

  /** The logits [N, C] of each modality, of what {@link #maps} asks for. */
  private static List<Tensor> own(Output output) {
    Tensor heads = output.maps().get(HasModalities.HEADS);
    if (heads == null) {
      throw new OutriggerException(
          "Modality discrepancy needs what each modality says alone: predict with the maps that"
              + " maps(model) names, with a model of two or three modalities.");
    }
    long classes = output.logits().size(1);
    Shapes.check()
        .size("N", output.size(), "the logits")
        .tensor("The modalities' logits", heads, "N", "*");
    if (heads.size(1) % classes != 0 || heads.size(1) < 2 * classes) {
      throw new OutriggerException(
          "The modalities' logits have "
              + heads.size(1)
              + " columns, but "
              + classes
              + " for each of two or more modalities are needed.");
    }
    Shapes.notEmpty("The modalities' logits", heads);
    if (!Double.isFinite(heads.sum().item_double())) {
      Shapes.finite("The modalities' logits", heads);
    }
    List<Tensor> parts = new ArrayList<>();
    for (long from = 0; from < heads.size(1); from += classes) {
      parts.add(heads.narrow(1, from, classes));
    }
    return parts;
  }

  @Override
  public List<String> maps(Model model) {
    return model.as(HasModalities.class).isPresent() ? List.of(HasModalities.HEADS) : List.of();
  }

  /** Does nothing: this score has no statistics. */
  @Override
  public void fit(Outputs known) {}

  @Override
  public boolean fitted() {
    return true;
  }

  @Override
  public Tensor score(Output output) {
    return Scopes.noGrad(() -> score(own(output), settings.distance));
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Map.of("distance", settings.distance.name()));
    return new State(TYPE, 1, values, Map.of());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    settings =
        (Settings) Methods.create(Detector.class, card().slug(), state.map("settings")).settings();
  }
}
