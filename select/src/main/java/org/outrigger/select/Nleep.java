package org.outrigger.select;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * NLEEP: LEEP with the components of a Gaussian mixture in place of the model's own classes, so
 * that models without a classifier can be scored too. The mixture is fitted to the principal
 * components of the features. At most 0.
 *
 * <p>Li et al., Ranking Neural Checkpoints, CVPR 2021.
 */
@Card(
    slug = "nleep",
    name = "NLEEP",
    summary = "LEEP over clusters of the features: for models without a classifier.",
    paper = "Li, Jia, Sang, Zhu, Green, Wang, Gong. Ranking Neural Checkpoints. CVPR 2021",
    year = 2021,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class Nleep implements ModelScore {
  /**
   * @param variance the share of the variance that the principal components keep; 0.8
   * @param componentsPerClass Gaussians a class; 5
   * @param iterations the most rounds of fitting; 100
   * @param tolerance the change of the mean log-likelihood at which fitting stops; 1e-3
   * @param floor added to the variances of each Gaussian, above 0; 1e-6
   * @param seed of the mixture's start
   */
  public record Settings(
      double variance,
      int componentsPerClass,
      int iterations,
      double tolerance,
      double floor,
      long seed) {
    public Settings {
      HyperParameter.require(
          variance > 0 && variance <= 1, "variance", variance, "above 0 and at most 1");
      HyperParameter.atLeast("componentsPerClass", componentsPerClass, 1);
      HyperParameter.atLeast("iterations", iterations, 1);
      HyperParameter.notNegative("tolerance", tolerance);
      HyperParameter.positive("floor", floor);
    }

    public static Settings defaults() {
      return new Settings(0.8, 5, 100, 1e-3, 1e-6, 0);
    }
  }

  private final Settings settings;

  public Nleep() {
    this(Settings.defaults());
  }

  public Nleep(Settings settings) {
    this.settings = settings;
  }

  /**
   * The posteriors of the mixture, [N, K], whose LEEP is the score.
   *
   * @param features [N, D]
   * @param classes the number of target classes
   */
  public static Tensor posteriors(Tensor features, long classes, Settings settings) {
    long components = Math.multiplyExact(classes, settings.componentsPerClass);
    if (components > features.size(0)) {
      throw new OutriggerException(
          "NLEEP fits "
              + settings.componentsPerClass
              + " Gaussians for each of "
              + classes
              + " classes, but there are only "
              + features.size(0)
              + " rows: give more rows or lower componentsPerClass.");
    }
    return Scopes.tensor(
        () -> {
          try (Rng rng = Rng.named(settings.seed, "nleep")) {
            return GaussianMixture.posteriors(
                Principal.share(features, settings.variance),
                components,
                settings.iterations,
                settings.tolerance,
                settings.floor,
                rng);
          }
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> {
          Tensor features = candidate.requireFeatures(this);
          Tensor labels = candidate.denseLabels(this);
          long classes = labels.max().item_long() + 1;
          return Leep.score(posteriors(features, classes, settings), labels);
        });
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
