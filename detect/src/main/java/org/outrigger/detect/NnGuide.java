package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Nearest-neighbour guidance: the energy of an input, trusted as far as known inputs of high energy
 * are near it. The score is {@code -(mean of the K largest <z/||z||, G_i>) log sum_c exp f_c(z)},
 * where the bank {@code G_i = z_i/||z_i|| log sum_c exp f_c(z_i)} holds a random share of the known
 * rows.
 *
 * <p>Park, Jung, Teoh, "Nearest Neighbor Guidance for Out-of-Distribution Detection", ICCV 2023.
 */
@Card(
    slug = "nnguide",
    name = "NNGuide",
    summary = "Energy, weighted by the similarity to known features of high energy.",
    paper =
        "Park, Jung, Teoh. Nearest Neighbor Guidance for Out-of-Distribution Detection. "
            + "ICCV 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "bank of guiding features, copy of the head")
public final class NnGuide extends FittedDetector<NnGuide.Settings> {
  /**
   * @param k how many neighbours are averaged, from 1 to the size of the bank; 100 in the paper
   * @param alpha the share of the known rows in the bank, above 0 to 1; 0.01 in the paper
   * @param seed which rows are drawn
   */
  public record Settings(int k, double alpha, long seed) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.require(alpha > 0 && alpha <= 1, "alpha", alpha, "above 0 and at most 1");
    }

    public static Settings defaults() {
      return new Settings(100, 0.01, 0);
    }
  }

  public NnGuide() {
    this(Settings.defaults());
  }

  public NnGuide(Settings settings) {
    super(settings);
  }

  /**
   * The bank's rows G_i.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @return [N, D]
   */
  public static Tensor guides(Tensor features, Tensor logits) {
    return Scopes.tensor(() -> Knn.unit(features).mul(logits.logsumexp(1).unsqueeze(1)));
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @param bank [M, D], see {@link #guides}
   * @param k from 1 to M
   * @return [N]
   */
  public static Tensor score(Tensor features, Tensor logits, Tensor bank, int k) {
    return Scopes.tensor(
        () ->
            NearestNeighbours.byProduct(Knn.unit(features), bank, k)
                .values()
                .mean(1)
                .mul(Energy.score(logits, 1)));
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = HeadEnergy.check(known, who());
    long rows = Rows.forEach(who(), known, r -> {});
    long size = (long) Math.ceil(settings().alpha() * rows);
    if (settings().k() > size) {
      throw new OutriggerException(
          "NNGuide with k = "
              + settings().k()
              + " needs a bank of as many rows, but alpha = "
              + settings().alpha()
              + " of "
              + rows
              + " known rows gives "
              + size
              + ". Lower k, raise alpha or give more data.");
    }
    Tensor drawn = draw(rows, size);
    long[] seen = {0};
    Tensor bank =
        Banks.collect(
            who(),
            known,
            r -> {
              Tensor chosen = drawn.narrow(0, seen[0], r.size()).nonzero().flatten();
              seen[0] += r.size();
              Tensor features = r.features(head.weight().size(1)).index_select(0, chosen);
              return guides(features, head.apply(features));
            });
    return new Fitted(known.classes(), bank.size(1)).with(head).with("bank", bank);
  }

  /** Which rows are in the bank: a mask [rows] with {@code size} ones. */
  private Tensor draw(long rows, long size) {
    try (Rng rng = Rng.named(settings().seed(), "nnguide bank")) {
      return rng.permutation(rows).lt(new Scalar(size));
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
    shapes.tensor("The saved bank", fitted.tensor("bank"), "M", "D");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    ScalarType type = fitted.tensor("bank").scalar_type().intern();
    Tensor features = rows.features().to(type);
    return score(
        features, fitted.head(type).apply(features), fitted.tensor("bank"), settings().k());
  }
}
