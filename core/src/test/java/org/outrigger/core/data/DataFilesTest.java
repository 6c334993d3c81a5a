package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Npy;
import org.outrigger.core.io.Npz;
import org.outrigger.core.torch.Tensors;

class DataFilesTest {
  @TempDir Path dir;

  private static Tensor bytes(int count, long... shape) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) i;
    }
    return Tensors.of(ByteBuffer.wrap(bytes), ScalarType.Byte, shape);
  }

  @Test
  void numpyArraysWithLabels() {
    try (PointerScope scope = new PointerScope()) {
      Npy.write(dir.resolve("x.npy"), Tensors.of(new double[] {1, 2, Double.NaN, 4, 5, 6}, 3, 2));
      Npy.write(dir.resolve("y.npy"), Tensors.labels(2, 0, 1));
      for (Path path : List.of(dir, dir.resolve("x.npy"))) {
        try (Batches walk = DataFiles.open(path).batches(8)) {
          Batch batch = walk.next();
          assertThat(Tensors.floats(batch.inputs())).containsExactly(1, 2, 5, 6);
          assertThat(Tensors.ints(batch.labels())).containsExactly(2, 1);
          assertThat(walk.skipped()).extracting(Batches.Skipped::id).containsExactly("1");
        }
      }
      assertThatThrownBy(
              () -> DataFiles.open(dir, DataOptions.defaults().strict(true)).batches(8).next())
          .hasMessageContaining("'1'");
      Path z = dir.resolve("a.npz");
      Npz.write(
          z,
          Map.of(
              "logits",
              Tensors.of(new float[4], 2, 2),
              "labels",
              Tensors.labels(1, 0),
              "other",
              Tensors.of(new float[] {7, 8}, 2, 1)));
      assertThat(DataFiles.open(z).inputShape()).containsExactly(2);
      assertThat(DataFiles.open(z).labelled()).isTrue();
      assertThat(DataFiles.open(z, DataOptions.defaults().features("other")).inputShape())
          .containsExactly(1);
      assertThatThrownBy(() -> DataFiles.open(z, DataOptions.defaults().label("y")))
          .hasMessageContaining("no array 'y'");
    }
  }

  @Test
  void byteImagesGetChannelsFirstAndAreScaled() {
    try (PointerScope scope = new PointerScope()) {
      Path file = dir.resolve("images.npy");
      Npy.write(file, bytes(24, 1, 4, 2, 3));
      IndexedDataset data = DataFiles.openIndexed(file, DataOptions.defaults());
      assertThat(data.inputShape()).containsExactly(3, 4, 2);
      assertThat(Tensors.floats(data.read(new int[] {0}).inputs())).startsWith(0, 3 / 255f);
      IndexedDataset normalised =
          DataFiles.openIndexed(
              file,
              DataOptions.defaults()
                  .preprocessing(Preprocessing.none().normalise(List.of(0.5), List.of(0.5))));
      assertThat(Tensors.floats(normalised.read(new int[] {0}).inputs())[0]).isEqualTo(-1);
      assertThatThrownBy(
              () ->
                  DataFiles.open(
                      file,
                      DataOptions.defaults().preprocessing(Preprocessing.none().resize(9, 9))))
          .hasMessageContaining("only normalised");
    }
  }

  @Test
  void idxFilesPlainAndPacked() throws IOException {
    try (PointerScope scope = new PointerScope()) {
      Path images = dir.resolve("train-images-idx3-ubyte.gz");
      Idx.write(images, bytes(24, 4, 2, 3));
      Idx.write(dir.resolve("train-labels-idx1-ubyte.gz"), bytes(4, 4));
      IndexedDataset data = DataFiles.openIndexed(images, DataOptions.defaults().limit(3));
      assertThat(data.inputShape()).containsExactly(1, 2, 3);
      assertThat(data.labels()).containsExactly(0, 1, 2);
      Path plain = dir.resolve("plain.idx");
      Idx.write(plain, bytes(24, 4, 2, 3));
      assertThat(DataFiles.open(plain).labelled()).isFalse();
      byte[] whole = Files.readAllBytes(plain);
      Files.write(plain, java.util.Arrays.copyOf(whole, whole.length - 1));
      assertThatThrownBy(() -> Idx.read(plain)).hasMessageContaining("damaged");
      ByteBuffer.wrap(whole).putInt(4, Integer.MAX_VALUE).putInt(8, Integer.MAX_VALUE);
      Files.write(plain, whole);
      assertThatThrownBy(() -> Idx.read(plain)).hasMessageContaining("does not fit");
      whole[2] = 0x0d;
      Files.write(plain, whole);
      assertThatThrownBy(() -> Idx.read(plain)).hasMessageContaining("unsigned bytes");
      whole[0] = 1;
      Files.write(plain, whole);
      assertThatThrownBy(() -> Idx.read(plain)).hasMessageContaining("does not begin");
    }
  }

  @Test
  void tablesAndFoldersAreFoundByTheirContent() throws IOException {
    Files.writeString(dir.resolve("a.csv"), "a,b\n1,2\n3,4\n");
    assertThat(DataFiles.open(dir.resolve("a.csv"))).isInstanceOf(TableDataset.class);
    assertThat(DataFiles.openIndexed(dir.resolve("a.csv"), DataOptions.defaults()).size())
        .isEqualTo(2);
    Files.createDirectories(dir.resolve("images/c"));
    Files.write(dir.resolve("images/c/a.png"), ImageFolderTest.encode("png", 2, 2, 5));
    assertThat(DataFiles.open(dir.resolve("images"))).isInstanceOf(ImageFolder.class);
  }

  @Test
  void otherFilesAreErrorsThatNameTheForms() throws IOException {
    Path doc = Files.writeString(dir.resolve("a.docx"), "x");
    assertThatThrownBy(() -> DataFiles.open(doc))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(".parquet")
        .hasMessageContaining("folder of images");
    assertThatThrownBy(() -> DataFiles.open(dir.resolve("nothing")))
        .hasMessageContaining("There is no file or folder");
  }
}
