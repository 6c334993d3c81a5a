package org.outrigger.claims.setup;

import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Knn;

/**
 * Self-supervised pre-training: two changed views of an image shall resemble each other more than
 * any other image of the batch (InfoNCE on the cosines of a projection, both ways). Labels are not
 * looked at.
 *
 * <p>Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML
 * 2020.
 */
public final class InstanceDiscrimination implements StepObjective, AutoCloseable {
  private static final double TEMPERATURE = 0.2;
  private static final double NOISE = 0.1;
  private static final double SAME = -1e9;

  private final Sequential projection;
  private final CropAndFlip shift = new CropAndFlip(2, true);

  /**
   * @param features the size of the backbone's features
   * @param hidden the size of the projection's inner layer
   * @param embedding the size that the cosines are taken in
   * @param seed of the projection's weights
   */
  public InstanceDiscrimination(int features, int hidden, int embedding, long seed) {
    Torch.start();
    try (Rng rng = Rng.named(seed, "projection")) {
      projection =
          new Sequential(
              new Linear(features, hidden, rng),
              Activation.relu(),
              new Linear(hidden, embedding, rng));
    }
  }

  @Override
  public Map<String, Tensor> parameters() {
    return projection.parameters();
  }

  @Override
  public Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng) {
    Tensor views = torch.cat(new TensorVector(view(inputs, rng), view(inputs, rng)), 0);
    Output output = network.apply(views);
    Tensor none =
        torch.full(new long[] {views.size(0)}, new Scalar(-1), new TensorOptions(ScalarType.Long));
    return new Result(loss(output, none), output.logits(), none);
  }

  /** Shifted by up to 2 pixels, half of them mirrored, half to one and a half as bright, noisy. */
  private Tensor view(Tensor images, Rng rng) {
    Tensor light = rng.uniform(images.size(0), 1, 1, 1).add(new Scalar(0.5));
    Tensor noise = rng.normal(images.shape()).mul(new Scalar(NOISE));
    return shift.apply(images, rng).mul(light).add(noise);
  }

  /** The loss of features whose second half are other views of the first, in the same order. */
  @Override
  public Tensor loss(Output output, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Tensor z = Knn.unit(projection.forward(output.features()));
          long rows = z.size(0);
          Tensor self = torch.eye(rows).to(ScalarType.Bool);
          Tensor similar =
              z.mm(z.t()).div(new Scalar(TEMPERATURE)).masked_fill(self, new Scalar(SAME));
          Tensor other =
              torch
                  .arange(new Scalar(rows), new TensorOptions(ScalarType.Long))
                  .add(new Scalar(rows / 2))
                  .remainder(new Scalar(rows));
          return torch.cross_entropy_loss(similar, other);
        });
  }

  @Override
  public void close() {
    projection.close();
  }
}
