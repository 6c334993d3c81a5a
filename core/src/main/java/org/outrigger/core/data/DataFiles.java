package org.outrigger.core.data;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** Opens any data that Outrigger can read, by what lies at the path. */
public final class DataFiles {
  private static final String FORMS =
      "a folder of images (one sub-folder a class, or flat), .csv, .tsv, .parquet, .jsonl or"
          + " .ndjson tables, .npy, .npz, a folder with x.npy, or IDX images such as"
          + " train-images-idx3-ubyte.gz";

  private DataFiles() {}

  /** Opens with {@link DataOptions#defaults()}. */
  public static Dataset open(Path path) {
    return open(path, DataOptions.defaults());
  }

  /**
   * Opens a folder or file. Images and arrays come as {@link IndexedDataset}; tables are streamed.
   *
   * @throws OutriggerException if nothing is there or its form is not known, naming the known ones
   */
  public static Dataset open(Path path, DataOptions options) {
    Dataset data = find(path, options);
    return options.strict() ? data.strict() : data;
  }

  /** As {@link #open(Path, DataOptions)}, with a table read into memory, to shuffle and split. */
  public static IndexedDataset openIndexed(Path path, DataOptions options) {
    Dataset data = open(path, options);
    return data instanceof IndexedDataset indexed ? indexed : TensorDataset.copyOf(data);
  }

  /**
   * Images in memory, in 0 .. 1, with a model's normalisation; other rows as they are.
   *
   * @throws OutriggerException if the preprocessing asks for another size or number of channels
   */
  public static IndexedDataset prepared(
      IndexedDataset data, @Nullable Preprocessing preprocessing) {
    return ArrayData.prepared(data, preprocessing);
  }

  private static Dataset find(Path path, DataOptions options) {
    if (!Files.exists(path)) {
      throw new OutriggerException("There is no file or folder " + path + ".");
    }
    if (!Files.isReadable(path)) {
      throw new OutriggerException(path + " may not be read by this user.");
    }
    if (Files.isDirectory(path)) {
      Path x = path.resolve("x.npy");
      return Files.exists(x)
          ? ArrayData.prepared(NpyData.open(x, options), options.preprocessing())
          : ImageFolder.open(path, options);
    }
    if (TableDataset.recognises(path)) {
      return TableDataset.open(path, options);
    }
    if (NpyData.recognises(path)) {
      return ArrayData.prepared(NpyData.open(path, options), options.preprocessing());
    }
    if (Idx.recognises(path)) {
      return ArrayData.prepared(Idx.open(path, options), options.preprocessing());
    }
    throw new OutriggerException(
        path + " is of no form that can be read. Readable are: " + FORMS + ".");
  }
}
