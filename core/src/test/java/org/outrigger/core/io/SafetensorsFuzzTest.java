package org.outrigger.core.io;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/**
 * Whatever the bytes are: a file is read whole or refused, and never costs more than it is long.
 */
class SafetensorsFuzzTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static Path file;
  private static byte[] valid;

  @BeforeContainer
  static void writeAValidFile() throws IOException {
    file = Files.createTempFile("fuzz", ".safetensors");
    try (PointerScope scope = new PointerScope()) {
      Safetensors.write(
          file,
          Map.of(
              "layer.weight", Tensors.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3),
              "layer.bias", Tensors.of(new double[] {7, 8}, 2),
              "count", Tensors.of(new long[] {9}, new long[0])),
          Map.of("kind", "test"));
    }
    valid = Files.readAllBytes(file);
    read(valid);
  }

  @AfterContainer
  static void delete() throws IOException {
    Files.deleteIfExists(file);
  }

  @Property(tries = 300)
  void randomBytesNeverCrash(@ForAll @Size(max = 300) byte[] bytes) throws IOException {
    read(bytes);
  }

  @Property(tries = 300)
  void randomBytesAfterAPlausibleLengthNeverCrash(@ForAll @Size(max = 300) byte[] bytes)
      throws IOException {
    ByteBuffer all = ByteBuffer.allocate(8 + bytes.length).order(ByteOrder.LITTLE_ENDIAN);
    read(all.putLong(bytes.length / 2).put(bytes).array());
  }

  @Property(tries = 1000)
  void damagedFilesNeverCrash(@ForAll long seed, @ForAll @IntRange(min = 1, max = 4) int edits)
      throws IOException {
    Random random = new Random(seed);
    byte[] bytes = valid.clone();
    for (int i = 0; i < edits && bytes.length > 0; i++) {
      int at = random.nextInt(bytes.length);
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) ('0' + random.nextInt(10));
        case 2 -> bytes[at] = (byte) "{}[]\",:-e".charAt(random.nextInt(9));
        case 3 -> bytes = Arrays.copyOf(bytes, at);
        default -> bytes = Arrays.copyOf(bytes, bytes.length + random.nextInt(20));
      }
    }
    read(bytes);
  }

  private static void read(byte[] bytes) throws IOException {
    Files.write(file, bytes);
    long before = THREADS.getThreadAllocatedBytes(Thread.currentThread().getId());
    long tensorBytes = 0;
    try (PointerScope scope = new PointerScope()) {
      for (Tensor tensor : Safetensors.read(file).values()) {
        tensorBytes += tensor.nbytes();
      }
    } catch (OutriggerException e) {
      assertThat(e.firstLine()).contains(file.toString());
    }
    long heap = THREADS.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
    assertThat(tensorBytes).isLessThanOrEqualTo(bytes.length);
    // The fixed part is what opening any file costs (buffers of the parser, loaded classes).
    assertThat(heap).isLessThan(4_000_000 + 100L * bytes.length);
  }
}
