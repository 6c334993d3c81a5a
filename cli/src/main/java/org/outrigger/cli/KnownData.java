package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TableDataset;
import org.outrigger.core.data.TextColumn;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcData;
import org.outrigger.select.data.TextMeasures;
import org.outrigger.select.data.TokenScores;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What the commands that measure and choose data learn of a data set; the same options for all. */
final class KnownData {
  private static final int WORDS = 512;
  private static final int ROWS = 256;

  @Option(
      names = "--text",
      paramLabel = "COLUMN",
      description = "The data are texts: this column of a table, or - for the lines of a file.")
  private @Nullable String text;

  @Option(
      names = "--quality",
      paramLabel = "COLUMN",
      description = "A column of the table with the quality of each row, in 0 .. 1.")
  private @Nullable String quality;

  @Option(
      names = "--complexity",
      paramLabel = "COLUMN",
      description = "A column of the table that says how demanding each row is.")
  private @Nullable String complexity;

  @Option(
      names = "--model",
      paramLabel = "FILE",
      description = "Embed rows by this model's features; their own values by default.")
  private @Nullable Path model;

  @Mixin private ModelArguments modelArguments;
  @Mixin private DataArguments reading;

  /**
   * A data set; its tensors belong to the scope that it was read in.
   *
   * @param ids of the rows
   * @param embeddings [n, d]
   * @param quality [n], or null
   * @param complexity [n], or null
   */
  record Rows(
      String name,
      List<String> ids,
      Tensor embeddings,
      String source,
      @Nullable Tensor quality,
      @Nullable Tensor complexity,
      String complexityName,
      @Nullable Tensor labels,
      @Nullable List<String> texts) {
    /** As it is measured. */
    QdcData data(@Nullable Rows reference) {
      QdcData.Builder known = QdcData.of(name).embeddings(embeddings, source);
      if (texts != null) {
        known.texts(texts);
      }
      if (quality != null) {
        known.quality(quality);
      }
      if (complexity != null && !complexityName.equals(Qdc.LENGTH)) {
        known.complexity(complexityName, complexity);
      }
      if (labels != null) {
        known.labels(labels).attribute("class", labels);
      }
      if (reference != null) {
        known.reference(reference.embeddings);
      }
      return known.build();
    }
  }

  /** Opens the model if one is named; the caller closes it. */
  @Nullable Model model(Device device) {
    if (model == null) {
      return null;
    }
    if (text != null) {
      throw new OutriggerException(
          "--model embeds images and tables, not texts: leave it out with --text.");
    }
    return modelArguments.open(model, device);
  }

  /** Reads a data set; belongs to the innermost scope. */
  Rows read(Path path, @Nullable Model opened, PrintWriter err) {
    return text != null ? texts(path, text) : rows(path, opened, err);
  }

  private Rows texts(Path path, String column) {
    List<String> texts = TextColumn.read(path, column.equals("-") ? null : column, reading.limit());
    Tensor lengths = null;
    if (complexity == null) {
      int[][] tokens = TextMeasures.tokens(texts);
      lengths =
          Tensors.of(Arrays.stream(tokens).mapToDouble(t -> t.length).toArray(), tokens.length);
    }
    return new Rows(
        String.valueOf(path.getFileName()),
        IntStream.range(0, texts.size()).mapToObj(Integer::toString).toList(),
        TextMeasures.hashedWords(texts, WORDS),
        "hashed words",
        column(path, quality, texts.size()),
        lengths == null ? column(path, complexity, texts.size()) : lengths,
        lengths == null ? String.valueOf(complexity) : Qdc.LENGTH,
        null,
        texts);
  }

  private Rows rows(Path path, @Nullable Model opened, PrintWriter err) {
    List<String> classes = opened == null ? List.of() : ModelArguments.classNames(opened);
    Dataset data = reading.open(path, classes, null);
    if (quality != null || complexity != null) {
      if (!(data instanceof TableDataset)) {
        throw new OutriggerException(
            "--quality and --complexity name columns of a table, which " + path + " is not.");
      }
      List<String> features = new ArrayList<>(data.featureColumns());
      features.remove(quality);
      features.remove(complexity);
      // A row that could not be read would shift the columns against the rows.
      data = reading.open(path, classes, null, "test", features).strict();
    }
    List<Tensor> embeddings = new ArrayList<>();
    List<Tensor> labels = new ArrayList<>();
    List<Tensor> confidences = new ArrayList<>();
    List<Tensor> difficulties = new ArrayList<>();
    List<String> ids = new ArrayList<>();
    try (Progress progress = new Progress("Reading " + data.name(), data.size());
        Batches batches = data.batches(ROWS)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope()) {
          Batch batch = batches.next();
          ids.addAll(batch.ids());
          Tensor label = batch.labels();
          if (label != null) {
            labels.add(Scopes.own(label));
          }
          if (opened == null) {
            embeddings.add(Scopes.own(batch.inputs().flatten(1, -1)));
          } else {
            Output output = opened.predict(batch.inputs());
            embeddings.add(Scopes.own(output.features()));
            if (label != null && label.ge(new Scalar(0)).all().item_bool()) {
              Tensor logits = output.logits().unsqueeze(1);
              Tensor loss = TokenScores.logPerplexity(logits, label.unsqueeze(1));
              confidences.add(Scopes.own(loss.neg().exp().clamp_max(new Scalar(1.0))));
              difficulties.add(Scopes.own(TokenScores.el2n(logits, label.unsqueeze(1))));
            }
          }
          progress.to(ids.size());
        }
      }
      Skips.report(err, data.name(), batches.skipped());
      if (ids.isEmpty()) {
        throw new OutriggerException(path + " has no rows that can be read.");
      }
      boolean scored = opened != null && ids.size() == rows(confidences);
      Tensor known = ids.size() == rows(labels) ? all(labels) : null;
      return new Rows(
          data.name(),
          ids,
          all(embeddings).to(ScalarType.Double),
          opened == null ? "inputs" : "features of " + opened.name(),
          quality != null ? column(path, quality, ids.size()) : scored ? all(confidences) : null,
          complexity != null
              ? column(path, complexity, ids.size())
              : scored ? all(difficulties) : null,
          complexity != null ? complexity : "EL2N",
          known != null && known.ge(new Scalar(0)).all().item_bool() ? known : null,
          null);
    } finally {
      List.of(embeddings, labels, confidences, difficulties)
          .forEach(parts -> parts.forEach(Scopes::release));
    }
  }

  private static long rows(List<Tensor> parts) {
    return parts.stream().mapToLong(part -> part.size(0)).sum();
  }

  private static Tensor all(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
  }

  private @Nullable Tensor column(Path path, @Nullable String name, int rows) {
    if (name == null) {
      return null;
    }
    double[] values = TextColumn.numbers(path, name, reading.limit());
    if (values.length != rows) {
      throw new OutriggerException(
          "Column '" + name + "' has " + values.length + " values for " + rows + " rows.");
    }
    return Tensors.of(values, values.length);
  }
}
