package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * PARC: do rows that are far apart in feature space have different labels? Spearman's correlation,
 * times 100, of the distances {@code 1 - Pearson correlation} between rows of standardised features
 * and between one-hot labels. All pairs are looked at, so of many rows a seeded sample is taken.
 *
 * <p>Bolya, Mittapalli, Hoffman. Scalable Diverse Model Selection for Accessible Transfer Learning.
 * NeurIPS 2021.
 */
@Card(
    slug = "parc",
    name = "PARC",
    summary = "Whether rows that lie far apart in feature space have different labels.",
    paper =
        "Bolya, Mittapalli, Hoffman. Scalable Diverse Model Selection for Accessible Transfer"
            + " Learning. NeurIPS 2021",
    year = 2021,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class Parc implements ModelScore {
  /**
   * @param dimensions the features are reduced to so many principal components; 32, 0 for none
   * @param rows the most rows to look at, drawn at random; 2000
   * @param seed of that draw
   */
  public record Settings(int dimensions, int rows, long seed) {
    public Settings {
      HyperParameter.atLeast("dimensions", dimensions, 0);
      HyperParameter.atLeast("rows", rows, 3);
    }

    public static Settings defaults() {
      return new Settings(32, 2000, 0);
    }
  }

  private final Settings settings;

  public Parc() {
    this(Settings.defaults());
  }

  public Parc(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score over all rows.
   *
   * @param features [N, D], D at least 2
   * @param labels int64 [N]
   * @param dimensions the features are reduced to so many principal components; 0 for none
   */
  public static double score(Tensor features, Tensor labels, int dimensions) {
    if (features.size(1) < 2) {
      throw new OutriggerException(
          "PARC correlates the features of two rows and needs at least 2 of them, not "
              + features.size(1)
              + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = Principal.first(features, dimensions);
          Tensor spread = x.std(new long[] {0}, false, false);
          x = x.sub(x.mean(0)).div_(spread.masked_fill(spread.eq(zero()), new Scalar(1.0)));
          x = x.sub(x.mean(new long[] {1}, true, null));
          Tensor length = x.square().sum(1).sqrt_().unsqueeze(1);
          x = x.div(length.masked_fill(length.eq(zero()), new Scalar(1.0)));
          long n = x.size(0);
          Tensor pairs = torch.triu_indices(n, n, 1, new TensorOptions(ScalarType.Long));
          Tensor where = pairs.select(0, 0).mul(new Scalar(n)).add_(pairs.select(0, 1));
          Tensor apart = x.mm(x.t()).flatten(0, -1).index_select(0, where).neg_();
          // The distance of one-hot labels has two values only: the same class, or not.
          Tensor differ =
              labels.unsqueeze(0).ne(labels.unsqueeze(1)).flatten(0, -1).index_select(0, where);
          return 100 * pearson(ranks(apart), ranks(differ.to(ScalarType.Double)));
        });
  }

  private static Scalar zero() {
    return new Scalar(0.0);
  }

  /** Ranks from 1, equal values sharing the mean of theirs, float64 [M]. */
  private static Tensor ranks(Tensor values) {
    return Scopes.tensor(
        () -> {
          T_TensorTensor_T sorted = values.sort(0, false);
          long m = values.size(0);
          Tensor steps = Rows.zeros(m).to(ScalarType.Long);
          Tensor ordered = sorted.get0();
          steps
              .narrow(0, 1, m - 1)
              .copy_(ordered.narrow(0, 1, m - 1).ne(ordered.narrow(0, 0, m - 1)));
          Tensor group = steps.cumsum(0);
          Tensor counts = group.bincount().to(ScalarType.Double);
          Tensor last = counts.cumsum(0);
          Tensor rank = last.sub(counts.sub(new Scalar(1.0)).div_(new Scalar(2.0)));
          return Rows.zeros(m).index_copy_(0, sorted.get1(), rank.index_select(0, group));
        });
  }

  private static double pearson(Tensor a, Tensor b) {
    Tensor x = a.sub(a.mean());
    Tensor y = b.sub(b.mean());
    double squares = x.norm().item_double() * y.norm().item_double();
    if (!(squares > 0)) {
      throw new OutriggerException(
          "PARC is not defined where all rows are equally far apart, or all have labels of their"
              + " own: check the features, or give more rows.");
    }
    return x.dot(y).item_double() / squares;
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> {
          Tensor features = candidate.requireFeatures(this);
          Tensor labels = candidate.denseLabels(this);
          long n = candidate.size();
          if (n > settings.rows) {
            try (Rng rng = Rng.named(settings.seed, "parc")) {
              Tensor drawn = rng.permutation(n).narrow(0, 0, settings.rows).sort(0, false).get0();
              features = features.index_select(0, drawn);
              labels = labels.index_select(0, drawn);
            }
          }
          return score(features, labels, settings.dimensions);
        });
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
