package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.neighbour.GraphIndex;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Distance to the K-th nearest known input, between features scaled to unit length. The score is
 * {@code || z/||z|| - u_(K) ||^2}, where u_(K) is the K-th nearest of the unit features of the
 * known data; K counts from 1.
 *
 * <p>The features of all known rows are kept, in their own type. Neighbours are exact up to a
 * number of rows; beyond it they are found through a graph, whose choice of neighbour may miss a
 * nearer one, while the distance to it is exact.
 *
 * <p>Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022.
 */
@Card(
    slug = "knn",
    name = "KNN",
    summary = "Far from the K-th nearest known feature means unknown; strong with good features.",
    paper =
        "Sun, Ming, Zhu, Li. Out-of-Distribution Detection with Deep Nearest Neighbors. ICML 2022",
    year = 2022,
    room = Room.DETECT,
    needs = Need.FEATURES,
    state = "unit features of all known rows")
public final class Knn extends FittedDetector<Knn.Settings> {
  /**
   * @param k which neighbour counts, from 1; 50 in the paper for CIFAR
   * @param graphAbove beyond so many known rows a graph finds the neighbours approximately; up to
   *     it they are exact
   */
  public record Settings(int k, long graphAbove) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.atLeast("graphAbove", graphAbove, 0);
    }

    public static Settings defaults() {
      return new Settings(50, 1_000_000);
    }
  }

  private volatile @Nullable Live live;

  public Knn() {
    this(Settings.defaults());
  }

  public Knn(int k) {
    this(new Settings(k, Settings.defaults().graphAbove()));
  }

  public Knn(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param bank unit features of the known data, [M, D]; see {@link #unit}
   * @param k from 1 to M
   * @return [N], squared distances in [0, 4]
   */
  public static Tensor score(Tensor features, Tensor bank, int k) {
    return Scopes.tensor(
        () ->
            NearestNeighbours.kthDistance(
                unit(features), bank, NearestNeighbours.halfLengths(bank), k));
  }

  /** Rows scaled to unit length, [N, D]; a zero row stays zero. */
  public static Tensor unit(Tensor features) {
    return Scopes.tensor(
        () -> {
          Tensor length = features.norm(new ScalarOptional(new Scalar(2.0)), new long[] {1}, true);
          return features.div(length.masked_fill(length.eq(new Scalar(0.0)), new Scalar(1.0)));
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    Tensor bank = Banks.collect(who(), known, rows -> unit(rows.features()));
    if (bank.size(0) < settings().k()) {
      throw new OutriggerException(
          "KNN with k = "
              + settings().k()
              + " needs at least as many known rows, but there are "
              + bank.size(0)
              + ". Lower k or give more data.");
    }
    Fitted fitted = new Fitted(known.classes(), bank.size(1)).with("bank", bank);
    if (bank.size(0) > settings().graphAbove()) {
      return fitted.with("graph", GraphIndex.build(bank.to(ScalarType.Float)));
    }
    @Nullable Tensor halfLengths = NearestNeighbours.halfLengths(bank);
    return halfLengths == null ? fitted : fitted.with("halfLengths", halfLengths);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("The saved bank", fitted.tensor("bank"), "M", "D");
    if (fitted.has("graph")) {
      shapes.tensor("The saved graph", fitted.tensor("graph"), "B");
      GraphIndex.load(fitted.tensor("graph"), fitted.tensor("bank").to(ScalarType.Float));
    }
    if (fitted.has("halfLengths")) {
      shapes.tensor("The saved halfLengths", fitted.tensor("halfLengths"), "M");
    }
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor bank = fitted.tensor("bank");
    Tensor queries = unit(rows.features()).to(bank.scalar_type());
    int k = settings().k();
    if (fitted.has("graph")) {
      Tensor found = graph(fitted).search(queries, k);
      if (found.amin().item_long() >= 0) {
        return NearestNeighbours.distances(queries, bank, found.narrow(1, k - 1, 1)).squeeze(1);
      }
    }
    return NearestNeighbours.kthDistance(
        queries, bank, fitted.has("halfLengths") ? fitted.tensor("halfLengths") : null, k);
  }

  /** The graph of what was fitted, read once. */
  private GraphIndex graph(Fitted fitted) {
    Live now = live;
    if (now == null || now.fitted != fitted) {
      now =
          new Live(
              fitted,
              GraphIndex.load(fitted.tensor("graph"), fitted.tensor("bank", ScalarType.Float)));
      live = now;
    }
    return now.graph;
  }

  private record Live(Fitted fitted, GraphIndex graph) {}
}
