package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Takes the reference of a guard: a sample of the held-out known rows, judged by the guard. */
final class ReferenceFit {
  private ReferenceFit() {}

  /**
   * Takes a reference.
   *
   * @param guard fitted; without an adapter, which would learn from the rows
   * @param most rows, 2 or more
   * @return null if fewer than two known rows were held out
   */
  static @Nullable GuardReference of(
      Guard guard, RecordedOutputs holdOut, Dataset validation, int most, long seed, int batch) {
    long[] labels = holdOut.labels() == null ? null : Tensors.longs(holdOut.labels());
    int[] known =
        IntStream.range(0, Math.toIntExact(holdOut.size()))
            .filter(i -> labels == null || labels[i] >= 0)
            .toArray();
    if (known.length < 2) {
      return null;
    }
    int[] chosen = sample(known, most, seed);
    List<Guard.Judged> judged = new ArrayList<>();
    List<Tensor> values = new ArrayList<>();
    try (PointerScope scope = new PointerScope()) {
      ChosenRows.Visitor visitor =
          (inputs, from) -> judged.add(guard.judge(inputs, null, kept(guard, values)));
      if (validation instanceof IndexedDataset && holdOut.skipped().isEmpty()) {
        Dataset rows = holdOut.rowsOf(validation, chosen, "The reference");
        long[] all = IntStream.range(0, chosen.length).asLongStream().toArray();
        ChosenRows.walk(rows, all, batch, visitor);
      } else {
        long[] rows = holdOut.rows();
        ChosenRows.walk(
            validation, Arrays.stream(chosen).mapToLong(i -> rows[i]).toArray(), batch, visitor);
      }
      Tensor all = torch.cat(new TensorVector(values.toArray(new Tensor[0])), 0);
      Watched watched = Watched.of(guard.info().inputShape(), holdOut.output()).narrowed(all);
      Tensor columns = watched.columns(all);
      return new GuardReference(
          watched,
          watched.names(Math.toIntExact(columns.size(1)), guard.info()),
          Tensors.floats(columns),
          judged.stream().flatMapToDouble(j -> Arrays.stream(j.score())).toArray(),
          judged.stream().flatMapToInt(j -> Arrays.stream(j.predicted())).toArray(),
          judged.stream().flatMapToDouble(j -> Arrays.stream(j.probability())).toArray(),
          labels == null ? null : Arrays.stream(chosen).map(i -> (int) labels[i]).toArray());
    } finally {
      values.forEach(Scopes::release);
    }
  }

  private static Guard.Watch kept(Guard guard, List<Tensor> values) {
    return (inputs, output) ->
        values.add(Scopes.own(Watched.of(guard.info().inputShape(), output).of(inputs, output)));
  }

  private static int[] sample(int[] known, int most, long seed) {
    if (known.length <= most) {
      return known;
    }
    try (Rng rng = Rng.named(seed, "guard reference");
        PointerScope scope = new PointerScope()) {
      int[] order = Tensors.ints(rng.permutation(known.length));
      return Arrays.stream(order).limit(most).map(i -> known[i]).sorted().toArray();
    }
  }
}
