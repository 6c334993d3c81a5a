package org.outrigger.core.data;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** What all array files have in common: image layout, labels in the model's order, limits. */
final class ArrayData {
  private ArrayData() {}

  /**
   * Byte images become [N, C, H, W] in 0 .. 1: [N, H, W] gets one channel, and the channels of [N,
   * H, W, C] with 1 or 3 of them move to the front. Other arrays stay as they are.
   */
  static TensorDataset of(
      String name, Tensor inputs, @Nullable Tensor labels, DataOptions options) {
    boolean bytes = inputs.scalar_type().intern() == ScalarType.Byte;
    Tensor rows = inputs;
    Tensor classes = labels;
    if (options.limit() > 0 && inputs.dim() > 0 && inputs.size(0) > options.limit()) {
      rows = rows.narrow(0, 0, options.limit());
      if (classes != null && classes.dim() > 0 && classes.size(0) == inputs.size(0)) {
        classes = classes.narrow(0, 0, options.limit());
      }
    }
    boolean images = rows.dim() == 4 || (bytes && rows.dim() == 3);
    if (bytes && rows.dim() == 3) {
      rows = rows.unsqueeze(1);
    } else if (rows.dim() == 4 && isChannels(rows.size(3)) && !isChannels(rows.size(1))) {
      rows = rows.permute(0, 3, 1, 2).contiguous();
    }
    if (classes != null && classes.dim() == 2 && classes.size(1) == 1) {
      classes = classes.squeeze(1);
    }
    TensorDataset data =
        TensorDataset.builder(rows)
            .labels(classes)
            .name(name)
            .classNames(options.classNames())
            .scaleBytes(images)
            .skipNotFinite(true)
            .build();
    if (data.size() == 0) {
      throw new OutriggerException(name + " holds no rows: give data with at least one.");
    }
    return data;
  }

  private static boolean isChannels(long count) {
    return count == 1 || count == 3;
  }

  /** The data with a model's normalisation; sizes and channels must fit already. */
  static IndexedDataset prepared(IndexedDataset data, @Nullable Preprocessing preprocessing) {
    long[] shape = data.inputShape();
    if (preprocessing == null || shape.length != 3) {
      return data;
    }
    boolean cropped = preprocessing.cropHeight() > 0;
    long height = cropped ? preprocessing.cropHeight() : preprocessing.height();
    long width = cropped ? preprocessing.cropWidth() : preprocessing.width();
    boolean size = height == 0 || (height == shape[1] && width == shape[2]);
    int channels = preprocessing.channels();
    if (!size || (channels > 0 && channels != shape[0])) {
      throw new OutriggerException(
          data.name()
              + " holds images of shape "
              + Arrays.toString(shape)
              + ", but the preprocessing makes "
              + List.of(channels, height, width)
              + " (channels, height, width): arrays are only normalised, so save them with that"
              + " shape or use image files.");
    }
    return new Prepared(data, preprocessing);
  }

  /** Images in 0 .. 1 that are normalised as they are read. */
  private static final class Prepared implements IndexedDataset {
    private final IndexedDataset source;
    private final Preprocessing preprocessing;

    Prepared(IndexedDataset source, Preprocessing preprocessing) {
      this.source = source;
      this.preprocessing = preprocessing;
    }

    @Override
    public String name() {
      return source.name();
    }

    @Override
    public long size() {
      return source.size();
    }

    @Override
    public List<String> classNames() {
      return source.classNames();
    }

    @Override
    public boolean labelled() {
      return source.labelled();
    }

    @Override
    public long[] inputShape() {
      return source.inputShape();
    }

    @Override
    public boolean inMemory() {
      return source.inMemory();
    }

    @Override
    public int label(int row) {
      return source.label(row);
    }

    @Override
    public Batch read(int[] rows) {
      Batch batch = source.read(rows);
      try (Tensor raw = batch.inputs()) {
        return new Batch(preprocessing.applyTo(raw), batch.labels(), batch.ids(), batch.times());
      }
    }
  }
}
