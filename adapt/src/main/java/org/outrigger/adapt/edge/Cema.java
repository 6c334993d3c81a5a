package org.outrigger.adapt.edge;

import java.util.List;
import java.util.Objects;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;

/**
 * CEMA: a device that runs its model forward only uploads the rows worth learning from; a stronger
 * model in the cloud adapts itself to them and teaches a copy of the device's model, whose
 * normalisation parameters are sent back.
 *
 * <p>Kept are rows with {@code E_min < H < E_max} ({@link Threshold}); the teacher minimises their
 * weighted entropy, the student an entropy and distillation loss ({@link SelectiveDistillation}).
 * Both normalise with {@link TestTimeBatchRenorm}; their source statistics are forgotten, so the
 * first batch should be no tiny one.
 *
 * <p>Chen et al., "Towards Robust and Efficient Cloud-Edge Elastic Model Adaptation via Selective
 * Entropy Distillation", ICLR 2024. The defaults are the paper's; the published configuration has a
 * static threshold and the filter by similarity, which the paper does not name.
 *
 * <p>This adapter holds both sides. For two processes see {@link CemaDevice}, {@link CemaCloud} and
 * {@link CloudServer}.
 */
@Card(
    slug = Cema.SLUG,
    name = "CEMA",
    summary = "A forward-only device uploads few rows; the cloud adapts and sends scales back.",
    paper =
        "Chen, Niu, Chen, Zhang, Tan, Wu, Li. Towards Robust and Efficient Cloud-Edge Elastic"
            + " Model Adaptation via Selective Entropy Distillation. ICLR 2024",
    year = 2024,
    room = Room.ADAPT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS},
    state = "normalisation of three networks, two optimisers, queue, replay, running entropy")
public final class Cema extends EdgeAdapter<Cema.Settings, CemaDevice> {
  static final String SLUG = "cema";

  /** How E_max follows the stream. */
  public enum Threshold {
    /** {@code E_max <- lambda E_max Ebar_t / Ebar_(t-1)}, kept between E_min and ln C. */
    PAPER,
    /**
     * {@code E_max = lambda E_max0 Ebar_t / Ebar_warm} once {@code warmUp} rows were seen, E_max0
     * before.
     */
    CODE,
    /** {@code E_max = E_max0}. */
    STATIC
  }

  /**
   * @param entHighMargin E_max0 as a share of ln C, above 0
   * @param entLowMargin E_min as a share of ln C, below entHighMargin; 0 for no lower bound
   * @param threshold how E_max follows the stream
   * @param lambda the factor of a moving E_max, above 0
   * @param warmUp rows before {@link Threshold#CODE} moves E_max, 1 or more with that rule
   * @param dMargin the largest cosine similarity to what was kept before, at most 1; 0 for no such
   *     filter
   * @param alpha weight of the student's entropy, 0 or more
   * @param beta weight of the divergence from the teacher, 0 or more
   * @param gamma weight of the cross-entropy to the teacher's label, 0 or more
   * @param temperature T of the divergence, above 0
   * @param deviceRate learning rate of the device's parameters, above 0
   * @param cloudRate learning rate of the teacher's parameters, above 0
   * @param cloudBatch rows of a step in the cloud, 2 or more
   * @param replay how many of the last uploaded rows are kept, cloudBatch or more
   * @param replayStart rows that must be kept before they are replayed, 1 or more
   * @param refresh K: after the tenth batch the device gets new parameters every K batches, 1 or
   *     more
   * @param seed of the replay
   */
  public record Settings(
      double entHighMargin,
      double entLowMargin,
      Threshold threshold,
      double lambda,
      long warmUp,
      double dMargin,
      double alpha,
      double beta,
      double gamma,
      double temperature,
      double deviceRate,
      double cloudRate,
      int cloudBatch,
      int replay,
      int replayStart,
      int refresh,
      long seed) {
    public Settings {
      HyperParameter.positive("entHighMargin", entHighMargin);
      HyperParameter.require(
          entLowMargin >= 0 && entLowMargin < entHighMargin,
          "entLowMargin",
          entLowMargin,
          "0 or more and below entHighMargin = " + entHighMargin);
      Objects.requireNonNull(threshold);
      HyperParameter.positive("lambda", lambda);
      HyperParameter.atLeast("warmUp", warmUp, threshold == Threshold.CODE ? 1 : 0);
      HyperParameter.between("dMargin", dMargin, 0, 1);
      HyperParameter.notNegative("alpha", alpha);
      HyperParameter.notNegative("beta", beta);
      HyperParameter.notNegative("gamma", gamma);
      HyperParameter.positive("temperature", temperature);
      HyperParameter.positive("deviceRate", deviceRate);
      HyperParameter.positive("cloudRate", cloudRate);
      HyperParameter.atLeast("cloudBatch", cloudBatch, 2);
      HyperParameter.atLeast("replay", replay, cloudBatch);
      HyperParameter.atLeast("replayStart", replayStart, 1);
      HyperParameter.atLeast("refresh", refresh, 1);
    }

    public static Settings defaults() {
      return new Settings(
          0.4, 0.02, Threshold.PAPER, 1, 0, 0, 3, 3, 1, 1, 0.0025, 0.00025, 32, 10_000, 256, 1, 0);
    }
  }

  public Cema() {
    this(Settings.defaults());
  }

  public Cema(Settings settings) {
    super(settings);
  }

  /**
   * Teaches with that model from the next start on, instead of with a copy of the device's.
   *
   * @param teacher is copied at the start and adapts if it has normalisation layers and can be
   *     copied; any other is borrowed, must stay open, and stays as it is
   * @return this
   */
  public Cema withTeacher(Model teacher) {
    teachWith(teacher);
    return this;
  }

  @Override
  CemaDevice device(Model model) {
    return new CemaDevice(settings(), model);
  }

  @Override
  CloudSession cloud(Model model, Model teacher) {
    return new CemaCloud(settings(), model, teacher);
  }

  @Override
  public List<String> trained() {
    return List.copyOf(device().copy().affine().keySet());
  }

  @Override
  public int minimumBatch() {
    return started() ? device().copy().minimumBatch() : 1;
  }
}
