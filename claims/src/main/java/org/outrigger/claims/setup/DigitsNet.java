package org.outrigger.claims.setup;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.AdaptiveAvgPool2d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.GroupNorm;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.GaussianNoise;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The network of the digits bench, three 3x3 convolutions of 16, 32 and 64 channels with a
 * normalisation and ReLU each, 2x2 features [256] and a linear head; and how it is trained.
 */
public final class DigitsNet {
  /** The shape of one image. */
  static final long[] SHAPE = {1, 16, 16};

  private static final int[] WIDTHS = {16, 32, 64};
  private static final Augmentation ROLL = DigitsNet::roll;

  /** What follows each convolution. */
  public enum Norm {
    BATCH(BatchNorm2d::new),
    /** Four groups. */
    GROUP(channels -> new GroupNorm(4, channels));

    @SuppressWarnings("ImmutableEnumChecker")
    private final IntFunction<Layer> layer;

    Norm(IntFunction<Layer> layer) {
      this.layer = layer;
    }

    /** A new one for so many channels. */
    public Layer of(int channels) {
      return layer.apply(channels);
    }
  }

  private DigitsNet() {}

  /**
   * A network with drawn weights; the caller closes it.
   *
   * @param norm makes what follows a convolution of so many channels: {@code norm1} .. {@code
   *     norm3}
   * @param classNames by label, at least two
   * @param seed of the weights
   */
  public static NeuralModel create(IntFunction<Layer> norm, List<String> classNames, long seed) {
    try (Rng rng = Rng.named(seed, "weights")) {
      Map<String, Layer> layers = new LinkedHashMap<>();
      int in = 1;
      for (int i = 0; i < WIDTHS.length; i++) {
        int out = WIDTHS[i];
        Conv2d.Options options = Conv2d.Options.of(in, out, 3).stride(i == 0 ? 1 : 2).padding(1);
        layers.put("conv" + (i + 1), new Conv2d(options, rng));
        layers.put("norm" + (i + 1), norm.apply(out));
        layers.put("relu" + (i + 1), Activation.relu());
        in = out;
      }
      layers.put("pool", new AdaptiveAvgPool2d(2, 2));
      layers.put("flatten", new Flatten());
      layers.put("fc", new Linear(4L * in, classNames.size(), rng));
      return NeuralModel.of("digits-net", new Sequential(layers), "fc", SHAPE, classNames);
    }
  }

  /**
   * The bench's recipe: Adam at 2e-3 with batches of 64; each batch is rolled by up to one pixel
   * and gets noise of 0.08.
   *
   * @param epochs 25 at full size
   * @param seed of order, rolls and noise
   */
  public static void train(NeuralModel model, IndexedDataset data, int epochs, long seed) {
    Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(64).withSeed(seed))
        .optimiser(p -> new Adam(p, Adam.Settings.of(2e-3)))
        .schedule(Schedule.constant())
        .augment(ROLL.then(new GaussianNoise(.08)))
        .fit(data);
  }

  /** The whole batch by one draw of -1, 0 or 1 pixels in both directions, around the edges. */
  private static Tensor roll(Tensor images, Rng rng) {
    return Scopes.tensor(
        () -> {
          Tensor draws = rng.uniform(ScalarType.Double, 2).mul(new Scalar(3.0)).floor();
          long[] pixels = Tensors.longs(draws.sub(new Scalar(1.0)));
          return torch.roll(images, pixels, 2, 3);
        });
  }
}
