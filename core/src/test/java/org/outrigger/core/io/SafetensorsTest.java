package org.outrigger.core.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class SafetensorsTest {
  @TempDir Path folder;

  @Test
  void everyTypeSurvivesTheRoundTripToTheLastBit() {
    Torch.start();
    Path file = folder.resolve("all.safetensors");
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (ScalarType type :
          List.of(
              ScalarType.Double,
              ScalarType.Float,
              ScalarType.Half,
              ScalarType.BFloat16,
              ScalarType.Long,
              ScalarType.Int,
              ScalarType.Short,
              ScalarType.Char,
              ScalarType.Byte,
              ScalarType.Bool)) {
        tensors.put(
            type.name(), torch.randn(new long[] {3, 5}).mul(Tensors.number(9)).abs().to(type));
      }
      tensors.put("scalar", Tensors.of(new double[] {Double.NaN}, new long[0]));
      tensors.put("empty", Tensors.of(new float[0], 0, 7));
      tensors.put("transposed", Tensors.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3).t());
      Safetensors.write(file, tensors, Map.of("b", "ä\"\n", "a", "1"));

      try (Safetensors view = Safetensors.open(file)) {
        assertThat(view.names()).containsExactlyInAnyOrderElementsOf(tensors.keySet());
        assertThat(view.metadata()).containsEntry("b", "ä\"\n").containsEntry("a", "1").hasSize(2);
        assertThat(view.type("Half")).isEqualTo("F16");
        assertThat(view.shape("empty")).containsExactly(0, 7);
        tensors.forEach(
            (name, tensor) -> {
              Tensor back = view.tensor(name);
              assertThat(back.scalar_type().intern()).isEqualTo(tensor.scalar_type().intern());
              assertThat(back.shape()).containsExactly(tensor.shape());
              assertThat(bytes(back)).as(name).isEqualTo(bytes(tensor));
            });
        assertThatThrownBy(() -> view.tensor("nowhere"))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("nowhere");
      }
    }
  }

  private static byte[] bytes(Tensor tensor) {
    Tensor dense = tensor.contiguous();
    byte[] out = new byte[(int) dense.nbytes()];
    if (out.length > 0) {
      Tensors.bytes(dense).get(out);
    }
    return out;
  }

  @Test
  void equalContentGivesEqualBytesWithAnAlignedHeader() throws IOException {
    try (PointerScope scope = new PointerScope()) {
      Tensor a = Tensors.of(new float[] {1, 2, 3}, 3);
      Tensor b = Tensors.of(new double[] {4}, 1);
      Map<String, Tensor> one = new LinkedHashMap<>();
      one.put("a", a);
      one.put("b", b);
      Map<String, Tensor> other = new LinkedHashMap<>();
      other.put("b", b);
      other.put("a", a);
      Safetensors.write(folder.resolve("1"), one, Map.of("x", "1", "y", "2"));
      Safetensors.write(folder.resolve("2"), other, Map.of("y", "2", "x", "1"));
    }
    byte[] bytes = Files.readAllBytes(folder.resolve("1"));
    assertThat(bytes).isEqualTo(Files.readAllBytes(folder.resolve("2")));
    long header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertThat(header % 8).isZero();
    assertThat(new String(bytes, 8, (int) header, StandardCharsets.UTF_8).stripTrailing())
        .isEqualTo(
            "{\"__metadata__\":{\"x\":\"1\",\"y\":\"2\"},"
                + "\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                + "\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[8,20]}}");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4611686018427387904,4,8],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[-8,-1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1e1],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[[8]],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8],\"more\":1}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[8]}}",
        "{\"__metadata__\":{\"x\":1},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}} {}",
        "[]",
        "{}",
        "{\"a\":",
      })
  void aHeaderThatDoesNotDescribeTheFileIsRefused(String header) throws IOException {
    Path file = file(header, new byte[8]);
    assertThatThrownBy(() -> Safetensors.open(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageStartingWith(file.toString());
  }

  @Test
  void aValidHeaderOfThatFormIsAccepted() throws IOException {
    Path file =
        file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  ", new byte[8]);
    try (PointerScope scope = new PointerScope()) {
      assertThat(Tensors.floats(Safetensors.read(file).get("a"))).containsExactly(0, 0);
    }
  }

  @Test
  void aTruthValueOtherThanZeroAndOneBecomesTrue() throws IOException {
    Path file =
        file(
            "{\"a\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}",
            new byte[] {0, 2, -1});
    try (PointerScope scope = new PointerScope()) {
      assertThat(bytes(Safetensors.read(file).get("a"))).containsExactly(0, 1, 1);
    }
  }

  @Test
  void hugeClaimsAreRefusedBeforeAnythingIsAllocated() throws IOException {
    for (long claim : new long[] {-1, Long.MAX_VALUE, 99_999_999, 0, 1}) {
      Path file = folder.resolve("claim" + claim);
      Files.write(
          file, ByteBuffer.allocate(40).order(ByteOrder.LITTLE_ENDIAN).putLong(claim).array());
      assertThatThrownBy(() -> Safetensors.open(file)).isInstanceOf(OutriggerException.class);
    }
    assertThatThrownBy(() -> Safetensors.open(folder.resolve("missing")))
        .hasMessageEndingWith("does not exist.");
    assertThatThrownBy(() -> Safetensors.open(folder)).hasMessageContaining("is a folder");
  }

  @Test
  void aTypeOutsideTheFormatIsRefusedBeforeAnyFileExists() {
    Torch.start();
    Path file = folder.resolve("complex");
    try (PointerScope scope = new PointerScope()) {
      Tensor complex =
          torch.empty(new long[] {1}, new TensorOptions(ScalarType.ComplexFloat), null);
      assertThatThrownBy(() -> Safetensors.write(file, Map.of("c", complex), Map.of()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("'c'");
    }
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aStateContinuesExactly() {
    Path file = folder.resolve("state");
    try (PointerScope scope = new PointerScope()) {
      State state =
          new State(
              "detector/test",
              3,
              Map.of(
                  "tenth",
                  0.1,
                  "tiny",
                  Double.MIN_VALUE,
                  "negativeZero",
                  -0.0,
                  "infinite",
                  Double.POSITIVE_INFINITY,
                  "count",
                  Long.MAX_VALUE,
                  "names",
                  List.of("a", "b"),
                  "inner",
                  Map.of("on", true)),
              Map.of("w", Tensors.of(new double[] {Math.PI, Double.NaN, -0.0}, 3)));
      StateFiles.write(file, state);
      State back = StateFiles.read(file).expect("detector/test", 3);
      for (String name : List.of("tenth", "tiny", "negativeZero", "infinite", "count")) {
        assertThat(back.number(name)).as(name).isEqualTo(state.number(name));
      }
      assertThat(back.values().get("count")).isEqualTo(Long.MAX_VALUE);
      assertThat(back.values().get("names")).isEqualTo(List.of("a", "b"));
      assertThat(back.map("inner")).containsEntry("on", true);
      assertThat(bytes(back.tensor("w"))).isEqualTo(bytes(state.tensor("w")));
      Safetensors.write(file, state.tensors(), Map.of());
      assertThatThrownBy(() -> StateFiles.read(file)).hasMessageContaining("no saved state");
    }
  }

  private Path file(String header, byte[] data) throws IOException {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    Path file = folder.resolve("made");
    Files.write(
        file,
        ByteBuffer.allocate(8 + text.length + data.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.length)
            .put(text)
            .put(data)
            .array());
    return file;
  }

  @Test
  void bytesInMemoryAreThoseOfTheFile() throws IOException {
    Path file = folder.resolve("same.safetensors");
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> tensors =
          Map.of("a", Tensors.of(new double[] {1, 2, 3}, 3), "b", Tensors.of(new float[0], 0, 2));
      Safetensors.write(file, tensors, Map.of("k", "v"));
      byte[] bytes = Safetensors.bytes(tensors, Map.of("k", "v"));
      assertThat(bytes).isEqualTo(Files.readAllBytes(file));
      try (Safetensors view = Safetensors.of("a message", bytes)) {
        assertThat(view.metadata()).containsEntry("k", "v");
        assertThat(Tensors.doubles(view.tensors().get("a"))).containsExactly(1, 2, 3);
        assertThat(view.tensors().get("b").shape()).containsExactly(0, 2);
      }
      for (int length : new int[] {0, 7, 12, bytes.length - 1}) {
        assertThatThrownBy(
                () -> Safetensors.of("a message", java.util.Arrays.copyOf(bytes, length)))
            .isInstanceOf(OutriggerException.class)
            .hasMessageStartingWith("a message ");
      }
    }
  }
}
