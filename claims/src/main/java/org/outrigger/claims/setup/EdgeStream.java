package org.outrigger.claims.setup;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.edge.CloudLink;
import org.outrigger.adapt.edge.CloudSession;
import org.outrigger.adapt.edge.EdgeDevice;
import org.outrigger.adapt.edge.MemoryLink;
import org.outrigger.adapt.edge.Message;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** A stream whose environment changes, and a device that runs through it with a cloud. */
public final class EdgeStream {
  private EdgeStream() {}

  /** Which rows of a batch a device uploads. */
  public interface Uploads {
    Message of(Tensor inputs, Output output);
  }

  /** What predicts a batch and perhaps learns of it. */
  public interface Predictor {
    Output predict(Tensor inputs);
  }

  /**
   * What a run came to.
   *
   * @param accuracy of the predictions as they were made
   * @param uploaded the share of rows that were sent
   * @param traffic bytes each way
   */
  public record Run(double accuracy, double uploaded, CloudLink.Traffic traffic) {}

  /**
   * The rows in one environment after the other, in an order of their own in each.
   *
   * @param rows of each environment; where there are fewer, they come again
   * @return rows in memory; the caller closes them
   */
  public static TensorDataset through(
      IndexedDataset data, List<Augmentation> environments, int rows, long seed) {
    return Scopes.scoped(
        () -> {
          List<Tensor> inputs = new ArrayList<>();
          List<Tensor> labels = new ArrayList<>();
          for (int i = 0; i < environments.size(); i++) {
            try (Rng rng = Rng.named(seed, "environment " + i)) {
              for (int left = rows, pass = 0; left > 0; pass++) {
                IndexedDataset part =
                    data.shuffled(Rng.derive(seed, i + " " + pass))
                        .limit((int) Math.min(left, data.size()));
                Batch batch = part.read(IntStream.range(0, (int) part.size()).toArray());
                inputs.add(environments.get(i).apply(batch.inputs(), rng));
                labels.add(Tensors.labels(part.labels()));
                left -= (int) part.size();
              }
            }
          }
          return TensorDataset.builder(
                  torch.cat(new TensorVector(inputs.toArray(new Tensor[0])), 0))
              .labels(torch.cat(new TensorVector(labels.toArray(new Tensor[0])), 0))
              .classNames(data.classNames())
              .name("a stream of " + data.name())
              .build();
        });
  }

  /** Runs a device through a stream; device and cloud are borrowed. */
  public static Run run(
      TensorDataset stream, int batch, EdgeDevice device, CloudSession cloud, Uploads uploads) {
    long[] sent = {0};
    try (MemoryLink link = new MemoryLink(cloud)) {
      double accuracy =
          accuracy(
              stream,
              batch,
              inputs -> {
                Output output = device.predict(inputs);
                Message upload = uploads.of(inputs, output);
                Tensor rows = upload.tensors().get("samples");
                sent[0] += rows == null ? 0 : rows.size(0);
                link.send(upload);
                Message answer = link.receive();
                if (answer != null) {
                  device.receive(answer);
                }
                return output;
              });
      return new Run(accuracy, (double) sent[0] / stream.size(), link.traffic());
    }
  }

  /** The share of rows whose largest logit is that of their label, batch by batch. */
  public static double accuracy(TensorDataset stream, int batch, Predictor predictor) {
    long right = 0;
    try (Batches batches = stream.batches(batch)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch next = batches.next();
            Output output = predictor.predict(next.inputs())) {
          Tensor predicted = output.logits().argmax(new LongOptional(1), false);
          right += predicted.eq(Objects.requireNonNull(next.labels())).sum().item_long();
        }
      }
    }
    return (double) right / stream.size();
  }

  /** That many rows of a batch at random. */
  public static Tensor random(Rng rng, long rows, long wanted) {
    return rng.permutation(rows).narrow(0, 0, wanted);
  }
}
