package org.outrigger.core.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Npy;
import org.outrigger.core.io.Npz;
import org.outrigger.core.torch.Scopes;

/**
 * NumPy arrays as a data set in memory: {@code x.npy} with {@code y.npy} beside it, or an {@code
 * .npz} with the arrays {@code x} and {@code y}.
 *
 * <p>In an {@code .npz} the inputs are the array named by {@link DataOptions#features}, else the
 * first of {@code x, X, features, embeddings, inputs, data, images, logits}, else the only array of
 * two or more dimensions; the labels are the one named by {@link DataOptions#label}, else {@code y,
 * labels, label, targets}, else none. Rows with NaN or infinite values are skipped.
 */
public final class NpyData {
  private static final List<String> INPUTS =
      List.of("x", "X", "features", "embeddings", "inputs", "data", "images", "logits");
  private static final List<String> LABELS = List.of("y", "labels", "label", "targets");

  private NpyData() {}

  /** Whether the file's name says that it holds NumPy arrays. */
  public static boolean recognises(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return name.endsWith(".npy") || name.endsWith(".npz");
  }

  /** Opens {@code .npy} or {@code .npz}. */
  public static TensorDataset open(Path file, DataOptions options) {
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException("There is no file " + file + ".");
    }
    String name = file.getFileName().toString();
    return Scopes.scoped(
        () -> {
          if (!name.toLowerCase(Locale.ROOT).endsWith(".npz")) {
            Path y = file.resolveSibling("y.npy");
            boolean labelled = name.equalsIgnoreCase("x.npy") && Files.exists(y);
            return ArrayData.of(name, Npy.read(file), labelled ? Npy.read(y) : null, options);
          }
          Map<String, Tensor> arrays = Npz.read(file);
          Tensor inputs =
              options.features().isEmpty()
                  ? find(arrays, INPUTS)
                  : named(file, arrays, options.features().get(0));
          if (inputs == null) {
            List<Tensor> wide = arrays.values().stream().filter(a -> a.dim() > 1).toList();
            if (wide.size() != 1) {
              throw new OutriggerException(
                  file
                      + " holds the arrays "
                      + arrays.keySet()
                      + ": name the one with the inputs as the feature column, or call it x.");
            }
            inputs = wide.get(0);
          }
          Tensor labels =
              options.label() == null ? find(arrays, LABELS) : named(file, arrays, options.label());
          return ArrayData.of(name, inputs, labels, options);
        });
  }

  private static @Nullable Tensor find(Map<String, Tensor> arrays, List<String> names) {
    return names.stream().filter(arrays::containsKey).findFirst().map(arrays::get).orElse(null);
  }

  private static Tensor named(Path file, Map<String, Tensor> arrays, String name) {
    Tensor found = arrays.get(name);
    if (found == null) {
      throw new OutriggerException(
          file + " has no array '" + name + "'; it holds " + arrays.keySet() + ".");
    }
    return found;
  }
}
