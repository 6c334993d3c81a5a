package org.outrigger.cli;

import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.EmbeddingTables;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.zoo.MultiModal;

/**
 * Columns of a table with mean 0 and deviation 1 while a network is trained on them. Afterwards it
 * is folded into the first layer, exactly, so that the model takes rows as they are.
 */
final class Standardisation implements AutoCloseable {
  private static final double SMALLEST = 1e-12;
  private static final String FIRST = "fc1";

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

  /** Whether what takes the columns are linear layers, so that they can do it. */
  static boolean foldsInto(NeuralModel model) {
    if (model.root().children().values().stream().anyMatch(EmbeddingTables.class::isInstance)) {
      return false;
    }
    return !(model.root() instanceof MultiModal several)
        || several.columns().stream()
            .allMatch(columns -> several.get(columns.encoder()).children().containsKey(FIRST));
  }

  /** Makes the first layers, linear ones, do it. */
  void foldInto(NeuralModel model) {
    if (model.root() instanceof MultiModal several) {
      for (MultiModal.Columns columns : several.columns()) {
        Layer first = several.get(columns.encoder()).get(FIRST);
        foldInto(first, columns.from(), columns.length());
      }
    } else {
      Layer first = model.root().get(model.root().children().containsKey(FIRST) ? FIRST : "head");
      foldInto(first, 0, mean.numel());
    }
  }

  private void foldInto(Layer first, long from, long length) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      Scopes.run(
          () -> {
            Tensor weight = first.tensor("weight");
            Tensor bias = first.tensor("bias");
            Tensor folded = weight.to(ScalarType.Double).div(deviation.narrow(0, from, length));
            Tensor shift = folded.matmul(mean.narrow(0, from, length));
            bias.copy_(bias.to(ScalarType.Double).sub(shift));
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
