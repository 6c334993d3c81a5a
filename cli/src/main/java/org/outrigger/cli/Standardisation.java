package org.outrigger.cli;

import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Columns of a table with mean 0 and deviation 1 while a network is trained on them. Afterwards it
 * is folded into the first layer, exactly, so that the model takes rows as they are.
 */
final class Standardisation implements AutoCloseable {
  private static final double SMALLEST = 1e-12;

  private final Tensor mean;
  private final Tensor deviation;

  private Standardisation(Tensor mean, Tensor deviation) {
    this.mean = mean;
    this.deviation = deviation;
  }

  /** Of the columns of these rows. */
  static Standardisation of(TensorDataset rows) {
    return Scopes.scoped(
        () -> {
          Tensor values = rows.inputs().to(ScalarType.Double);
          Tensor mean = values.mean(0);
          Tensor deviation = values.sub(mean).square().mean(0).sqrt();
          // A constant column says nothing; it stays as it is.
          Tensor constant = deviation.lt(new Scalar(SMALLEST));
          return new Standardisation(
              Scopes.own(mean), Scopes.own(deviation.masked_fill(constant, new Scalar(1.0))));
        });
  }

  /** The rows with standardised columns, in memory. */
  TensorDataset apply(IndexedDataset data) {
    try (TensorDataset rows = TensorDataset.copyOf(data)) {
      return Scopes.scoped(
          () ->
              TensorDataset.builder(
                      rows.inputs()
                          .to(ScalarType.Double)
                          .sub(mean)
                          .div(deviation)
                          .to(ScalarType.Float))
                  .labels(rows.labelled() ? Tensors.labels(rows.labels()) : null)
                  .classNames(rows.classNames())
                  .name(rows.name())
                  .build());
    }
  }

  /** Makes the first layer, a linear one, do it. */
  void foldInto(NeuralModel model) {
    Layer first = model.root().get(model.root().children().containsKey("fc1") ? "fc1" : "head");
    try (AutoGradMode off = new AutoGradMode(false)) {
      Scopes.run(
          () -> {
            Tensor weight = first.tensor("weight");
            Tensor bias = first.tensor("bias");
            Tensor folded = weight.to(ScalarType.Double).div(deviation);
            bias.copy_(bias.to(ScalarType.Double).sub(folded.matmul(mean)));
            weight.copy_(folded);
          });
    }
  }

  @Override
  public void close() {
    Scopes.release(mean);
    Scopes.release(deviation);
  }
}
