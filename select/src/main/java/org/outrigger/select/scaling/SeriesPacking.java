package org.outrigger.select.scaling;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.zoo.series.PackedSeries;

/** Puts windows of series into sequences, one after the other, and says what is to be predicted. */
public final class SeriesPacking {
  /**
   * A window with what of it is to be predicted.
   *
   * @param values a whole number of patches, NaN where nothing was observed
   * @param predicted patches at the end that are to be predicted, at least 1 and not all
   */
  public record Window(float[] values, int predicted) {}

  private SeriesPacking() {}

  /**
   * How many of a window's last patches are to be predicted: the nearest to a share, at least one.
   *
   * @param patches of the window, at least 2
   * @param share in (0, 1)
   */
  public static int predicted(int patches, double share) {
    if (patches < 2) {
      throw new OutriggerException(
          "A series of "
              + patches
              + " patches is too short: one patch is given and one predicted, so it takes 2.");
    }
    return Math.min(patches - 1, Math.max(1, (int) Math.rint(share * patches)));
  }

  /**
   * A training batch. It depends on the seed alone, so a resumed run sees the same ones.
   *
   * @return its tensors belong to the enclosing scope
   */
  public static PackedSeries batch(SeriesSource source, SweepSettings settings, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<List<Window>> sequences = new ArrayList<>();
    for (int i = 0; i < settings.batch(); i++) {
      List<Window> windows = new ArrayList<>();
      int left = settings.tokens();
      while (left >= settings.minPatches()) {
        float[] values =
            source.draw(
                settings.patch(),
                settings.minPatches(),
                Math.min(left, settings.maxPatches()),
                random);
        double share =
            settings.lowest() == settings.highest()
                ? settings.lowest()
                : random.nextDouble(settings.lowest(), settings.highest());
        int patches = values.length / settings.patch();
        windows.add(new Window(values, predicted(patches, share)));
        left -= patches;
      }
      sequences.add(windows);
    }
    return pack(sequences, settings.tokens(), settings.patch());
  }

  /**
   * Packs windows.
   *
   * @param sequences the windows of each sequence, which together have at most {@code tokens}
   *     patches
   * @param tokens patches of a sequence; what is left is padding
   * @param patch points a patch
   * @return its tensors belong to the enclosing scope
   */
  public static PackedSeries pack(List<List<Window>> sequences, int tokens, int patch) {
    int rows = sequences.size();
    float[] target = new float[Math.multiplyExact(rows, tokens * patch)];
    float[] observed = new float[target.length];
    long[] sample = new long[rows * tokens];
    long[] time = new long[rows * tokens];
    long[] predicted = new long[rows * tokens];
    for (int row = 0; row < rows; row++) {
      int at = row * tokens;
      int id = 0;
      for (Window window : sequences.get(row)) {
        int patches = window.values.length / patch;
        if (window.values.length % patch != 0 || at + patches > (row + 1) * tokens) {
          throw new OutriggerException(
              "A window of "
                  + window.values.length
                  + " points does not fit a sequence of "
                  + tokens
                  + " patches of "
                  + patch
                  + " points.");
        }
        if (window.predicted < 1 || window.predicted >= patches) {
          throw new OutriggerException(
              window.predicted
                  + " of "
                  + patches
                  + " patches cannot be predicted: at least one, and not all.");
        }
        id++;
        for (int i = 0; i < window.values.length; i++) {
          float value = window.values[i];
          if (!Float.isNaN(value)) {
            target[at * patch + i] = value;
            observed[at * patch + i] = 1;
          }
        }
        for (int i = 0; i < patches; i++) {
          sample[at + i] = id;
          time[at + i] = i;
          predicted[at + i] = i >= patches - window.predicted ? 1 : 0;
        }
        at += patches;
      }
    }
    return Scopes.scoped(
        () ->
            new PackedSeries(
                Scopes.keep(Tensors.of(target, rows, tokens, patch)),
                Scopes.keep(Tensors.of(observed, rows, tokens, patch).to(ScalarType.Bool)),
                Scopes.keep(Tensors.of(sample, rows, tokens)),
                Scopes.keep(Tensors.of(time, rows, tokens)),
                Scopes.keep(Tensors.of(new long[rows * tokens], rows, tokens)),
                Scopes.keep(new Tensor(Tensors.of(predicted, rows, tokens).to(ScalarType.Bool)))));
  }

  /** One window a sequence, all of the same length. */
  static PackedSeries single(List<float[]> windows, int horizon, int patch) {
    List<List<Window>> sequences = new ArrayList<>();
    windows.forEach(values -> sequences.add(List.of(new Window(values, horizon))));
    return pack(sequences, windows.get(0).length / patch, patch);
  }
}
