package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * What of an input is watched. Short rows are watched as they are. Of larger inputs four plain
 * figures are, which need no model, and what the model makes of them: its features, or its logits
 * where it shows no features.
 *
 * @param raw whether inputs are watched as they are
 * @param logits whether logits stand in for features
 * @param kept positions of the features or logits that are watched, ascending; all if empty
 */
@SuppressWarnings("ArrayRecordComponent")
record Watched(boolean raw, boolean logits, long[] kept) {
  /** The most values of a row that are watched one by one. */
  static final int MOST = 64;

  private static final List<String> FIGURES =
      List.of("input mean", "input standard deviation", "input minimum", "input maximum");

  /** What to watch of inputs of that shape. */
  static Watched of(long[] inputShape, Output output) {
    boolean raw = inputShape.length == 1 && inputShape[0] <= MOST;
    return new Watched(raw, !raw && !output.hasFeatures(), new long[0]);
  }

  /**
   * The watched values.
   *
   * @param inputs [N, ...]
   * @param output what the model made of them
   * @return float32 [N, F]
   */
  Tensor of(Tensor inputs, Output output) {
    return Scopes.tensor(
        () -> {
          Tensor rows = inputs.detach().cpu().to(ScalarType.Float).flatten(1, -1);
          if (raw) {
            return rows.contiguous();
          }
          Tensor made = (logits ? output.logits() : output.features()).detach().cpu();
          made = made.to(ScalarType.Float).flatten(1, -1);
          if (kept.length > 0) {
            made = made.index_select(1, Tensors.of(kept, kept.length));
          }
          return torch.cat(
              new TensorVector(
                  rows.mean(new long[] {1}, true, new org.bytedeco.pytorch.ScalarTypeOptional()),
                  rows.std(new long[] {1}, false, true),
                  rows.amin(new long[] {1}, true),
                  rows.amax(new long[] {1}, true),
                  made),
              1);
        });
  }

  /**
   * Keeps the features that vary most, where there are more than can be watched.
   *
   * @param all float32 [n, F] of this
   */
  Watched narrowed(Tensor all) {
    int figures = FIGURES.size();
    long made = all.size(1) - figures;
    if (raw || made <= MOST) {
      return this;
    }
    return Scopes.scoped(
        () -> {
          Tensor variance =
              all.narrow(1, figures, made).to(ScalarType.Double).var(new long[] {0}, false, false);
          Tensor order = torch.argsort(variance, 0, true).narrow(0, 0, MOST);
          long[] most = Tensors.longs(order);
          Arrays.sort(most);
          return new Watched(raw, logits, most);
        });
  }

  /** The columns of {@code all}, taken by the original of this, that this keeps. */
  Tensor columns(Tensor all) {
    if (kept.length == 0) {
      return all;
    }
    long[] index = new long[FIGURES.size() + kept.length];
    for (int i = 0; i < index.length; i++) {
      index[i] = i < FIGURES.size() ? i : FIGURES.size() + kept[i - FIGURES.size()];
    }
    return Scopes.tensor(() -> all.index_select(1, Tensors.of(index, index.length)));
  }

  /** The names of so many watched values. */
  List<String> names(int count, GuardInfo info) {
    List<String> columns = info.features();
    List<String> names = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      if (raw) {
        names.add(
            columns.size() == count
                ? columns.get(i)
                : (columns.size() == 1 ? columns.get(0) + "[" + i + "]" : "input " + i));
      } else if (i < FIGURES.size()) {
        names.add(FIGURES.get(i));
      } else {
        int at = i - FIGURES.size();
        int place = kept.length == 0 ? at : Math.toIntExact(kept[at]);
        List<String> classes = info.classNames();
        names.add(
            logits && place < classes.size()
                ? "logit of " + classes.get(place)
                : (logits ? "logit " : "embedding ") + place);
      }
    }
    return List.copyOf(names);
  }
}
