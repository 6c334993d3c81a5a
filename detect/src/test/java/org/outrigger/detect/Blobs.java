package org.outrigger.detect;

import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.model.Heads;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Non-negative features in one cluster a class, with a head that tells them apart. */
final class Blobs {
  final long classes;
  final long dimension;
  final LinearHead head;

  /** What outputs give as the model's last layer; null for none. */
  @Nullable Layer lastLayer;

  static final TensorOptions LONG = new TensorOptions(ScalarType.Long);
  private final Tensor centres;
  private final Rng rng;

  Blobs(long seed, long classes, long dimension) {
    this.classes = classes;
    this.dimension = dimension;
    rng = new Rng(seed);
    centres = rng.uniform(ScalarType.Double, classes, dimension).mul(new Scalar(8.0));
    head =
        new LinearHead(centres.div(new Scalar(4.0)), centres.square().sum(1).div(new Scalar(-8.0)));
  }

  /** Labels 0, 1, ..., C-1, 0, 1, ... */
  Tensor labels(long rows) {
    return torch
        .arange(new Scalar(0), new Scalar(rows), new TensorOptions(ScalarType.Long))
        .remainder(new Scalar(classes));
  }

  Tensor near(long rows) {
    return centres
        .index_select(0, labels(rows))
        .add(rng.normal(ScalarType.Double, rows, dimension).mul(new Scalar(0.3)))
        .relu();
  }

  /** Rows around one point that no class is near. */
  Tensor far(long rows) {
    Tensor away = centres.mean(0).neg().sub(new Scalar(20.0));
    return away.add(rng.normal(ScalarType.Double, rows, dimension));
  }

  Output output(Tensor features) {
    return new Output(head.apply(features), features);
  }

  Outputs known(Tensor features) {
    return known(output(features), labels(features.size(0)));
  }

  Outputs known(Output output, @Nullable Tensor labels) {
    return Outputs.withHeads(output, labels, new Heads(head, null, lastLayer));
  }

  /** The same rows in batches of that size. */
  Outputs known(Tensor features, Tensor labels, long batch) {
    return new Outputs() {
      @Override
      public long size() {
        return features.size(0);
      }

      @Override
      public int classes() {
        return (int) classes;
      }

      @Override
      public LinearHead head() {
        return head;
      }

      @Override
      public Heads heads() {
        return new Heads(head, null, lastLayer);
      }

      @Override
      public void forEach(Consumer<Labelled> visitor) {
        for (long from = 0; from < size(); from += batch) {
          long start = from;
          long length = Math.min(batch, size() - from);
          Scopes.run(
              () ->
                  visitor.accept(
                      new Labelled(
                          output(features.narrow(0, start, length)),
                          labels.narrow(0, start, length))));
        }
      }
    };
  }
}
