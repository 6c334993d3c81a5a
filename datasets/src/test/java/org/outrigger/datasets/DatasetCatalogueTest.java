package org.outrigger.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;
import javax.imageio.ImageIO;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.torch.Tensors;

/** The loaders of public data sets, on tiny files in the official layouts. */
class DatasetCatalogueTest {
  @TempDir Path folder;

  private static byte[] random(int size, int seed) {
    byte[] bytes = new byte[size];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  /** Pixel (c, y, x) of a row, as 0 .. 255. */
  private static int pixel(IndexedDataset data, int row, int c, int y, int x) {
    try (PointerScope scope = new PointerScope()) {
      float[] values = Tensors.floats(data.read(new int[] {row}).inputs());
      return Math.round(values[(c * 32 + y) * 32 + x] * 255);
    }
  }

  private static byte[] records(int rows, int labelBytes, int seed) {
    byte[] bytes = random(rows * (labelBytes + 3072), seed);
    for (int i = 0; i < rows; i++) {
      bytes[i * (labelBytes + 3072)] = (byte) (i % 10);
      bytes[i * (labelBytes + 3072) + labelBytes - 1] = (byte) ((i + 3) % 10);
    }
    return bytes;
  }

  @Test
  void cifar10IsReadInOrderOfItsFiles() throws IOException {
    Path sub = Files.createDirectory(folder.resolve("cifar-10-batches-bin"));
    for (int k = 1; k <= 5; k++) {
      Files.write(sub.resolve("data_batch_" + k + ".bin"), records(2, 1, k));
    }
    Files.write(folder.resolve("test_batch.bin"), records(3, 1, 9));
    IndexedDataset train = DatasetCatalogue.open("cifar-10", "train", folder);
    assertThat(train.size()).isEqualTo(10);
    assertThat(train.classNames().get(6)).isEqualTo("frog");
    assertThat(train.label(2)).isEqualTo(3);
    byte[] second = records(2, 1, 2);
    assertThat(pixel(train, 3, 2, 5, 7)).isEqualTo(second[3073 + 1 + 2 * 1024 + 5 * 32 + 7] & 0xff);
    assertThat(DatasetCatalogue.open("cifar-10", "test", folder).size()).isEqualTo(3);
  }

  @Test
  void cifar10IsAlsoReadAsAFolderOfImagesInTheOfficialOrderOfItsClasses() throws IOException {
    // By name, frog would come before truck and after airplane; its number is 6 all the same.
    for (String name : new String[] {"airplane", "frog", "truck"}) {
      Path sub = Files.createDirectories(folder.resolve("test").resolve(name));
      BufferedImage image = new BufferedImage(32, 32, BufferedImage.TYPE_INT_RGB);
      ImageIO.write(image, "png", sub.resolve("0001.png").toFile());
    }
    IndexedDataset test = DatasetCatalogue.open("cifar-10", "test", folder);
    assertThat(test.labels()).containsExactly(0, 6, 9);
    assertThat(test.classNames()).hasSize(10);
    assertThat(test.inputShape()).containsExactly(3, 32, 32);
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10", "train", folder))
        .hasMessageContaining("data_batch_1.bin is missing");
  }

  @Test
  void cifar100TakesTheFineLabel() throws IOException {
    Files.write(folder.resolve("test.bin"), records(4, 2, 1));
    Files.writeString(folder.resolve("fine_label_names.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    IndexedDataset test = DatasetCatalogue.open("cifar-100", "test", folder);
    assertThat(test.label(0)).isEqualTo(3);
    assertThat(test.classNames()).hasSize(10).startsWith("a");
    assertThat(pixel(test, 1, 0, 0, 0)).isEqualTo(records(4, 2, 1)[3074 + 2] & 0xff);
  }

  @Test
  void truncatedFileSaysSo() throws IOException {
    Files.write(folder.resolve("test_batch.bin"), random(3000, 1));
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10", "test", folder))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("is damaged: it has 3000 bytes");
  }

  private static byte[] npy(String type, String shape, byte[] data) {
    String header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    int padded = (10 + header.length() + 1 + 63) / 64 * 64 - 10;
    header = header + " ".repeat(padded - header.length() - 1) + "\n";
    ByteBuffer out = ByteBuffer.allocate(10 + padded + data.length).order(ByteOrder.LITTLE_ENDIAN);
    out.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII)).put((byte) 1);
    out.put((byte) 0).putShort((short) padded);
    out.put(header.getBytes(StandardCharsets.US_ASCII)).put(data);
    return out.array();
  }

  @Test
  void corruptedCifarGivesOneSeverity() throws IOException {
    Path sub = Files.createDirectory(folder.resolve("CIFAR-10-C"));
    byte[] pixels = random(10 * 3072, 4);
    Files.write(sub.resolve("fog.npy"), npy("|u1", "10, 32, 32, 3", pixels));
    ByteBuffer labels = ByteBuffer.allocate(80).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < 10; i++) {
      labels.putLong(i);
    }
    Files.write(sub.resolve("labels.npy"), npy("<i8", "10,", labels.array()));
    IndexedDataset fog = DatasetCatalogue.open("cifar-10-c", "fog/3", folder);
    assertThat(fog.size()).isEqualTo(2);
    assertThat(fog.label(1)).isEqualTo(5);
    assertThat(pixel(fog, 1, 2, 4, 6)).isEqualTo(pixels[5 * 3072 + (4 * 32 + 6) * 3 + 2] & 0xff);
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10-c", "fog", folder))
        .hasMessageContaining("such as fog/3");
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10-c", "snow/1", folder))
        .hasMessageContaining("snow.npy is missing. Put CIFAR-10-C.tar unpacked into");
    Files.write(sub.resolve("fog.npy"), npy("|u1", "10, 32, 32, 3", random(100, 1)));
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10-c", "fog/3", folder))
        .hasMessageContaining("is damaged");
  }

  private static void element(ByteArrayOutputStream out, int type, byte[] data) {
    ByteBuffer tag = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    out.writeBytes(tag.putInt(type).putInt(data.length).array());
    out.writeBytes(data);
    out.writeBytes(new byte[(8 - data.length % 8) % 8]);
  }

  private static byte[] ints(int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : values) {
      bytes.putInt(value);
    }
    return bytes.array();
  }

  /** A compressed matrix of bytes; its name is a small element, as MATLAB writes it. */
  private static byte[] matrix(String name, byte[] data, int... shape) throws IOException {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    element(body, 6, ints(9, 0));
    element(body, 5, ints(shape));
    body.writeBytes(ints(1 | name.length() << 16));
    byte[] letters = new byte[4];
    System.arraycopy(name.getBytes(StandardCharsets.US_ASCII), 0, letters, 0, name.length());
    body.writeBytes(letters);
    element(body, 2, data);
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    whole.writeBytes(ints(14, body.size()));
    whole.writeBytes(body.toByteArray());
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (DeflaterOutputStream deflate = new DeflaterOutputStream(packed, new Deflater())) {
      whole.writeTo(deflate);
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(ints(15, packed.size()));
    packed.writeTo(out);
    return out.toByteArray();
  }

  @Test
  void svhnTurnsColumnsIntoRowsAndTenIntoZero() throws IOException {
    byte[] x = random(32 * 32 * 3 * 2, 6);
    byte[] head = new byte[128];
    head[124] = 0;
    head[125] = 1;
    head[126] = 'I';
    head[127] = 'M';
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.writeBytes(head);
    file.writeBytes(matrix("X", x, 32, 32, 3, 2));
    file.writeBytes(matrix("y", new byte[] {10, 4}, 2, 1));
    Files.write(folder.resolve("test_32x32.mat"), file.toByteArray());
    IndexedDataset test = DatasetCatalogue.open("svhn", "test", folder);
    assertThat(test.labels()).containsExactly(0, 4);
    // Column-major: row first, then column, then channel, then image.
    assertThat(pixel(test, 1, 2, 5, 9)).isEqualTo(x[5 + 32 * (9 + 32 * (2 + 3))] & 0xff);
    Files.write(folder.resolve("test_32x32.mat"), java.util.Arrays.copyOf(file.toByteArray(), 700));
    assertThatThrownBy(() -> DatasetCatalogue.open("svhn", "test", folder))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("damaged");
    assertThat(DatasetCatalogue.entry("svhn").verify(folder))
        .singleElement()
        .asString()
        .contains("the official one is eb5a983be6a315427106f1b164d9cef3");
  }

  @Test
  void imageFolderOpensAPart() throws IOException {
    for (String name : new String[] {"cat", "dog"}) {
      Path sub = Files.createDirectories(folder.resolve("val").resolve(name));
      BufferedImage image = new BufferedImage(6, 6, BufferedImage.TYPE_INT_RGB);
      ImageIO.write(image, "png", sub.resolve("one.png").toFile());
    }
    IndexedDataset val = DatasetCatalogue.open("imagenet-folder", "val", folder);
    assertThat(val.size()).isEqualTo(2);
    assertThat(val.classNames()).containsExactly("cat", "dog");
    assertThatThrownBy(() -> DatasetCatalogue.open("imagenet-folder", "train", folder))
        .hasMessageContaining("Make one for the part 'train'");
  }

  @Test
  void missingFilesAndNamesAreExplained() {
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10", "train", folder))
        .hasMessageContaining("data_batch_1.bin is missing. Put cifar-10-binary.tar.gz unpacked");
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar-10", "train", null))
        .hasMessageContaining("name a folder with its files");
    assertThatThrownBy(() -> DatasetCatalogue.open("cifar10", "train", folder))
        .hasMessageContaining("Did you mean cifar-10");
    assertThatThrownBy(() -> DatasetCatalogue.open("mnist", "val", null))
        .hasMessageContaining("It has: train, test");
  }

  @Test
  void listTellsWhereToPutFiles() {
    assertThat(DatasetCatalogue.list())
        .extracting(DatasetEntry::name)
        .startsWith("mnist", "fashion-mnist", "digits")
        .contains("cifar-10", "svhn", "imagenet-folder");
    assertThat(DatasetCatalogue.list())
        .allSatisfy(entry -> assertThat(entry.where().isEmpty()).isEqualTo(entry.embedded()));
    assertThat(DatasetCatalogue.list())
        .flatExtracting(entry -> entry.md5().values())
        .hasSize(6)
        .allSatisfy(sum -> assertThat(sum).matches("[0-9a-f]{32}"));
  }
}
