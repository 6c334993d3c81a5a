package org.outrigger.adapt.edge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Messages as bytes. */
class FramesTest {
  private static final int MOST = 1 << 20;

  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static byte[] frame() {
    Tensor rows = Tensors.of(new float[] {1, 2, 3, Float.NaN}, 2, 2);
    return Frames.encode(
        new Message(
            Message.Kind.UPLOAD, Map.of("version", 7L, "text", "é"), Map.of("samples", rows)));
  }

  private static byte[] read(byte... bytes) throws IOException {
    return Frames.read(new ByteArrayInputStream(bytes), MOST);
  }

  @Test
  void aMessageComesOutAsItWentIn() throws IOException {
    byte[] frame = frame();
    Message back = Frames.decode(read(frame));
    assertThat(back.kind()).isEqualTo(Message.Kind.UPLOAD);
    assertThat(back.count("version")).isEqualTo(7);
    assertThat(back.text("text")).isEqualTo("é");
    assertThat(Tensors.floats(back.tensor("samples"))).containsExactly(1, 2, 3, Float.NaN);
    byte[] bye = Frames.encode(Message.of(Message.Kind.BYE, Map.of()));
    assertThat(Frames.decode(bye).tensors()).isEmpty();
    assertThat(read()).isNull();
  }

  @Test
  void aFrameThatIsCutIsNoticed() {
    byte[] frame = frame();
    for (int length = 1; length < frame.length; length++) {
      byte[] cut = Arrays.copyOf(frame, length);
      assertThatThrownBy(() -> read(cut)).isInstanceOf(EOFException.class);
      assertThatThrownBy(() -> Frames.decode(cut)).isInstanceOf(OutriggerException.class);
    }
  }

  @Test
  void garbageOtherVersionsAndLongMessagesAreRefusedBeforeMemoryIsTaken() {
    assertThatThrownBy(() -> read("GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no message of Outrigger's");
    byte[] newer = frame();
    newer[5] = 9;
    assertThatThrownBy(() -> read(newer))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("protocol 9");
    byte[] huge = frame();
    huge[12] = 0x7F;
    assertThatThrownBy(() -> read(huge))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("at most " + MOST);
    byte[] unknown = frame();
    unknown[7] = 99;
    assertThatThrownBy(() -> Frames.decode(unknown))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("unknown kind 99");
  }

  /** Whatever is changed on the way, the reader says what is wrong or reads something. */
  @Test
  void noChangedByteBreaksTheReader() {
    byte[] frame = frame();
    for (int i = 0; i < frame.length; i++) {
      for (int bit : new int[] {1, 0x40, 0xFF}) {
        byte[] damaged = frame.clone();
        damaged[i] ^= (byte) bit;
        try (PointerScope inner = new PointerScope()) {
          byte[] got = read(damaged);
          Frames.decode(got == null ? new byte[0] : got);
        } catch (OutriggerException | EOFException e) {
          assertThat(e.getMessage()).isNotBlank();
        } catch (IOException e) {
          throw new AssertionError(e);
        }
      }
    }
  }

  @Test
  void missingValuesAreNamed() {
    Message message = Message.of(Message.Kind.UPLOAD, Map.of("count", -1, "number", "x"));
    assertThatThrownBy(() -> message.count("count"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("'count'");
    assertThatThrownBy(() -> message.number("number")).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> message.text("text")).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> message.tensor("samples")).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> message.expect(Message.Kind.UPDATE))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("upload came where update");
    assertThatThrownBy(() -> Message.error("too hot").expect(Message.Kind.UPDATE))
        .hasMessageContaining("too hot");
  }
}
