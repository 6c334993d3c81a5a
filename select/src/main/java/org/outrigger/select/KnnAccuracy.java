package org.outrigger.select;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The accuracy of the vote of the k nearest rows on a random part of the rows, by Euclidean
 * distance of standardised features: a plain measurement that a score should not be far below. Of
 * equal votes those of nearer rows decide. Cover, Hart. Nearest Neighbor Pattern Classification,
 * 1967.
 */
@Card(
    slug = "knn-accuracy",
    name = "k-NN accuracy",
    summary = "How often the nearest rows in feature space have the right label.",
    paper = "Cover, Hart. Nearest Neighbor Pattern Classification. IEEE Trans. Inf. Theory 1967",
    year = 1967,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class KnnAccuracy implements ModelScore {
  /**
   * @param k neighbours that vote; 5
   * @param share of each class that votes, the rest is predicted; 0.8
   * @param rows the most rows to use, drawn at random; 10000
   * @param seed of draw and split
   */
  public record Settings(int k, double share, int rows, long seed) {
    public Settings {
      HyperParameter.require(k >= 1 && k <= 50, "k", k, "between 1 and 50");
      HyperParameter.inside("share", share, 0, 1);
      HyperParameter.atLeast("rows", rows, 2);
    }

    public static Settings defaults() {
      return new Settings(5, 0.8, 10_000, 0);
    }
  }

  private final Settings settings;

  public KnnAccuracy() {
    this(Settings.defaults());
  }

  public KnnAccuracy(Settings settings) {
    this.settings = settings;
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(settings.seed, "knn accuracy")) {
            Tensor labels = candidate.denseLabels(this);
            Holdout split =
                Holdout.of(
                    candidate.requireFeatures(this), labels, settings.share, settings.rows, rng);
            return split.accuracy(predict(split, labels.max().item_long() + 1));
          }
        });
  }

  private Tensor predict(Holdout split, long classes) {
    int k = (int) Math.min(settings.k, split.fit().size(0));
    Tensor near = NearestNeighbours.byDistance(split.test(), split.fit(), k).indices();
    Tensor votes = Rows.zeros(split.test().size(0), classes);
    for (int j = 0; j < k; j++) {
      int place = j;
      Scopes.run(
          () -> {
            Tensor label = split.fitLabels().index_select(0, near.select(1, place)).unsqueeze(1);
            // Together the extras stay below one vote, and no two sets of them are equal.
            Tensor vote = label.to(ScalarType.Double);
            vote.fill_(new Scalar(1 + Math.pow(2, -place - 2)));
            votes.scatter_add_(1, label, vote);
          });
    }
    return votes.argmax(new LongOptional(1), false);
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
