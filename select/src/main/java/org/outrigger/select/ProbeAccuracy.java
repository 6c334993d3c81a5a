package org.outrigger.select;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The accuracy of a linear probe, softmax regression on standardised features, on a random part of
 * the rows: a plain measurement that a score should not be far below. Alain, Bengio. Understanding
 * Intermediate Layers Using Linear Classifier Probes, ICLR workshop 2017.
 */
@Card(
    slug = "probe-accuracy",
    name = "Linear probe accuracy",
    summary = "How often a linear classifier on the frozen features is right on other rows.",
    paper =
        "Alain, Bengio. Understanding Intermediate Layers Using Linear Classifier Probes. ICLR"
            + " workshop 2017",
    year = 2017,
    room = Room.SELECT,
    needs = {Need.FEATURES, Need.LABELS})
public final class ProbeAccuracy implements ModelScore {
  private static final double MOMENTUM = 0.9;

  /**
   * @param share of each class that the probe is fitted on, the rest is predicted; 0.8
   * @param steps of gradient descent with momentum over all rows; 200
   * @param rate its learning rate; 0.1
   * @param decay weight decay; 1e-3
   * @param rows the most rows to use, drawn at random; 10000
   * @param seed of draw and split
   */
  public record Settings(double share, int steps, double rate, double decay, int rows, long seed) {
    public Settings {
      HyperParameter.inside("share", share, 0, 1);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.positive("rate", rate);
      HyperParameter.notNegative("decay", decay);
      HyperParameter.atLeast("rows", rows, 2);
    }

    public static Settings defaults() {
      return new Settings(0.8, 200, 0.1, 1e-3, 10_000, 0);
    }
  }

  private final Settings settings;

  public ProbeAccuracy() {
    this(Settings.defaults());
  }

  public ProbeAccuracy(Settings settings) {
    this.settings = settings;
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(settings.seed, "probe accuracy")) {
            Tensor labels = candidate.denseLabels(this);
            Holdout split =
                Holdout.of(
                    candidate.requireFeatures(this), labels, settings.share, settings.rows, rng);
            return split.accuracy(predict(split, labels.max().item_long() + 1));
          }
        });
  }

  /** From weights of 0; the gradient in closed form is (softmax - one-hot)^T x / M. */
  private Tensor predict(Holdout split, long classes) {
    Tensor x = withOnes(split.fit());
    Tensor target = torch.one_hot(split.fitLabels(), classes).to(ScalarType.Float);
    Tensor weight =
        torch.zeros(new long[] {classes, x.size(1)}, new TensorOptions(ScalarType.Float));
    Tensor pace = torch.zeros_like(weight);
    // Wide features make the loss steeper in proportion.
    double rate = settings.rate / Math.max(1, x.size(1) / 64.0);
    double rows = x.size(0);
    for (int step = 0; step < settings.steps; step++) {
      Scopes.run(
          () -> {
            Tensor error = x.mm(weight.t()).softmax(1).sub_(target).div_(new Scalar(rows));
            Tensor gradient = error.t().mm(x).add_(weight.mul(new Scalar(settings.decay)));
            pace.mul_(new Scalar(MOMENTUM)).add_(gradient);
            weight.sub_(pace.mul(new Scalar(rate)));
          });
    }
    return withOnes(split.test()).mm(weight.t()).argmax(new LongOptional(1), false);
  }

  private static Tensor withOnes(Tensor rows) {
    return torch.constant_pad_nd(rows.to(ScalarType.Float), new long[] {0, 1}, new Scalar(1.0));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
