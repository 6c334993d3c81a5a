package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.torch.Tensors;

class ImageFolderTest {
  @TempDir Path dir;

  static byte[] encode(String form, int width, int height, int rgb) throws IOException {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        image.setRGB(x, y, rgb);
      }
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    assertThat(ImageIO.write(image, form, out)).isTrue();
    return out.toByteArray();
  }

  private Path put(String path, byte[] content) throws IOException {
    Path file = dir.resolve(path);
    Files.createDirectories(file.getParent());
    return Files.write(file, content);
  }

  private void classes() throws IOException {
    put("dog/b.png", encode("png", 4, 3, 0xff0000));
    put("dog/deep/a.bmp", encode("bmp", 4, 3, 0x00ff00));
    put("cat/c.gif", encode("gif", 4, 3, 0x0000ff));
    put("cat/notes.txt", new byte[] {1});
    put("cat/.hidden.png", new byte[] {1});
    put(".git/x.png", new byte[] {1});
  }

  @Test
  void eachSubFolderIsAClass() throws IOException {
    classes();
    ImageFolder data = ImageFolder.open(dir);
    assertThat(data.classNames()).containsExactly("cat", "dog");
    assertThat(data.inputShape()).containsExactly(3, 3, 4);
    assertThat(data.labels()).containsExactly(0, 1, 1);
    try (Batch batch = data.read(new int[] {2, 0})) {
      assertThat(batch.ids()).containsExactly("dog/deep/a.bmp", "cat/c.gif");
      assertThat(batch.inputs().shape()).containsExactly(2, 3, 3, 4);
      float[] values = Tensors.floats(batch.inputs());
      assertThat(values[0]).isZero();
      assertThat(values[12]).isEqualTo(1);
      assertThat(values[36 + 24]).isEqualTo(1);
      assertThat(Tensors.ints(batch.labels())).containsExactly(1, 0);
    }
    ImageFolder mapped =
        ImageFolder.open(dir, DataOptions.defaults().classNames(List.of("dog", "bird")));
    assertThat(mapped.labels()).containsExactly(-1, 0, 0);
    assertThat(ImageFolder.open(dir, DataOptions.defaults().limit(2)).size()).isEqualTo(2);
  }

  @Test
  void aFlatFolderIsUnlabelledAndGreyStaysGrey() throws IOException {
    BufferedImage grey = new BufferedImage(2, 2, BufferedImage.TYPE_BYTE_GRAY);
    grey.getRaster().setSamples(0, 0, 2, 2, 0, new int[] {0, 51, 102, 255});
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ImageIO.write(grey, "png", out);
    put("g.png", out.toByteArray());
    ImageFolder data = ImageFolder.open(dir);
    assertThat(data.labelled()).isFalse();
    assertThat(data.classNames()).isEmpty();
    assertThat(data.inputShape()).containsExactly(1, 2, 2);
    try (Batch batch = data.read(new int[] {0})) {
      assertThat(batch.labels()).isNull();
      assertThat(Tensors.floats(batch.inputs())).containsExactly(0, 0.2f, 0.4f, 1);
    }
  }

  @Test
  void damagedImagesAreSkippedByName() throws IOException {
    byte[] png = encode("png", 64, 64, 0x123456);
    byte[] jpg = encode("jpg", 64, 64, 0x123456);
    put("a/1.png", png);
    put("a/2.png", Arrays.copyOf(png, png.length / 2));
    put("a/3.jpg", Arrays.copyOf(jpg, jpg.length - 40));
    put("a/4.png", new byte[0]);
    put("a/5.jpg", "no image".getBytes(java.nio.charset.StandardCharsets.UTF_8));
    put("a/6.png", encode("png", 32, 64, 0));
    put("a/7.jpg", jpg);
    put("a/8.webp", new byte[] {'R', 'I', 'F', 'F'});
    ImageFolder data = ImageFolder.open(dir);
    try (Batches walk = data.batches(8)) {
      try (Batch batch = walk.next()) {
        assertThat(batch.ids()).containsExactly("a/1.png", "a/7.jpg");
      }
      assertThat(walk.hasNext()).isFalse();
      assertThat(walk.skipped())
          .extracting(Batches.Skipped::id)
          .containsExactly("a/2.png", "a/3.jpg", "a/4.png", "a/5.jpg", "a/6.png", "a/8.webp");
      assertThat(walk.skipped().get(4).reason()).contains("32 x 64");
    }
    assertThatThrownBy(() -> data.strict().batches(8).next()).hasMessageContaining("a/2.png");
    try (Batches walk =
        ImageFolder.open(
                dir, DataOptions.defaults().preprocessing(Preprocessing.none().resize(8, 8)))
            .batches(8)) {
      assertThat(walk.next().ids()).contains("a/6.png");
    }
  }

  @Test
  void aBombIsRefusedByItsHeader() throws IOException {
    byte[] png = encode("png", 2, 2, 0);
    ByteBuffer header = ByteBuffer.wrap(png);
    header.putInt(16, 50_000).putInt(20, 50_000);
    CRC32 crc = new CRC32();
    crc.update(png, 12, 17);
    header.putInt(29, (int) crc.getValue());
    put("a/bomb.png", png);
    put("a/ok.png", encode("png", 20, 20, 0));
    try (Batches walk = ImageFolder.open(dir).batches(2)) {
      assertThat(walk.next().ids()).containsExactly("a/ok.png");
      assertThat(walk.skipped().get(0).reason()).contains("50000 x 50000");
    }
    assertThatThrownBy(() -> ImageFolder.open(dir, DataOptions.defaults().maxPixels(399)))
        .hasMessageContaining("None of the 2 images");
  }

  @Test
  void emptyMissingAndMixedFoldersAreErrors() throws IOException {
    assertThatThrownBy(() -> ImageFolder.open(dir)).hasMessageContaining("holds no images");
    assertThatThrownBy(() -> ImageFolder.open(dir.resolve("x")))
        .hasMessageContaining("There is no folder");
    classes();
    put("stray.png", encode("png", 1, 1, 0));
    assertThatThrownBy(() -> ImageFolder.open(dir)).hasMessageContaining("stray.png");
  }

  @Test
  void walksAreTheSameWithAnyNumberOfWorkers() throws IOException {
    for (int i = 0; i < 12; i++) {
      put("a/" + i + ".png", encode("png", 3, 3, i * 0x101010));
    }
    ImageFolder data = ImageFolder.open(dir);
    try (TensorDataset one = TensorDataset.copyOf(data);
        Batches walk = Loader.of(data).batchSize(12).workers(4).epoch(0);
        Batch batch = walk.next()) {
      assertThat(Tensors.floats(batch.inputs())).containsExactly(Tensors.floats(one.inputs()));
    }
  }
}
