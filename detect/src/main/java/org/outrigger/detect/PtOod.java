package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Detection in a pre-trained feature space, for models of a frozen backbone and a linear probe: the
 * distance to the k-th nearest known feature does not look at the probe's decision boundary, which
 * accepts unknown inputs that the backbone knows from its pre-training. The score is {@code || u -
 * u_(k) ||} with {@code u = h / ||h||}, where h is what the backbone gives before the probe and
 * before any standardisation.
 *
 * <p>A feature of length 0 counts as the zero vector, whose distance to every unit feature is 1.
 * Models predict in evaluation mode, so the statistics of batch norm stay as they were when the
 * bank was filled. {@link Separability} tells how far the probe of a backbone can be trusted.
 *
 * <p>Miyai et al., "Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?", 2023.
 */
@Card(
    slug = "pt-ood",
    name = "PT-OOD",
    summary =
        "Far from the nearest pre-trained features means unknown, whatever the linear probe says.",
    paper =
        "Miyai et al. Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?"
            + " arXiv:2310.00847, 2023",
    year = 2023,
    room = Room.DETECT,
    needs = Need.FEATURES,
    state = "bank of known features of unit length")
public final class PtOod extends FittedDetector<PtOod.Settings> {
  /**
   * @param k which neighbour counts, from 1; about 0.1 % of the bank suits large banks
   * @param normalise whether features are scaled to unit length
   * @param bank the share of known rows that the bank keeps, above 0 and up to 1; 0.01 to 0.1 suits
   *     large data
   * @param seed of the choice of these rows
   */
  public record Settings(int k, boolean normalise, double bank, long seed) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.require(bank > 0 && bank <= 1, "bank", bank, "above 0, up to 1");
    }

    public static Settings defaults() {
      return new Settings(1, true, 1, 0);
    }
  }

  public PtOod() {
    this(Settings.defaults());
  }

  public PtOod(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D] as they are compared: of unit length (see {@link Knn#unit}) if the
   *     bank's are
   * @param bank [M, D], of the same type
   * @param k from 1 to M
   * @return [N], distances of 0 or more; up to 2 between unit features
   */
  public static Tensor score(Tensor features, Tensor bank, int k) {
    return Scopes.tensor(
        () ->
            NearestNeighbours.kthDistance(features, bank, NearestNeighbours.halfLengths(bank), k)
                .sqrt());
  }

  /**
   * A uniform choice of rows, in their order.
   *
   * @param rows [N, D]
   * @param share above 0, up to 1; at least one row is kept
   */
  static Tensor sample(Tensor rows, double share, long seed) {
    return Scopes.tensor(
        () -> {
          long kept = Math.max(1, Math.round(rows.size(0) * share));
          if (kept >= rows.size(0)) {
            return rows;
          }
          try (Rng rng = Rng.named(seed, "pt-ood bank")) {
            Tensor chosen = rng.permutation(rows.size(0)).narrow(0, 0, kept);
            return rows.index_select(0, chosen.sort().get0());
          }
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    Tensor all = Banks.collect(who(), known, rows -> compared(rows.features()));
    Tensor bank = sample(all, settings().bank(), settings().seed());
    if (settings().k() >= bank.size(0)) {
      throw new OutriggerException(
          "PT-OOD with k = "
              + settings().k()
              + " needs a bank of more rows than that, but it has "
              + bank.size(0)
              + ": lower k, keep a larger share (bank), or give more data.");
    }
    Fitted fitted = new Fitted(known.classes(), bank.size(1)).with("bank", bank);
    Tensor halfLengths = NearestNeighbours.halfLengths(bank);
    return halfLengths == null ? fitted : fitted.with("halfLengths", halfLengths);
  }

  private Tensor compared(Tensor features) {
    return settings().normalise() ? Knn.unit(features) : features;
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("The saved bank", fitted.tensor("bank"), "M", "D");
    if (fitted.has("halfLengths")) {
      shapes.tensor("The saved halfLengths", fitted.tensor("halfLengths"), "M");
    }
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor bank = fitted.tensor("bank");
    return NearestNeighbours.kthDistance(
            compared(rows.features().to(bank.scalar_type())),
            bank,
            fitted.has("halfLengths") ? fitted.tensor("halfLengths") : null,
            settings().k())
        .sqrt();
  }
}
