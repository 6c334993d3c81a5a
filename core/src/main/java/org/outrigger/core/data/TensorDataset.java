package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * Rows in memory: one tensor of inputs, perhaps one of labels. It shares the memory of the tensors
 * it was given, which must not be changed afterwards, and keeps it until {@link #close}.
 */
public final class TensorDataset implements IndexedDataset, AutoCloseable {
  private final String name;
  private final Tensor inputs;
  private final int @Nullable [] labels;
  private final List<String> ids;
  private final List<String> times;
  private final List<String> classNames;
  private final List<String> featureColumns;
  private final boolean scaleBytes;
  private final BitSet unreadable;
  private final long[] inputShape;
  private final int size;

  private TensorDataset(Builder builder) {
    Torch.start();
    name = builder.name;
    ids = builder.ids;
    times = builder.times;
    classNames = builder.classNames;
    featureColumns = builder.featureColumns;
    scaleBytes = builder.scaleBytes;
    long[] shape = builder.inputs.shape();
    if (shape.length < 2) {
      throw new OutriggerException(
          name
              + ": inputs have shape "
              + Arrays.toString(shape)
              + ", but rows [N, D] or images [N, C, H, W] are needed.");
    }
    size = Math.toIntExact(shape[0]);
    inputShape = Arrays.copyOfRange(shape, 1, shape.length);
    labels = builder.labels == null ? null : labels(builder.labels);
    count("ids", ids.size());
    count("times", times.size());
    inputs =
        Scopes.scoped(
            () -> {
              ScalarType type = builder.inputs.scalar_type().intern();
              Tensor kept =
                  type == ScalarType.Byte
                      ? builder.inputs
                      : builder.inputs.detach().to(ScalarType.Float);
              return Scopes.own(kept.contiguous());
            });
    unreadable = builder.skipNotFinite ? notFinite() : new BitSet();
  }

  private int[] labels(Tensor given) {
    Shapes.check()
        .size("N", size, "the inputs of " + name)
        .tensor("The labels of " + name, given, "N");
    ScalarType type = given.scalar_type().intern();
    if (type == ScalarType.Float || type == ScalarType.Double || type == ScalarType.Half) {
      throw new OutriggerException(
          "The labels of " + name + " have type " + type + ", but whole numbers are needed.");
    }
    int[] values = Tensors.ints(given);
    if (!classNames.isEmpty()) {
      for (int label : values) {
        if (label >= classNames.size()) {
          throw new OutriggerException(
              "The labels of "
                  + name
                  + " go up to "
                  + Arrays.stream(values).max().orElse(label)
                  + ", but there are "
                  + classNames.size()
                  + " class names: name every class, or leave such rows out.");
        }
      }
    }
    return values;
  }

  private void count(String what, int count) {
    if (count != 0 && count != size) {
      throw new OutriggerException(
          name + " has " + size + " rows, but " + count + " " + what + " were given.");
    }
  }

  private BitSet notFinite() {
    BitSet bad = new BitSet();
    if (size > 0 && inputs.scalar_type().intern() == ScalarType.Float) {
      long[] rows =
          Scopes.scoped(
              () ->
                  Tensors.longs(
                      // Any NaN or infinity makes the sum of x * 0 of its row NaN.
                      inputs.flatten(1, -1).mul(new Scalar(0)).sum(1).isnan().nonzero()));
      Arrays.stream(rows).forEach(row -> bad.set((int) row));
    }
    return bad;
  }

  /**
   * Labelled rows without names.
   *
   * @param inputs [N, ...]; float32 is shared, bytes are read as 0 .. 255, other types are copied
   *     to float32
   * @param labels whole numbers [N]; below 0: unknown
   */
  public static TensorDataset of(Tensor inputs, @Nullable Tensor labels) {
    return builder(inputs).labels(labels).build();
  }

  /** A builder for more. */
  public static Builder builder(Tensor inputs) {
    return new Builder(inputs);
  }

  /**
   * Reads all of a data set into memory. Rows that cannot be read are left out; take {@code
   * data.strict()} to stop there.
   */
  public static TensorDataset copyOf(Dataset data) {
    return Scopes.scoped(
        () -> {
          List<Tensor> inputs = new ArrayList<>();
          List<Tensor> labels = new ArrayList<>();
          List<String> ids = new ArrayList<>();
          List<String> times = new ArrayList<>();
          String why = "it is empty";
          try (Batches batches = data.batches(1024)) {
            while (batches.hasNext()) {
              Batch batch = batches.next();
              inputs.add(batch.inputs());
              if (batch.labels() != null) {
                labels.add(batch.labels());
              }
              ids.addAll(batch.ids());
              times.addAll(batch.times());
            }
            if (!batches.skipped().isEmpty()) {
              Batches.Skipped first = batches.skipped().get(0);
              why =
                  "none could be read, the first, '" + first.id() + "', because " + first.reason();
            }
          }
          if (inputs.isEmpty()) {
            throw new OutriggerException(data.name() + " has no rows: " + why + ".");
          }
          return builder(torch.cat(new TensorVector(inputs.toArray(new Tensor[0])), 0))
              .labels(
                  labels.isEmpty()
                      ? null
                      : torch.cat(new TensorVector(labels.toArray(new Tensor[0])), 0))
              .ids(ids)
              .times(times.size() == ids.size() ? times : List.of())
              .classNames(data.classNames())
              .featureColumns(data.featureColumns())
              .name(data.name())
              .build();
        });
  }

  /** What a {@link TensorDataset} is made of. */
  public static final class Builder {
    private final Tensor inputs;
    private @Nullable Tensor labels;
    private String name = "tensors";
    private List<String> ids = List.of();
    private List<String> times = List.of();
    private List<String> classNames = List.of();
    private List<String> featureColumns = List.of();
    private boolean scaleBytes;
    private boolean skipNotFinite;

    private Builder(Tensor inputs) {
      this.inputs = inputs;
    }

    /** Whole numbers [N]; below 0: unknown; null: unlabelled. */
    public Builder labels(@Nullable Tensor labels) {
      this.labels = labels;
      return this;
    }

    /** What it is called in reports. */
    public Builder name(String name) {
      this.name = name;
      return this;
    }

    /** A name for each row; without, rows are numbered from 0. */
    public Builder ids(List<String> ids) {
      this.ids = List.copyOf(ids);
      return this;
    }

    /** A time for each row, as text. */
    public Builder times(List<String> times) {
      this.times = List.copyOf(times);
      return this;
    }

    /** The names of the classes, by label. */
    public Builder classNames(List<String> names) {
      this.classNames = List.copyOf(names);
      return this;
    }

    /** The columns of the table that the inputs come from. */
    public Builder featureColumns(List<String> names) {
      this.featureColumns = List.copyOf(names);
      return this;
    }

    /** Whether bytes 0 .. 255 are read as 0 .. 1. */
    public Builder scaleBytes(boolean scale) {
      this.scaleBytes = scale;
      return this;
    }

    /** Whether rows with NaN or infinite values count as unreadable, so that walks skip them. */
    public Builder skipNotFinite(boolean skip) {
      this.skipNotFinite = skip;
      return this;
    }

    /**
     * The data set.
     *
     * @throws OutriggerException if the parts do not fit each other
     */
    public TensorDataset build() {
      return new TensorDataset(this);
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public List<String> featureColumns() {
    return featureColumns;
  }

  @Override
  public boolean labelled() {
    return labels != null;
  }

  @Override
  public long[] inputShape() {
    return inputShape.clone();
  }

  @Override
  public boolean inMemory() {
    return true;
  }

  @Override
  public int label(int row) {
    return labels == null ? -1 : labels[row];
  }

  /** The inputs as they are stored, [N, ...], float32 or bytes; borrowed. */
  public Tensor inputs() {
    return inputs;
  }

  @Override
  public Batch read(int[] rows) {
    for (int row : rows) {
      if (row < 0 || row >= size) {
        throw new OutriggerException(
            "Row " + row + " is not in " + name + ", of " + size + " rows.");
      }
      if (unreadable.get(row)) {
        throw new UnreadableRow(id(row), "it holds NaN or infinite values");
      }
    }
    Tensor read = Scopes.tensor(() -> select(rows));
    return new Batch(
        read,
        labels == null ? null : Tensors.labels(Arrays.stream(rows).map(this::label).toArray()),
        Arrays.stream(rows).mapToObj(this::id).toList(),
        times.isEmpty() ? List.of() : Arrays.stream(rows).mapToObj(times::get).toList());
  }

  private String id(int row) {
    return ids.isEmpty() ? Integer.toString(row) : ids.get(row);
  }

  /** Always a copy: what the reader does to its batch must not change the data. */
  private Tensor select(int[] rows) {
    boolean run = rows.length > 0;
    for (int i = 1; run && i < rows.length; i++) {
      run = rows[i] == rows[i - 1] + 1;
    }
    boolean bytes = inputs.scalar_type().intern() == ScalarType.Byte;
    Tensor chosen;
    if (run) {
      Tensor view = inputs.narrow(0, rows[0], rows.length);
      chosen = bytes ? view : view.clone();
    } else {
      chosen = inputs.index_select(0, Tensors.labels(rows));
    }
    if (!bytes) {
      return chosen;
    }
    Tensor floats = chosen.to(ScalarType.Float);
    return scaleBytes ? floats.div_(new Scalar(255)) : floats;
  }

  @Override
  public void close() {
    Scopes.release(inputs);
  }
}
