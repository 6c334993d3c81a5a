package org.outrigger.core.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class NpyTest {
  @TempDir Path dir;

  static byte[] npy(int version, String dictionary, byte[] data) {
    byte[] header = (dictionary + "\n").getBytes(StandardCharsets.UTF_8);
    int prefix = version == 1 ? 10 : 12;
    ByteBuffer bytes =
        ByteBuffer.allocate(prefix + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', (byte) version, 0});
    if (version == 1) {
      bytes.putShort((short) header.length);
    } else {
      bytes.putInt(header.length);
    }
    return bytes.put(header).put(data).array();
  }

  private static byte[] floats(ByteOrder order, float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(order);
    for (float value : values) {
      bytes.putFloat(value);
    }
    return bytes.array();
  }

  private Path file(byte[] bytes) throws IOException {
    return Files.write(dir.resolve("a.npy"), bytes);
  }

  @Test
  void allTypesSurviveTheRoundTrip() {
    Path file = dir.resolve("t.npy");
    try (PointerScope scope = new PointerScope()) {
      for (ScalarType type :
          new ScalarType[] {
            ScalarType.Half,
            ScalarType.Float,
            ScalarType.Double,
            ScalarType.Char,
            ScalarType.Short,
            ScalarType.Int,
            ScalarType.Long,
            ScalarType.Byte,
            ScalarType.Bool
          }) {
        Tensor written = Tensors.of(new float[] {0, 1, 2, 3, 4, 5}, 2, 3).to(type);
        Npy.write(file, written.t());
        Tensor read = Npy.read(file);
        assertThat(read.scalar_type().intern()).isEqualTo(type);
        assertThat(read.shape()).containsExactly(3, 2);
        assertThat(Tensors.doubles(read)).containsExactly(Tensors.doubles(written.t()));
      }
      Npy.write(file, Tensors.of(new float[] {7}));
      assertThat(Npy.read(file).dim()).isZero();
      Npy.write(file, Tensors.of(new float[0], 0, 4));
      assertThat(Npy.read(file).shape()).containsExactly(0, 4);
    }
  }

  @Test
  void fortranOrderBigEndianAndLaterVersionsAreRead() throws IOException {
    try (PointerScope scope = new PointerScope()) {
      // The matrix [[1, 2, 3], [4, 5, 6]] column by column.
      byte[] columns = floats(ByteOrder.LITTLE_ENDIAN, 1, 4, 2, 5, 3, 6);
      Tensor fortran =
          Npy.read(
              file(npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", columns)));
      assertThat(fortran.shape()).containsExactly(2, 3);
      assertThat(Tensors.floats(fortran)).containsExactly(1, 2, 3, 4, 5, 6);
      Tensor big =
          Npy.read(
              file(
                  npy(
                      3,
                      "{'shape': (2,), 'fortran_order': False, 'descr': '>f4'}",
                      floats(ByteOrder.BIG_ENDIAN, 1.5f, -2))));
      assertThat(Tensors.floats(big)).containsExactly(1.5f, -2);
    }
  }

  @Test
  void damagedAndForeignFilesAreErrorsBeforeMemoryIsTaken() throws IOException {
    byte[] two = floats(ByteOrder.LITTLE_ENDIAN, 1, 2);
    String good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    byte[] whole = npy(1, good, two);
    assertThatThrownBy(() -> Npy.read(file(Arrays.copyOf(whole, whole.length - 1))))
        .hasMessageContaining("only 7 follow");
    assertThatThrownBy(() -> Npy.read(file(Arrays.copyOf(whole, 20))))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> Npy.read(file("hello, world".getBytes(StandardCharsets.UTF_8))))
        .hasMessageContaining("does not begin");
    assertThatThrownBy(() -> Npy.read(file(npy(9, good, two)))).hasMessageContaining("version 9");
    assertThatThrownBy(() -> Npy.read(file(npy(1, good.replace("(2,)", "(999999999999, 8)"), two))))
        .hasMessageContaining("declares");
    assertThatThrownBy(
            () -> Npy.read(file(npy(1, good.replace("(2,)", "(4294967296, 4294967296, 4)"), two))))
        .hasMessageContaining("impossible shape");
    assertThatThrownBy(
            () -> Npy.read(file(npy(1, good.replace("(2,)", "(99999999999999999999,)"), two))))
        .hasMessageContaining("impossible size");
    assertThatThrownBy(() -> Npy.read(file(npy(1, good.replace("<f4", "|O"), two))))
        .hasMessageContaining("Python objects");
    assertThatThrownBy(() -> Npy.read(file(npy(1, good.replace("<f4", "<c8"), two))))
        .hasMessageContaining("f4");
    assertThatThrownBy(() -> Npy.read(file(npy(1, "{'descr': '<f4'}", two))))
        .hasMessageContaining("not understood");
    assertThatThrownBy(() -> Npy.read(dir.resolve("none.npy"))).hasMessageContaining("none.npy");
  }

  @Property(tries = 50)
  void randomDamageNeverCrashes(@ForAll long seed) throws IOException {
    byte[] bytes =
        npy(
            1,
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
            floats(ByteOrder.LITTLE_ENDIAN, 1, 2));
    Random random = new Random(seed);
    for (int i = 0; i < 3; i++) {
      bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
    }
    Path file = Files.createTempFile("damaged", ".npy");
    try (PointerScope scope = new PointerScope()) {
      Files.write(file, bytes);
      Tensor read = Npy.read(file);
      assertThat(read.nbytes()).isLessThanOrEqualTo(bytes.length);
    } catch (OutriggerException e) {
      assertThat(e.firstLine()).contains("damaged");
    } finally {
      Files.delete(file);
    }
  }

  @Test
  void namedArraysSurviveTheRoundTrip() {
    Path file = dir.resolve("a.npz");
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> arrays = new LinkedHashMap<>();
      arrays.put("x", Tensors.of(new float[] {1, 2, 3, 4}, 2, 2));
      arrays.put("labels", Tensors.labels(1, 0));
      Npz.write(file, arrays);
      Map<String, Tensor> read = Npz.read(file);
      assertThat(read.keySet()).containsExactly("x", "labels");
      assertThat(Tensors.floats(read.get("x"))).containsExactly(1, 2, 3, 4);
      assertThat(Tensors.ints(read.get("labels"))).containsExactly(1, 0);
    }
  }

  @Test
  void archivesThatUnpackToTooMuchOrHoldOtherThingsAreErrors() throws IOException {
    Path bomb =
        zip(
            "x.npy",
            npy(
                1,
                "{'descr': '|u1', 'fortran_order': False, 'shape': (9000000,)}",
                new byte[9_000_000]));
    assertThatThrownBy(() -> Npz.read(bomb, 1_000_000)).hasMessageContaining("limit");
    assertThatThrownBy(() -> Npz.read(zip("x.txt", new byte[3]))).hasMessageContaining("no array");
    assertThatThrownBy(
            () ->
                Npz.read(
                    zip(
                        "x.npy",
                        npy(
                            1,
                            "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000,)}",
                            new byte[8]))))
        .hasMessageContaining("declares 8000000 bytes");
    Path text = Files.writeString(dir.resolve("t.npz"), "no archive");
    assertThatThrownBy(() -> Npz.read(text)).isInstanceOf(OutriggerException.class);
  }

  private Path zip(String name, byte[] content) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      zip.putNextEntry(new ZipEntry(name));
      zip.write(content);
      zip.closeEntry();
    }
    return Files.write(dir.resolve("z.npz"), bytes.toByteArray());
  }
}
