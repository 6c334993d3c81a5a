package org.outrigger.calibrate;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Maps logits to probabilities that mean what they say; fitted on held-out data. */
public interface Calibrator extends Method, Stateful, AutoCloseable {
  /**
   * Fits on held-out known data.
   *
   * @param logits [N, C]
   * @param labels int64 [N], in 0 .. C-1
   * @throws org.outrigger.core.OutriggerException on bad input; nothing has changed then
   */
  void fit(Tensor logits, Tensor labels);

  /**
   * Fits with the model and the data at hand, for calibrators that look at more than logits (their
   * {@link #needs()} hold {@link org.outrigger.core.method.Need#INPUTS}); others use the logits
   * alone.
   *
   * @param data the rows that the logits came from, in the same order
   * @param logits [N, C], what {@code model} gave for {@code data}
   * @param labels int64 [N], in 0 .. C-1
   */
  default void fit(Model model, Dataset data, Tensor logits, Tensor labels) {
    fit(logits, labels);
  }

  /** Whether it can be used: it is fitted or needs no fitting. */
  boolean fitted();

  /**
   * Whether the classes of a row keep their order, so that the prediction stays the model's. Two
   * classes may get the same probability. Otherwise accuracy may change.
   */
  boolean keepsRanking();

  /**
   * Calibrated probabilities; rows sum to one.
   *
   * @param logits [N, C]
   * @return [N, C], owned by the enclosing scope or the caller
   */
  Tensor probabilities(Tensor logits);

  /**
   * Calibrated probabilities with the model and the inputs at hand, for calibrators that need the
   * inputs; others use the output alone.
   *
   * @param inputs [N, ...]
   * @param output what {@code model} gave for {@code inputs}
   * @return [N, C], owned by the enclosing scope or the caller
   */
  default Tensor probabilities(Model model, Tensor inputs, Output output) {
    return probabilities(output.logits());
  }

  /**
   * Calibrated probabilities of all rows of a data set, through the model.
   *
   * @param batchSize rows a forward pass
   * @return [N, C], owned by the enclosing scope or the caller
   */
  default Tensor probabilities(Model model, Dataset data, int batchSize) {
    return Scopes.tensor(
        () -> {
          List<Tensor> parts = new ArrayList<>();
          try (Batches batches = data.batches(batchSize)) {
            while (batches.hasNext()) {
              try (Batch batch = batches.next()) {
                parts.add(
                    Scopes.tensor(
                        () -> probabilities(model, batch.inputs(), model.predict(batch.inputs()))));
              }
            }
          }
          return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
        });
  }

  /**
   * The calibrated probability of each row's predicted class, from logits that are in Java already:
   * a fast path for small batches. The default goes through {@link #probabilities}.
   *
   * @param logits [N, C] in row-major order
   * @param classes C
   * @param predicted the predicted class of each row, [N]
   * @return [N]
   */
  default double[] confidences(float[] logits, int classes, int[] predicted) {
    return Scopes.scoped(
        () -> {
          double[] all =
              Tensors.doubles(probabilities(Tensors.of(logits, predicted.length, classes)));
          double[] top = new double[predicted.length];
          for (int i = 0; i < top.length; i++) {
            top[i] = all[i * classes + predicted[i]];
          }
          return top;
        });
  }

  /** How many numbers the fit chose; fewer need less data. */
  default long parameterCount() {
    return state().tensors().values().stream().mapToLong(Tensor::numel).sum();
  }

  @Override
  default void close() {}
}
