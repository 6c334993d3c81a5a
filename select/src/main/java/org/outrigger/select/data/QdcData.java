package org.outrigger.select.data;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * What is known about the samples of a set: all of it optional, all of it about the same n samples
 * in the same order. Tensors are borrowed.
 */
public final class QdcData {
  private final String name;
  private final int n;
  private final Builder given;

  private QdcData(Builder given) {
    this.given = given;
    name = given.name;
    n = given.n;
  }

  /** Starts a description of a set of that name. */
  public static Builder of(String name) {
    return new Builder(name);
  }

  /** What it is called in reports. */
  public String name() {
    return name;
  }

  /** The number of samples. */
  public int size() {
    return n;
  }

  @Nullable List<String> texts() {
    return given.texts;
  }

  int @Nullable [][] tokens() {
    return given.tokens;
  }

  @Nullable List<Set<String>> tags() {
    return given.tags;
  }

  Set<String> knownTags() {
    return given.knownTags;
  }

  String embedding() {
    return given.embedding;
  }

  @Nullable Tensor reference() {
    return given.reference;
  }

  int attempts() {
    return given.attempts;
  }

  Map<String, Tensor> attributes() {
    return given.attributes;
  }

  Map<String, Tensor> complexities() {
    return given.complexities;
  }

  /** One of the columns: quality, embeddings, labels, ...; null if it was not given. */
  @Nullable Tensor column(Column column) {
    return given.columns.get(column);
  }

  /** What a sample can have one value or row of. */
  enum Column {
    EMBEDDINGS,
    QUALITY,
    LABELS,
    VERIFIED,
    SOLVED,
    LOSS_WITH,
    LOSS_WITHOUT,
    TOKEN_LOSS
  }

  /** The samples of these positions, in this order; its tensors belong to the current scope. */
  public QdcData subset(int[] rows) {
    Builder b = new Builder(name);
    b.n = rows.length;
    List<String> texts = given.texts;
    if (texts != null) {
      b.texts = Arrays.stream(rows).mapToObj(texts::get).toList();
    }
    int[][] tokens = given.tokens;
    if (tokens != null) {
      b.tokens = Arrays.stream(rows).mapToObj(i -> tokens[i]).toArray(int[][]::new);
    }
    List<Set<String>> tags = given.tags;
    if (tags != null) {
      b.tags = Arrays.stream(rows).mapToObj(tags::get).toList();
    }
    b.knownTags = given.knownTags;
    b.embedding = given.embedding;
    b.reference = given.reference;
    b.attempts = given.attempts;
    Tensor index = Tensors.labels(rows);
    given.columns.forEach((column, t) -> b.columns.put(column, t.index_select(0, index)));
    given.attributes.forEach((key, t) -> b.attributes.put(key, t.index_select(0, index)));
    given.complexities.forEach((key, t) -> b.complexities.put(key, t.index_select(0, index)));
    return new QdcData(b);
  }

  /** As many samples at random, in their order; all if there are no more. */
  QdcData subsample(int size, long seed) {
    int[] all = new int[n];
    Arrays.setAll(all, i -> i);
    int[] rows = TradeOffs.subsample(all, size, seed);
    return rows.length == n ? this : subset(rows);
  }

  /** Collects what is known. */
  public static final class Builder {
    private final String name;
    private int n = -1;
    private @Nullable List<String> texts;
    private int @Nullable [][] tokens;
    private @Nullable List<Set<String>> tags;
    private Set<String> knownTags = Set.of();
    private String embedding = "";
    private @Nullable Tensor reference;
    private int attempts;
    private final Map<Column, Tensor> columns = new LinkedHashMap<>();
    private final Map<String, Tensor> attributes = new LinkedHashMap<>();
    private final Map<String, Tensor> complexities = new LinkedHashMap<>();

    private Builder(String name) {
      this.name = name;
    }

    /** Raw texts, none empty; they are split into words where no tokens are given. */
    public Builder texts(List<String> values) {
      TextMeasures.requireText(values);
      texts = List.copyOf(values);
      return rows("texts", values.size());
    }

    /** Token sequences. */
    public Builder tokens(int[][] values) {
      tokens = values.clone();
      return rows("tokens", values.length);
    }

    /**
     * Embeddings [n, d].
     *
     * @param source what made them: reports of sets with other sources are not compared
     */
    public Builder embeddings(Tensor values, String source) {
      EmbeddingDiversity.pairs(values);
      embedding = source;
      return column(Column.EMBEDDINGS, values);
    }

    /** Embeddings [m, d] of a reference set, from the same source. */
    public Builder reference(Tensor values) {
      reference = values;
      return this;
    }

    /** Quality of each sample, [n], in [0, 1]. */
    public Builder quality(Tensor values) {
      QualityMeasures.unit("quality", values);
      return column(Column.QUALITY, values);
    }

    /** Class labels int64 [n], for the estimate of label noise from the embeddings. */
    public Builder labels(Tensor values) {
      return column(Column.LABELS, values);
    }

    /** What a verifier says the labels are, int64 [n]. */
    public Builder verified(Tensor values) {
      return column(Column.VERIFIED, values);
    }

    /** How many of the attempts solved each task, [n]. */
    public Builder solved(Tensor values, int ofAttempts) {
      QualityMeasures.counts(values, ofAttempts);
      attempts = ofAttempts;
      return column(Column.SOLVED, values);
    }

    /** Mean loss of each answer with and without its instruction, [n] each. */
    public Builder instructionLosses(Tensor with, Tensor without) {
      column(Column.LOSS_WITH, with);
      return column(Column.LOSS_WITHOUT, without);
    }

    /** Mean token loss of each sample under a reference model, [n]. */
    public Builder tokenLosses(Tensor values) {
      return column(Column.TOKEN_LOSS, values);
    }

    /** An attribute, int64 [n], 0 or more. */
    public Builder attribute(String called, Tensor values) {
      attributes.put(called, values);
      return rows("attribute " + called, values.size(0));
    }

    /** Tags of each sample, and all that could occur. */
    public Builder tags(List<? extends Set<String>> values, Set<String> known) {
      tags = List.copyOf(values);
      knownTags = Set.copyOf(known);
      return rows("tags", values.size());
    }

    /** A measure of complexity of one's own: tree depth, reasoning steps, EL2N, ..., [n]. */
    public Builder complexity(String called, Tensor values) {
      complexities.put(called, values);
      return rows("complexity " + called, values.size(0));
    }

    private Builder column(Column column, Tensor values) {
      columns.put(column, values);
      return rows(column.name().toLowerCase(Locale.ROOT), values.size(0));
    }

    private Builder rows(String what, long count) {
      if (n >= 0 && n != count) {
        throw new OutriggerException(
            what + " has " + count + " entries, but " + name + " has " + n + " samples.");
      }
      n = Math.toIntExact(count);
      return this;
    }

    /**
     * The description.
     *
     * @throws OutriggerException if nothing was given, or no samples
     */
    public QdcData build() {
      if (n < 1) {
        throw new OutriggerException(
            "There is nothing to measure of "
                + name
                + ": give texts, embeddings, attributes, quality, solve counts or losses.");
      }
      Tensor r = reference;
      Tensor e = columns.get(Column.EMBEDDINGS);
      if (r != null && (e == null || e.size(1) != r.size(1))) {
        throw new OutriggerException(
            "A reference needs embeddings of "
                + name
                + " of the same width: embed both with the same model.");
      }
      return new QdcData(this);
    }
  }

  /** Runs work with a subsample whose tensors are released afterwards. */
  <T> T withSubsample(int size, long seed, Function<QdcData, T> work) {
    return Scopes.scoped(() -> work.apply(subsample(size, seed)));
  }
}
