package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class InspectionTest {
  @Card(
      slug = "example",
      name = "Example",
      summary = "Stands for any method.",
      paper = "none",
      year = 2026,
      room = Room.DETECT,
      needs = {Need.LOGITS, Need.LINEAR_HEAD, Need.NORM_LAYERS, Need.LABELS})
  private static final class Example {}

  @Test
  void aTorchScriptModelShowsItsParts() {
    try (TorchScriptModel model =
        TorchScriptModel.load(Path.of("src/test/resources/torchscript/traced.pt"))) {
      Inspection plain = Inspection.of(model);
      assertThat(plain.layers()).allMatch(layer -> layer.outputShape() == null);
      Inspection inspection = Inspection.of(model, new long[] {2, 6, 6});
      assertThat(inspection.format()).isEqualTo("TorchScript");
      assertThat(inspection.classes()).isEqualTo(4);
      assertThat(inspection.parameters()).isEqualTo(108 + 12 + 2 * (324 + 12) + 28);
      assertThat(inspection.trainable()).isEqualTo(inspection.parameters());
      assertThat(inspection.buffers()).isEqualTo(3 * 13);
      assertThat(inspection.head()).isEqualTo(new Inspection.Head(4, 6));
      assertThat(inspection.norms())
          .contains(new Inspection.Norm("layer1.0.bn", "BatchNorm2d", true))
          .hasSize(3);
      assertThat(inspection.layers())
          .contains(
              new Inspection.Layer("conv1", "Conv2d", 108, List.of(6L, 6L, 6L)),
              new Inspection.Layer("fc", "Linear", 28, List.of(4L)),
              new Inspection.Layer("layer1", "Sequential", 0, List.of(6L, 6L, 6L)));
      assertThat(inspection.render())
          .contains("traced.pt (TorchScript)")
          .contains("6 features to 4 classes")
          .contains("layer1.0.conv")
          .contains("2 x 6 x 6");
      assertThatThrownBy(() -> Inspection.of(model, new long[] {3, 6, 6}))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("[1, 3, 6, 6]");
    }
  }

  @Test
  void aNetworkOfTheZooIsRunByItself() {
    try (NeuralModel model =
        NeuralModel.create("resnet8", Map.of("width", "4"), new long[] {3, 8, 8}, 5, 1)) {
      Inspection inspection = Inspection.of(model);
      assertThat(inspection.parameters())
          .isEqualTo(model.root().parameterCount())
          .isEqualTo(inspection.layers().stream().mapToLong(Inspection.Layer::parameters).sum());
      assertThat(inspection.inputShape()).containsExactly(3L, 8L, 8L);
      assertThat(inspection.layers())
          .filteredOn(layer -> layer.path().equals("fc"))
          .singleElement()
          .extracting(Inspection.Layer::outputShape)
          .isEqualTo(List.of(5L));
      model.root().freeze("**");
      assertThat(Inspection.of(model).trainable()).isLessThan(inspection.trainable());
    }
  }

  @Test
  void methodsSayWhyTheyDoNotApply() {
    List<Card> cards = List.of(Example.class.getAnnotation(Card.class));
    Inspection.Fit no = Inspection.fits(cards, Set.of(Need.LOGITS, Need.NORM_LAYERS)).get(0);
    assertThat(no.applies()).isFalse();
    assertThat(no.missing()).containsExactly(Need.LINEAR_HEAD.meaning());
    assertThat(no.data()).containsExactly(Need.LABELS.meaning());
    Inspection.Fit yes =
        Inspection.fits(cards, Set.of(Need.LOGITS, Need.NORM_LAYERS, Need.LINEAR_HEAD)).get(0);
    assertThat(yes.applies()).isTrue();
    assertThat(yes.missing()).isEmpty();
  }

  @Test
  void itIsWrittenAsJsonAsItIs() {
    try (TorchScriptModel model =
        TorchScriptModel.load(Path.of("src/test/resources/torchscript/headless.pt"))) {
      JsonNode json = JsonMapper.shared().valueToTree(Inspection.of(model, new long[] {3}));
      assertThat(json.get("head").isNull()).isTrue();
      assertThat(json.get("offers").get(0).asString()).isEqualTo("LOGITS");
      assertThat(json.get("layers").get(0).get("outputShape").get(0).asLong()).isEqualTo(4);
    }
  }
}
