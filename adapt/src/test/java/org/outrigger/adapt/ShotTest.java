package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BottleneckHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class ShotTest {
  private PointerScope scope;
  private NeuralModel model;
  private TensorDataset data;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = NeuralModel.create("mlp", Map.of("hidden", List.of(8)), new long[] {4}, 3, 1);
    try (Rng rng = new Rng(2)) {
      model.root().replace("head", new BottleneckHead(8, 6, 3, rng)).close();
      data = TensorDataset.of(rng.normal(40, 4), null);
    }
  }

  @AfterEach
  void close() {
    model.close();
    data.close();
    scope.close();
  }

  private static Shot shot(Object... changes) {
    Map<String, Object> map = new LinkedHashMap<>(Map.of("epochs", 3, "batch", 16));
    for (int i = 0; i < changes.length; i += 2) {
      map.put((String) changes[i], changes[i + 1]);
    }
    return Methods.create(Shot.class, "shot", map);
  }

  private static float[] weight(NeuralModel model, String name) {
    return Tensors.floats(model.root().stateDict().get(name));
  }

  @Test
  void eachRowGetsTheClassOfTheNearestCentroidThoughItsOwnPredictionDiffers() {
    Tensor features = Tensors.of(new double[][] {{5, 0}, {6, 1}, {0, 5}, {1, 6}, {5, 1}});
    // The last row is among the first two, but is predicted as the second class.
    Tensor p =
        Tensors.of(
            new double[][] {
              {0.9, 0.1, 0}, {0.9, 0.1, 0}, {0.1, 0.9, 0}, {0.1, 0.9, 0}, {0.4, 0.6, 0}
            });
    assertThat(Tensors.longs(Shot.pseudoLabels(features, p))).containsExactly(0, 0, 1, 1, 0);
  }

  @Test
  void aClassThatNothingIsPredictedAsGetsNoRow() {
    Tensor features = Tensors.of(new double[][] {{5, 0}, {0, 5}, {4, 3.9}});
    Tensor p = Tensors.of(new double[][] {{0.8, 0, 0.2}, {0, 0.8, 0.2}, {0.4, 0.2, 0.39}});
    assertThat(Tensors.longs(Shot.pseudoLabels(features, p))).doesNotContain(2);
  }

  @Test
  void theLossIsThatOfItsParts() {
    Tensor logits = Tensors.of(new double[][] {{0, 0}, {0, 0}});
    double ln2 = Math.log(2);
    // Uncertain rows and a uniform mean cancel, up to the 1e-5 in the logarithm.
    assertThat(Shot.loss(logits, Tensors.labels(0, 1), 0.3).item_double())
        .isCloseTo(0.3 * ln2, within(1e-4));
  }

  @Test
  void featuresMoveAndTheHeadAndTheSourceStay() {
    float[] before = weight(model, "fc1.weight");
    List<Long> steps = new ArrayList<>();
    try (OfflineAdapter.Result result =
            shot().adapt(model, data, (step, all, loss) -> steps.add(step * 100 + all));
        OfflineAdapter.Result same = shot().adapt(model, data)) {
      assertThat(steps).containsExactly(106L, 206L, 306L, 406L, 506L, 606L);
      assertThat(weight(model, "fc1.weight")).containsExactly(before);
      assertThat(weight(result.model(), "fc1.weight"))
          .isNotEqualTo(before)
          .containsExactly(weight(same.model(), "fc1.weight"));
      for (String part : List.of("weight_g", "weight_v", "bias")) {
        assertThat(weight(result.model(), "head.fc." + part))
            .containsExactly(weight(model, "head.fc." + part));
      }
      assertThat(weight(result.model(), "head.bottleneck.weight"))
          .isNotEqualTo(weight(model, "head.bottleneck.weight"));
      assertThat(result.report()).containsEntry("method", "shot").containsKey("epochLosses");
    }
  }

  @Test
  void theBackboneMovesLessThanTheBottleneckWhereItsRateIsSmall() {
    try (OfflineAdapter.Result result =
        shot("backbone", 1e-20, "optimiser", "ADAM", "weightDecay", 0).adapt(model, data)) {
      assertThat(weight(result.model(), "fc1.weight")).containsExactly(weight(model, "fc1.weight"));
      assertThat(weight(result.model(), "head.bottleneck.weight"))
          .isNotEqualTo(weight(model, "head.bottleneck.weight"));
    }
  }

  @Test
  void badInputIsRefused() {
    try (TensorDataset one = TensorDataset.of(data.inputs().narrow(0, 0, 1), null)) {
      assertThatThrownBy(() -> shot().adapt(model, one))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("two or more");
    }
    assertThatThrownBy(() -> shot("batch", 1)).hasMessageContaining("batch = 1");
    model.root().freeze("*");
    assertThatThrownBy(() -> shot().adapt(model, data)).hasMessageContaining("not frozen");
  }
}
