package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/** What the model says of every row of the pool: sample vectors, scores, embeddings. */
final class PoolEvidence implements AutoCloseable {
  /** Gradient values that are held at once: 128 MB. */
  private static final long VALUES = 1L << 25;

  private final Tensor vectors;
  private final Tensor scores;
  private final Tensor embeddings;

  private PoolEvidence(Tensor vectors, Tensor scores, Tensor embeddings) {
    this.vectors = vectors;
    this.scores = scores;
    this.embeddings = embeddings;
  }

  /** [N, p], not normalised. */
  Tensor vectors() {
    return vectors;
  }

  /** float64 [N, S]. */
  Tensor scores() {
    return scores;
  }

  /** [N, d]. */
  Tensor embeddings() {
    return embeddings;
  }

  static PoolEvidence collect(
      Model model,
      IndexedDataset rows,
      AdaptInfinity.Settings settings,
      List<SampleScore> scores,
      LongConsumer progress) {
    if (!rows.labelled() || IntStream.of(rows.labels()).anyMatch(label -> label < 0)) {
      throw new OutriggerException(
          "Rows without a label have no loss and so no gradient: label them or leave them out.");
    }
    String layer = settings.layer().isEmpty() ? GradientVectors.usual(model) : settings.layer();
    long width = GradientVectors.width(model, layer);
    int size = (int) Math.max(1, Math.min(settings.batchSize(), VALUES / width));
    RademacherProjection projection =
        new RademacherProjection(settings.projection(), settings.projectionSeed());
    List<Tensor> vectors = new ArrayList<>();
    List<Tensor> values = new ArrayList<>();
    List<Tensor> embeddings = new ArrayList<>();
    try (RademacherProjection.Projector projector = projection.projector(width);
        Batches batches = rows.strict().batches(size)) {
      long done = 0;
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope()) {
          Batch batch = batches.next();
          Tensor labels = batch.labels();
          if (labels == null) {
            throw new OutriggerException("A batch of the pool has no labels.");
          }
          One one = one(model, layer, settings, scores, projection, projector, batch, labels);
          vectors.add(Scopes.own(one.vectors));
          values.add(Scopes.own(one.scores));
          embeddings.add(Scopes.own(one.embeddings));
          done += batch.size();
          progress.accept(done);
        }
      }
      return Scopes.scoped(() -> new PoolEvidence(all(vectors), all(values), all(embeddings)));
    } finally {
      vectors.forEach(Scopes::release);
      values.forEach(Scopes::release);
      embeddings.forEach(Scopes::release);
    }
  }

  private static Tensor all(List<Tensor> parts) {
    return Scopes.own(torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0));
  }

  private record One(Tensor vectors, Tensor scores, Tensor embeddings) {}

  private static One one(
      Model model,
      String layer,
      AdaptInfinity.Settings settings,
      List<SampleScore> scores,
      RademacherProjection projection,
      RademacherProjection.Projector projector,
      Batch batch,
      Tensor labels) {
    Tensor inputs = batch.inputs();
    Tensor norms;
    Tensor projected;
    if (settings.epsilon() > 0) {
      Tensor estimate =
          GradientVectors.zeroOrder(model, layer, inputs, labels, projection, settings.epsilon());
      norms = estimate.mul(estimate).sum(1).sqrt();
      projected = settings.sign() ? estimate.sign() : estimate;
    } else {
      Tensor gradients = GradientVectors.of(model, layer, inputs, labels);
      norms = gradients.mul(gradients).sum(1).sqrt();
      projected =
          projector.project((settings.sign() ? gradients.sign() : gradients).to(ScalarType.Float));
      // A product of a vanished gradient is noise of rounding; the norm says so.
      projected =
          projected.masked_fill(
              norms.lt(new Scalar(AdaptInfinity.LEARNED)).unsqueeze(1), new Scalar(0.0));
    }
    String semantic = settings.semanticLayer();
    Output output = model.predict(inputs, semantic.isEmpty() ? List.of() : List.of(semantic));
    SampleScore.Evidence evidence =
        new SampleScore.Evidence(
            inputs, output.logits(), labels, norms, without(model, inputs, settings));
    TensorVector columns = new TensorVector();
    for (SampleScore score : scores) {
      columns.push_back(column(score, evidence, batch.size()));
    }
    Tensor embedding = semantic.isEmpty() ? output.features() : pooled(output.maps().get(semantic));
    return new One(projected, torch.stack(columns, 1), embedding);
  }

  private static Tensor column(SampleScore score, SampleScore.Evidence evidence, int n) {
    Tensor column = score.of(evidence);
    if (column.dim() != 1 || column.size(0) != n) {
      throw new OutriggerException(
          "The score '"
              + score.label()
              + "' gave "
              + column.numel()
              + " values for "
              + n
              + " samples: it must give one each.");
    }
    return column.to(ScalarType.Double);
  }

  private static @Nullable Tensor without(
      Model model, Tensor inputs, AdaptInfinity.Settings settings) {
    if (settings.contextWidth() == 0) {
      return null;
    }
    Tensor flat = inputs.flatten(1, -1).clone();
    long width = flat.size(1);
    if ((long) settings.contextFrom() + settings.contextWidth() > width) {
      throw new OutriggerException(
          "The removable field of "
              + settings.contextWidth()
              + " values from "
              + settings.contextFrom()
              + " does not fit rows of "
              + width
              + " values: change contextFrom or contextWidth.");
    }
    flat.narrow(1, settings.contextFrom(), settings.contextWidth()).zero_();
    return model.predict(flat.view(inputs.shape())).logits();
  }

  /** The mean over positions: [N, D] of [N, D], [N, T, D] or [N, D, H, W]. */
  private static Tensor pooled(@Nullable Tensor output) {
    if (output == null) {
      throw new OutriggerException("The layer of the embeddings did not run: name another.");
    }
    return switch ((int) output.dim()) {
      case 2 -> output;
      case 3 -> output.mean(1);
      case 4 -> output.mean(new long[] {2, 3}, false, null);
      default -> output.flatten(1, -1);
    };
  }

  @Override
  public void close() {
    Scopes.release(vectors);
    Scopes.release(scores);
    Scopes.release(embeddings);
  }
}
