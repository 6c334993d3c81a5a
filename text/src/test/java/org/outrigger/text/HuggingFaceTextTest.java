package org.outrigger.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.data.TokenizerOpener;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** A byte-pair encoding with the parts of CLIP's, and 31 tokens. */
class HuggingFaceTextTest {
  private static final long A = 9;
  private static final long CAT = 18;
  private static final long DOG = 20;
  private static final long START = 29;
  private static final long END = 30;

  @TempDir Path folder;

  @BeforeEach
  void tokenizer() throws IOException {
    Torch.start();
    try (InputStream in = HuggingFaceTextTest.class.getResourceAsStream("tiny-tokenizer.json")) {
      Files.copy(Objects.requireNonNull(in), folder.resolve("tokenizer.json"));
    }
  }

  @Test
  void textsAreLowerCasedMergedMarkedAndFilledUp() {
    try (Tokenizer tokenizer = TokenizerOpener.find(folder);
        PointerScope scope = new PointerScope()) {
      Tensor tokens = tokenizer.encode(List.of("A  cat", "a photo of a dog.", "at"), 77);
      assertThat(Tensors.rows(tokens))
          .isDeepEqualTo(
              new double[][] {
                {START, A, CAT, END, END, END, END, END},
                {START, A, 24, 25, A, DOG, 16, END},
                {START, 0, 10, END, END, END, END, END}
              });
    }
  }

  @Test
  void aLongTextIsCutAndKeepsItsEnd() {
    try (Tokenizer tokenizer = TokenizerOpener.find(folder.resolve("tokenizer.json"));
        PointerScope scope = new PointerScope()) {
      assertThat(Tensors.longs(tokenizer.encode(List.of("a cat a dog a cat"), 5)))
          .containsExactly(START, A, CAT, A, END);
    }
  }

  @Test
  void whatIsMissingOrDamagedIsSaid() throws IOException {
    try (Tokenizer tokenizer = TokenizerOpener.find(folder)) {
      assertThatThrownBy(() -> tokenizer.encode(List.of(), 77))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no text");
      assertThatThrownBy(() -> tokenizer.encode(List.of("a"), 1))
          .isInstanceOf(OutriggerException.class);
    }
    assertThatThrownBy(() -> TokenizerOpener.find(folder.resolve("none")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("There is no file");
    Path broken = Files.writeString(folder.resolve("broken.json"), "{\"model\": 3}");
    assertThatThrownBy(() -> TokenizerOpener.find(broken))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("broken.json is no tokenizer");
  }
}
