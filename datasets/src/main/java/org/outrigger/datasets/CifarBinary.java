package org.outrigger.datasets;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.ImageFolder;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): records of one label byte (in
 * CIFAR-100 two, coarse and fine, of which the fine is taken) and 3 x 32 x 32 pixel bytes.
 */
final class CifarBinary {
  private static final int PIXELS = 3 * 32 * 32;
  static final List<String> CLASSES_10 =
      List.of(
          "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck");

  private CifarBinary() {}

  /** CIFAR-10 in binary, or as a folder of images with a sub-folder a part and a class. */
  static IndexedDataset cifar10(Path folder, String part) {
    Path images = folder.resolve(part);
    if (Files.isDirectory(images.resolve(CLASSES_10.get(0)))) {
      return ImageFolder.open(images, DataOptions.defaults().classNames(CLASSES_10));
    }
    List<String> names =
        part.equals("test")
            ? List.of("test_batch.bin")
            : List.of(
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin");
    List<Path> files = new ArrayList<>();
    for (String name : names) {
      files.add(
          PublicFiles.find(
              "CIFAR-10", folder, "cifar-10-batches-bin", name, "cifar-10-binary.tar.gz"));
    }
    return read(files, 1, "CIFAR-10 " + part, CLASSES_10);
  }

  static TensorDataset cifar100(Path folder, String part) {
    String archive = "cifar-100-binary.tar.gz";
    String sub = "cifar-100-binary";
    Path file = PublicFiles.find("CIFAR-100", folder, sub, part + ".bin", archive);
    Path names = PublicFiles.find("CIFAR-100", folder, sub, "fine_label_names.txt", archive);
    try {
      List<String> classes =
          Files.readAllLines(names).stream().map(String::strip).filter(s -> !s.isEmpty()).toList();
      return read(List.of(file), 2, "CIFAR-100 " + part, classes);
    } catch (IOException e) {
      throw new OutriggerException(names + " cannot be read: " + e.getMessage() + ".", e);
    }
  }

  private static TensorDataset read(
      List<Path> files, int labelBytes, String title, List<String> classes) {
    int record = labelBytes + PIXELS;
    return Scopes.scoped(
        () -> {
          List<Tensor> images = new ArrayList<>();
          List<Tensor> labels = new ArrayList<>();
          for (Path file : files) {
            ByteBuffer bytes = PublicFiles.map(file);
            if (bytes.remaining() == 0 || bytes.remaining() % record != 0) {
              throw new OutriggerException(
                  file
                      + " is damaged: it has "
                      + bytes.remaining()
                      + " bytes, which is not a number of records of "
                      + record
                      + ". Unpack the archive again.");
            }
            int rows = bytes.remaining() / record;
            Tensor table = Tensors.of(bytes, ScalarType.Byte, rows, record);
            labels.add(table.select(1, labelBytes - 1).clone());
            images.add(table.narrow(1, labelBytes, PIXELS).reshape(rows, 3, 32, 32));
          }
          return TensorDataset.builder(cat(images))
              .labels(cat(labels))
              .classNames(classes)
              .scaleBytes(true)
              .name(title)
              .build();
        });
  }

  private static Tensor cat(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
  }
}
