package org.outrigger.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Npz;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * A model's outputs from a file: {@code features} [N, D], {@code logits} [N, C], {@code labels}
 * [N], and perhaps the head's {@code weight} [C, D] and {@code bias} [C].
 */
final class CachedFeatures implements Outputs {
  private static final int SLICE = 8192;

  private final @Nullable Tensor features;
  private final Tensor logits;
  private final @Nullable Tensor labels;
  private final @Nullable LinearHead head;

  private CachedFeatures(
      @Nullable Tensor features,
      Tensor logits,
      @Nullable Tensor labels,
      @Nullable LinearHead head) {
    this.features = features;
    this.logits = logits;
    this.labels = labels;
    this.head = head;
  }

  /**
   * Reads a .npz or .safetensors file.
   *
   * @param other whose head is used where this file has none; may be null
   */
  static CachedFeatures read(Path file, @Nullable CachedFeatures other) {
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> tensors = tensors(file);
          Tensor features = floats(file, tensors, "features", 2);
          Tensor logits = floats(file, tensors, "logits", 2);
          LinearHead head = head(file, tensors);
          if (head == null && other != null) {
            head = other.head;
          }
          if (head != null && features != null && features.size(1) != head.weight().size(1)) {
            throw new OutriggerException(
                file
                    + ": features have "
                    + features.size(1)
                    + " columns, but the head's weight has "
                    + head.weight().size(1)
                    + ": they are of different models.");
          }
          if (logits == null) {
            if (features == null || head == null) {
              throw new OutriggerException(
                  file
                      + " holds "
                      + (tensors.isEmpty() ? "nothing" : String.join(", ", tensors.keySet()))
                      + ": it needs 'logits', or 'features' with the last layer's 'weight' and"
                      + " 'bias'.");
            }
            logits = head.apply(features);
          }
          Shapes.notEmpty(file + " (logits)", logits);
          Shapes.finite(file + " (logits)", logits);
          if (features != null) {
            Shapes.finite(file + " (features)", features);
            rows(file, "features", features, logits);
          }
          Tensor labels = tensors.get("labels");
          if (labels != null) {
            rows(file, "labels", labels, logits);
            labels = labels.flatten().to(ScalarType.Long);
            Shapes.labels(file + " (labels)", labels, logits.size(1), true);
          }
          if (other != null && other.classes() != logits.size(1)) {
            throw new OutriggerException(
                file
                    + " is of a model with "
                    + logits.size(1)
                    + " classes, the data to fit on of one with "
                    + other.classes()
                    + ".");
          }
          return new CachedFeatures(own(features), Scopes.own(logits), own(labels), keep(head));
        });
  }

  private static Map<String, Tensor> tensors(Path file) {
    String name = file.toString().toLowerCase(Locale.ROOT);
    if (!java.nio.file.Files.exists(file)) {
      throw new OutriggerException("There is no file " + file + ": check the path.");
    }
    if (name.endsWith(".npz")) {
      return Npz.read(file);
    }
    if (name.endsWith(".safetensors")) {
      return Safetensors.read(file);
    }
    throw new OutriggerException(
        file + " is no file of cached features: name a .npz or a .safetensors file.");
  }

  private static @Nullable Tensor floats(
      Path file, Map<String, Tensor> tensors, String name, int dimensions) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      return null;
    }
    if (tensor.dim() != dimensions) {
      throw new OutriggerException(
          file
              + ": '"
              + name
              + "' has shape "
              + Arrays.toString(tensor.shape())
              + ", but "
              + dimensions
              + " dimensions are needed.");
    }
    return tensor.to(ScalarType.Float).contiguous();
  }

  private static @Nullable LinearHead head(Path file, Map<String, Tensor> tensors) {
    Tensor weight = floats(file, tensors, "weight", 2);
    if (weight == null) {
      return null;
    }
    Tensor bias = floats(file, tensors, "bias", 1);
    if (bias == null) {
      bias = weight.narrow(1, 0, 1).squeeze(1).mul(new Scalar(0));
    }
    if (bias.size(0) != weight.size(0)) {
      throw new OutriggerException(
          file
              + ": 'weight' is of "
              + weight.size(0)
              + " classes, 'bias' of "
              + bias.size(0)
              + ".");
    }
    return new LinearHead(weight, bias);
  }

  private static void rows(Path file, String name, Tensor tensor, Tensor logits) {
    if (tensor.size(0) != logits.size(0)) {
      throw new OutriggerException(
          file
              + ": '"
              + name
              + "' has "
              + tensor.size(0)
              + " rows, but 'logits' has "
              + logits.size(0)
              + ".");
    }
  }

  private static @Nullable Tensor own(@Nullable Tensor tensor) {
    return tensor == null ? null : Scopes.own(tensor);
  }

  private static @Nullable LinearHead keep(@Nullable LinearHead head) {
    return head == null ? null : new LinearHead(Scopes.own(head.weight()), Scopes.own(head.bias()));
  }

  /** These rows alone; the caller closes it. */
  CachedFeatures subset(int[] rows) {
    return Scopes.scoped(
        () -> {
          Tensor index = Tensors.labels(rows);
          return new CachedFeatures(
              own(features == null ? null : features.index_select(0, index)),
              Scopes.own(logits.index_select(0, index)),
              own(labels == null ? null : labels.index_select(0, index)),
              keep(head));
        });
  }

  @Override
  public long size() {
    return logits.size(0);
  }

  @Override
  public int classes() {
    return Math.toIntExact(logits.size(1));
  }

  @Override
  public @Nullable LinearHead head() {
    return head;
  }

  @Override
  public void forEach(Consumer<Labelled> visitor) {
    for (long first = 0; first < size(); first += SLICE) {
      long start = first;
      long count = Math.min(SLICE, size() - first);
      Scopes.run(
          () ->
              visitor.accept(
                  new Labelled(
                      new Output(
                          logits.narrow(0, start, count),
                          features == null ? null : features.narrow(0, start, count)),
                      labels == null ? null : labels.narrow(0, start, count))));
    }
  }

  @Override
  public void close() {
    Scopes.release(features);
    Scopes.release(logits);
    Scopes.release(labels);
    if (head != null) {
      Scopes.release(head.weight());
      Scopes.release(head.bias());
    }
  }
}
