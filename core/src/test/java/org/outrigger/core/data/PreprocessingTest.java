package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.awt.image.BufferedImage;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Preprocessing.Resample;
import org.outrigger.core.torch.Tensors;

class PreprocessingTest {
  private static BufferedImage grey(int height, int width, int... values) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
    image.getRaster().setSamples(0, 0, width, height, 0, values);
    return image;
  }

  private static int[] bytes(Preprocessing settings, BufferedImage image) {
    try (Tensor tensor = settings.scale(1).apply(image)) {
      float[] values = Tensors.floats(tensor);
      int[] bytes = new int[values.length];
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] = (int) values[i];
      }
      return bytes;
    }
  }

  @Test
  void reducingAveragesAllPixelsAsPillowDoes() {
    Preprocessing half = Preprocessing.none().resize(1, 2);
    // Weights of the widened triangle at 4 -> 2: (3, 3, 1) / 7 and its mirror image.
    assertThat(bytes(half, grey(1, 4, 0, 100, 200, 40)))
        .containsExactly(Math.round(500f / 7), Math.round((100 + 600 + 120) / 7f));
    // A checkerboard becomes grey instead of one of its colours.
    int[] board = new int[64];
    for (int i = 0; i < 64; i++) {
      board[i] = (i / 8 + i) % 2 * 255;
    }
    for (int value : bytes(Preprocessing.none().resize(2, 2), grey(8, 8, board))) {
      assertThat(value).isBetween(126, 129);
    }
  }

  @Test
  void enlargingInterpolates() {
    assertThat(bytes(Preprocessing.none().resize(1, 4), grey(1, 2, 0, 100)))
        .containsExactly(0, 25, 75, 100);
    assertThat(
            bytes(Preprocessing.none().resize(1, 4).resample(Resample.NEAREST), grey(1, 2, 0, 100)))
        .containsExactly(0, 0, 100, 100);
    int[] cubic =
        bytes(
            Preprocessing.none().resize(1, 8).resample(Resample.BICUBIC),
            grey(1, 4, 50, 50, 200, 200));
    // Keys' cubic overshoots at an edge and keeps the symmetry.
    assertThat(cubic[2]).isLessThan(50);
    assertThat(cubic[5]).isGreaterThan(200);
    for (int i = 0; i < 4; i++) {
      assertThat(cubic[i] + cubic[7 - i]).isCloseTo(250, within(1));
    }
  }

  @Test
  void shortestEdgeKeepsProportionsAndTheCropIsCentred() {
    try (Tensor wide =
            Preprocessing.none().shortestEdge(4).apply(grey(2, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
        Tensor tall =
            Preprocessing.none().shortestEdge(1).apply(grey(4, 2, 1, 2, 3, 4, 5, 6, 7, 8))) {
      assertThat(wide.shape()).containsExactly(1, 4, 10);
      assertThat(tall.shape()).containsExactly(1, 2, 1);
    }
    assertThat(
            bytes(
                Preprocessing.none().crop(1, 2), grey(3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)))
        .containsExactly(6, 7);
    assertThat(bytes(Preprocessing.none().crop(2, 4), grey(1, 2, 7, 8)))
        .containsExactly(0, 7, 8, 0, 0, 0, 0, 0);
  }

  @Test
  void channelsAreConvertedByLuma() {
    BufferedImage colour = new BufferedImage(1, 1, BufferedImage.TYPE_INT_ARGB);
    colour.setRGB(0, 0, 0x80ff8020);
    assertThat(bytes(Preprocessing.none(), colour)).containsExactly(255, 128, 32);
    assertThat(bytes(Preprocessing.none().channels(1), colour))
        .containsExactly(Math.round(0.299f * 255 + 0.587f * 128 + 0.114f * 32));
    assertThat(bytes(Preprocessing.none().channels(3), grey(1, 1, 77))).containsExactly(77, 77, 77);
  }

  @Test
  void normalisationOfImagesAndTensorsAgrees() {
    Preprocessing settings =
        Preprocessing.none().channels(3).normalise(List.of(0.5, 0.4, 0.3), List.of(0.2, 0.3, 0.4));
    try (PointerScope scope = new PointerScope()) {
      Tensor raw = Preprocessing.none().channels(3).apply(grey(1, 2, 51, 255)).unsqueeze(0);
      float[] fromTensor = Tensors.floats(settings.applyTo(raw));
      float[] fromImage = Tensors.floats(settings.apply(grey(1, 2, 51, 255)));
      assertThat(fromTensor[0]).isCloseTo((0.2f - 0.5f) / 0.2f, within(1e-6f));
      assertThat(fromTensor[3]).isCloseTo((1 - 0.4f) / 0.3f, within(1e-6f));
      assertThat(fromImage).containsExactly(fromTensor, within(1e-6f));
      assertThatThrownBy(() -> settings.applyTo(Tensors.of(new float[2], 1, 1, 1, 2)))
          .hasMessageContaining("[N, 3, H, W]");
    }
  }

  @Test
  void huggingFaceSettingsAreRead() {
    Preprocessing vit =
        Preprocessing.fromJson(
            "{\"do_normalize\": true, \"do_rescale\": true, \"do_resize\": true, \"image_mean\":"
                + " [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5], \"image_processor_type\":"
                + " \"ViTImageProcessor\", \"resample\": 2, \"rescale_factor\": 0.00392156862745098,"
                + " \"size\": {\"height\": 224, \"width\": 224}}");
    assertThat(vit)
        .isEqualTo(
            Preprocessing.none()
                .channels(3)
                .resize(224, 224)
                .normalise(List.of(0.5, 0.5, 0.5), List.of(0.5, 0.5, 0.5)));
    Preprocessing clip =
        Preprocessing.fromJson(
            "{\"crop_size\": 224, \"do_center_crop\": true, \"do_resize\": true, \"size\": 224,"
                + " \"resample\": 3, \"do_normalize\": false, \"do_convert_rgb\": true}");
    assertThat(clip.shortestEdge()).isEqualTo(224);
    assertThat(clip.cropWidth()).isEqualTo(224);
    assertThat(clip.resample()).isEqualTo(Resample.BICUBIC);
    assertThat(clip.mean()).isEmpty();
    Preprocessing convNext =
        Preprocessing.fromJson("{\"crop_pct\": 0.875, \"size\": {\"shortest_edge\": 224}}");
    assertThat(convNext.shortestEdge()).isEqualTo(256);
    assertThat(convNext.cropHeight()).isEqualTo(224);
    assertThat(Preprocessing.fromJson("{\"size\": 32}").height()).isEqualTo(32);
    assertThat(Preprocessing.fromJson("{\"do_rescale\": false}").scale()).isEqualTo(1);
  }

  @Test
  void settingsThatAreNotComputedAreErrors() {
    for (String json :
        List.of(
            "{\"size\": 32, \"resample\": 1}",
            "{\"size\": {\"longest_edge\": 3}}",
            "{\"size\": {\"height\": 0, \"width\": 2}}",
            "{\"do_resize\": true}",
            "{\"do_resize\": \"yes\"}",
            "{\"do_normalize\": true, \"image_mean\": [0.5]}",
            "{\"image_mean\": [0.5], \"image_std\": [0]}",
            "{\"image_mean\": [\"a\"], \"image_std\": [1]}",
            "{\"do_pad\": true}",
            "{\"crop_size\": {\"height\": 3}}",
            "[]",
            "{")) {
      assertThatThrownBy(() -> Preprocessing.fromJson(json))
          .as(json)
          .isInstanceOf(OutriggerException.class);
    }
    assertThatThrownBy(() -> Preprocessing.none().channels(2)).hasMessageContaining("channels = 2");
    assertThatThrownBy(() -> Preprocessing.none().scale(0)).hasMessageContaining("scale");
    assertThatThrownBy(
            () -> Preprocessing.none().shortestEdge(16_384).apply(grey(1, 500, new int[500])))
        .hasMessageContaining("too narrow");
  }

  @Test
  void savedSettingsComeBackTheSame() {
    for (Preprocessing settings :
        List.of(
            Preprocessing.none(),
            Preprocessing.imageNet(),
            Preprocessing.none().channels(1).resize(28, 30).resample(Resample.NEAREST).scale(0.5),
            Preprocessing.none().crop(5, 6).normalise(List.of(0.1), List.of(0.3)))) {
      assertThat(Preprocessing.fromJson(settings.toJson())).isEqualTo(settings);
    }
  }
}
