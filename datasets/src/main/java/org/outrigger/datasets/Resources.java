package org.outrigger.datasets;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Reads the data that is embedded in this module. */
final class Resources {
  private Resources() {}

  /** One part of an image data set: bytes, read as [0, 1], with a channel dimension. */
  static TensorDataset images(String folder, String part, String title, List<String> classNames) {
    ByteBuffer images = ByteBuffer.wrap(bytes(folder + "/" + part + "-images.idx3.gz"));
    ByteBuffer labels = ByteBuffer.wrap(bytes(folder + "/" + part + "-labels.idx1.gz"));
    int[] shape = idxShape(images);
    idxShape(labels);
    return Scopes.scoped(
        () ->
            TensorDataset.builder(
                    Tensors.of(images, ScalarType.Byte, shape[0], 1, shape[1], shape[2]))
                .labels(Tensors.of(labels, ScalarType.Byte, shape[0]))
                .classNames(classNames)
                .scaleBytes(true)
                .name(title + " " + part)
                .build());
  }

  /** Reads an IDX header (two zeros, type 8 = bytes, number of dimensions, their sizes). */
  private static int[] idxShape(ByteBuffer idx) {
    int dimensions = idx.getInt() & 0xff;
    int[] shape = new int[dimensions];
    for (int i = 0; i < dimensions; i++) {
      shape[i] = idx.getInt();
    }
    return shape;
  }

  /** A table: a first line with rows, columns and class names; then values and a label a line. */
  static TensorDataset table(String name, String title, double scale) {
    String[] lines =
        new String(bytes("tables/" + name + ".csv.gz"), StandardCharsets.US_ASCII).split("\\R", -1);
    String[] head = lines[0].split(",", -1);
    int rows = Integer.parseInt(head[0]);
    int columns = Integer.parseInt(head[1]);
    float[] values = new float[rows * columns];
    int[] labels = new int[rows];
    for (int i = 0; i < rows; i++) {
      String[] cells = lines[i + 1].split(",", -1);
      for (int j = 0; j < columns; j++) {
        values[i * columns + j] = (float) (Double.parseDouble(cells[j]) * scale);
      }
      labels[i] = Integer.parseInt(cells[columns].strip());
    }
    List<String> classNames = new ArrayList<>(Arrays.asList(head).subList(2, head.length));
    return Scopes.scoped(
        () -> {
          Tensor inputs = Tensors.of(values, rows, columns);
          return TensorDataset.builder(inputs)
              .labels(Tensors.labels(labels))
              .classNames(classNames)
              .name(title)
              .build();
        });
  }

  /** A table of numbers: a first line with rows, columns and their names; then values a line. */
  static TensorDataset numbers(String name, String title) {
    String[] lines =
        new String(bytes("tables/" + name + ".csv.gz"), StandardCharsets.US_ASCII).split("\\R", -1);
    List<String> head = Arrays.asList(lines[0].split(",", -1));
    int rows = Integer.parseInt(head.get(0));
    int columns = Integer.parseInt(head.get(1));
    float[] values = new float[rows * columns];
    for (int i = 0; i < rows; i++) {
      String[] cells = lines[i + 1].split(",", -1);
      for (int j = 0; j < columns; j++) {
        values[i * columns + j] = Float.parseFloat(cells[j]);
      }
    }
    return Scopes.scoped(
        () ->
            TensorDataset.builder(Tensors.of(values, rows, columns))
                .featureColumns(head.subList(2, head.size()))
                .name(title)
                .build());
  }

  /** The unpacked bytes of a gzip'ed resource. */
  static byte[] bytes(String path) {
    try (InputStream in = Resources.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new OutriggerException(
            "The embedded data '" + path + "' is missing from the outrigger-datasets jar.");
      }
      return new GZIPInputStream(in, 1 << 16).readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException("The embedded data '" + path + "' is damaged.", e);
    }
  }
}
