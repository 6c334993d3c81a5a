package org.outrigger.core.zoo;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A classifier made of an image tower and the embeddings of class names: image, whose output is
 * scaled to unit length, and head, whose logits are scaled cosines. head_no, if there is one, holds
 * what CLIPN's text tower says of the same names; it takes no part in the logits.
 */
public final class ZeroShotNetwork extends Layer {
  /**
   * @param image from inputs [N, ...] to embeddings [N, P]; this layer then owns it
   * @param projection P
   * @param no whether there is a head_no
   */
  public ZeroShotNetwork(Layer image, int projection, int classes, boolean no, Rng rng) {
    child("image", image);
    child("head", new Linear(projection, classes, false, rng));
    if (no) {
      child("head_no", new Linear(projection, classes, false, rng));
    }
  }

  static Layer build(Settings settings, long[] inputShape, int classes, Rng rng) {
    if (inputShape[1] != inputShape[2]) {
      throw new OutriggerException(
          "Architecture clip takes square images, not "
              + inputShape[1]
              + "x"
              + inputShape[2]
              + ": resize and crop them.");
    }
    ClipConfig.Encoder vision =
        new ClipConfig.Encoder(
            settings.integer("width"),
            settings.integer("hidden"),
            settings.integer("layers"),
            settings.integer("heads"),
            settings.text("activation"),
            settings.number("epsilon"));
    ClipConfig config =
        new ClipConfig(
            vision,
            new ClipConfig.Encoder(1, 1, 1, 1, "gelu", 1e-5),
            Math.toIntExact(inputShape[1]),
            settings.integer("patch"),
            Math.toIntExact(inputShape[0]),
            1,
            1,
            0,
            settings.integer("projection"));
    return new ZeroShotNetwork(
        new ClipVision(config, rng), config.projection(), classes, settings.yes("no"), rng);
  }

  /** Rows scaled to unit length, [N, P]. */
  public static Tensor unit(Tensor rows) {
    return Scopes.tensor(
        () -> rows.div(rows.norm(new ScalarOptional(new Scalar(2.0)), new long[] {1}, true)));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> get("head").forward(unit(get("image").forward(x, context)), context));
  }
}
