package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Encodes a domain's rows once and trains an adaptor and a head on what the taps gave. */
final class AdaptorTraining {
  private AdaptorTraining() {}

  /**
   * What the encoder says of labelled rows.
   *
   * @param taps their names
   * @param widths channels of each tap
   * @param pooled [N, F] pooled for descriptors, taps side by side
   * @param averages [N, F] average-pooled
   * @param labels int64 [N]
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Encoded(List<String> taps, long[] widths, Tensor pooled, Tensor averages, Tensor labels) {
    List<Tensor> pooledParts() {
      return EarLearned.apart(pooled, widths);
    }

    List<Tensor> averageParts() {
      return EarLearned.apart(averages, widths);
    }
  }

  /**
   * Runs the encoder over data; tensors belong to the enclosing scope.
   *
   * @param named the taps; empty to choose them by the first batch
   */
  static Encoded encode(
      Model encoder,
      List<String> named,
      IndexedDataset data,
      HyperdimensionalFusion.Pool pool,
      int batchSize) {
    TensorVector pooled = new TensorVector();
    TensorVector averages = new TensorVector();
    TensorVector labels = new TensorVector();
    List<String> taps = named;
    long[] widths = {};
    try (Batches batches = data.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          if (taps.isEmpty()) {
            taps = Taps.choose(encoder, batch.inputs());
          }
          Taps.Features features = Taps.read(encoder, taps, batch.inputs(), pool);
          long[] found = features.averages().stream().mapToLong(a -> a.size(1)).toArray();
          if (widths.length > 0 && !Arrays.equals(widths, found)) {
            throw new OutriggerException(
                "The taps of "
                    + encoder.name()
                    + " gave "
                    + Arrays.toString(widths)
                    + " channels, and then "
                    + Arrays.toString(found)
                    + ": give inputs of one size.");
          }
          widths = found;
          pooled.push_back(joined(features.pooled()));
          averages.push_back(joined(features.averages()));
          Tensor given = batch.labels();
          if (given == null) {
            throw new OutriggerException(
                "'" + data.name() + "' has no labels, but EAR learns a domain from labelled rows.");
          }
          labels.push_back(given);
        }
      }
    }
    if (pooled.size() == 0) {
      throw new OutriggerException(
          "Not one row of '" + data.name() + "' could be read: check the files.");
    }
    return new Encoded(
        taps, widths, torch.cat(pooled, 0), torch.cat(averages, 0), torch.cat(labels, 0));
  }

  private static Tensor joined(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 1);
  }

  /**
   * Splits rows so that each class keeps its share in both parts; a class of one row is trained on.
   *
   * @return rows to train on and rows held out, both ascending and neither empty
   */
  static int[][] split(String name, int[] labels, double heldOut, long seed) {
    int[] order =
        Scopes.scoped(
            () -> {
              try (Rng rng = Rng.named(seed, "held out/" + name)) {
                return Tensors.ints(rng.permutation(labels.length));
              }
            });
    Map<Integer, List<Integer>> byClass = new TreeMap<>();
    for (int row : order) {
      byClass.computeIfAbsent(labels[row], label -> new ArrayList<>()).add(row);
    }
    boolean[] held = new boolean[labels.length];
    int count = 0;
    for (List<Integer> rows : byClass.values()) {
      int out = Math.min(rows.size() - 1, (int) (heldOut * rows.size()));
      rows.subList(0, out).forEach(row -> held[row] = true);
      count += out;
    }
    if (count == 0) {
      List<Integer> largest =
          byClass.values().stream().max(Comparator.comparingInt(List::size)).orElseThrow();
      if (largest.size() < 2) {
        throw new OutriggerException(
            "The domain '"
                + name
                + "' has no class with two rows, of which one could be held out for its threshold:"
                + " give more rows.");
      }
      held[largest.get(0)] = true;
    }
    return new int[][] {
      IntStream.range(0, held.length).filter(i -> !held[i]).toArray(),
      IntStream.range(0, held.length).filter(i -> held[i]).toArray()
    };
  }

  /**
   * Trains with Adam on the cross-entropy.
   *
   * @param network from [N, F] to logits
   * @param masks by parameter name: entries with 0 stay as they are
   * @param features float32 [N, F]
   * @param labels int64 [N], positions of the head's outputs
   */
  static void fit(
      Layer network,
      Map<String, Tensor> masks,
      Tensor features,
      Tensor labels,
      Ear.Settings settings,
      String name) {
    int rows = Math.toIntExact(features.size(0));
    int batch = Math.min(settings.batchSize(), rows);
    network.train();
    try (Adam adam = new Adam(network.trainable(), Adam.Settings.of(settings.learningRate()));
        Rng rng = Rng.named(settings.seed(), "order/" + name)) {
      masks.forEach(adam::mask);
      int at = rows;
      int[] order = {};
      for (int step = 0; step < settings.steps(); step++) {
        try (PointerScope scope = new PointerScope()) {
          if (at + batch > rows) {
            order = Tensors.ints(rng.permutation(rows));
            at = 0;
          }
          Tensor chosen = Tensors.labels(Arrays.copyOfRange(order, at, at + batch));
          at += batch;
          adam.clearGradients();
          Tensor loss =
              Scopes.grad(
                  true,
                  () ->
                      CrossEntropy.loss(
                          network.forward(features.index_select(0, chosen)),
                          labels.index_select(0, chosen),
                          0));
          double value = loss.item_double();
          if (!Double.isFinite(value)) {
            throw new OutriggerException(
                "The adaptor of the domain '"
                    + name
                    + "' diverged at step "
                    + step
                    + " (loss "
                    + value
                    + "): lower learningRate, which is "
                    + settings.learningRate()
                    + ".");
          }
          loss.backward();
          adam.step();
        }
      }
      adam.clearGradients();
    }
    network.eval();
  }
}
