package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LayerTreeTest {
  private PointerScope scope;
  private Rng rng;
  private Sequential net;
  private Tensor x;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(5);
    net =
        new Sequential(
            new Linear(4, 8, rng),
            new BatchNorm1d(8),
            Activation.relu(),
            new Sequential(new Dropout(0.5, 3), new Linear(8, 3, rng)));
    x = rng.normal(6, 4);
    net.eval();
  }

  @AfterEach
  void close() {
    net.close();
    rng.close();
    scope.close();
  }

  private static float[] run(Layer layer, Tensor input) {
    return Tensors.floats(layer.forward(input));
  }

  @Test
  void namesAreDottedAndInPyTorchsOrder() {
    assertThat(net.stateDict().keySet())
        .containsExactly(
            "0.weight",
            "0.bias",
            "1.weight",
            "1.bias",
            "1.running_mean",
            "1.running_var",
            "1.num_batches_tracked",
            "3.1.weight",
            "3.1.bias");
    assertThat(net.parameters()).doesNotContainKey("1.running_mean");
    assertThat(net.buffers())
        .containsOnlyKeys("1.running_mean", "1.running_var", "1.num_batches_tracked");
    assertThat(net.parameterCount()).isEqualTo(4 * 8 + 8 + 16 + 24 + 3);
    assertThat(net.layers().keySet()).containsExactly("0", "1", "2", "3", "3.0", "3.1");
    assertThat(net.describe()).contains("3: Sequential", "1: Linear(8 -> 3)  [27]");
  }

  @Test
  void aLayerIsReplacedAndPutBack() {
    float[] before = run(net, x);
    Layer old = net.replace("3.1", new Linear(8, 2, rng));
    assertThat(net.forward(x).shape()).containsExactly(6, 2);
    assertThat(net.get("3.1").training()).isFalse();
    net.replace("3.1", old).close();
    assertThat(run(net, x)).containsExactly(before);
    assertThatThrownBy(() -> net.get("3.7"))
        .isInstanceOf(OutriggerException.class)
        .hasMessage("There is no layer '3.7': '3' has 0, 1.");
    assertThatThrownBy(() -> net.replace("", new Identity()))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void aWrapperAroundALayerKeepsTheLayersNamesBelowIt() {
    float[] before = run(net, x);
    Layer wrapper = new Sequential(Map.of("base", net.get("0")));
    net.replace("0", wrapper);
    assertThat(net.parameters()).containsKey("0.base.weight").doesNotContainKey("0.weight");
    assertThat(run(net, x)).containsExactly(before);
    Layer base = wrapper.replace("base", new Identity());
    net.replace("0", base).close();
    assertThat(run(net, x)).containsExactly(before);
  }

  @Test
  void aDeepCopySharesNothing() {
    Layer copy = net.deepCopy();
    float[] before = run(net, x);
    assertThat(run(copy, x)).containsExactly(before);
    copy.parameters().values().forEach(p -> p.detach().zero_());
    copy.train();
    copy.freeze("0");
    copy.replace("2", new Identity());
    assertThat(run(net, x)).containsExactly(before);
    assertThat(net.training()).isFalse();
    assertThat(net.get("2")).isInstanceOf(Activation.class);
    assertThat(net.trainable()).hasSize(6);
    copy.close();
    assertThat(run(net, x)).containsExactly(before);
  }

  @Test
  void aCopiedDropoutContinuesWithTheSameMasks() {
    Dropout dropout = new Dropout(0.5, 1);
    Tensor ones = Init.ones(50);
    dropout.forward(ones);
    Layer copy = dropout.deepCopy();
    float[] next = run(dropout, ones);
    assertThat(run(copy, ones)).containsExactly(next);
    assertThat(run(dropout, ones)).isNotEqualTo(next);
  }

  @Test
  void trainingModeReachesEveryLayer() {
    net.train();
    assertThat(net.layers().values()).allMatch(Layer::training);
    net.eval();
    assertThat(net.layers().values()).noneMatch(Layer::training);
  }

  @Test
  void hooksSeeAndReplaceOutputsUntilClosed() {
    float[] before = run(net, x);
    List<String> seen = new ArrayList<>();
    try (OutputHook.Handle first =
            net.onOutput(
                "0",
                (layer, out) -> {
                  seen.add(layer + " " + out.size(1));
                  return null;
                });
        OutputHook.Handle second = net.onOutput("3.1", (layer, out) -> out.mul(new Scalar(2)))) {
      float[] doubled = run(net, x);
      for (int i = 0; i < before.length; i++) {
        assertThat(doubled[i]).isEqualTo(2 * before[i]);
      }
    }
    assertThat(seen).containsExactly("Linear(4 -> 8) 8");
    assertThat(run(net, x)).containsExactly(before);
    assertThat(seen).hasSize(1);
  }

  @Test
  void whatAHookSawStaysUsableInTheScope() {
    List<Tensor> kept = new ArrayList<>();
    try (OutputHook.Handle hook =
        net.onOutput(
            "0",
            (layer, out) -> {
              kept.add(out);
              return null;
            })) {
      net.forward(x);
    }
    assertThat(Tensors.floats(kept.get(0))).containsExactly(run(net.get("0"), x));
  }

  @Test
  void substitutedWeightsEqualLoadedOnesAndLeaveTheModelAlone() {
    for (boolean training : new boolean[] {false, true}) {
      Sequential plain = new Sequential(new Linear(4, 8, rng), new BatchNorm1d(8));
      plain.train(training);
      Layer untouched = plain.deepCopy();
      Map<String, Tensor> other = new LinkedHashMap<>();
      plain.parameters().forEach((name, p) -> other.put(name, rng.normal(p.shape())));
      float[] substituted = Tensors.floats(plain.forward(x, other));
      plain
          .stateDict()
          .forEach(
              (name, tensor) ->
                  assertThat(Tensors.doubles(tensor))
                      .as(name)
                      .containsExactly(Tensors.doubles(untouched.stateDict().get(name))));
      plain.loadStateDict(other, false);
      assertThat(run(plain, x)).containsExactly(substituted);
    }
  }

  @Test
  void gradientsFlowToSubstitutedWeights() {
    Tensor w = rng.normal(8, 4).requires_grad_(true);
    Tensor g = Gradients.of(net.forward(x, Map.of("0.weight", w)).sum(), w);
    assertThat(g.abs().sum().item_float()).isPositive();
  }

  @Test
  void substitutionsThatDoNotFitAreNamed() {
    assertThatThrownBy(() -> net.forward(x, Map.of("0.wait", x, "0.weight", Init.zeros(2, 2))))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("there is no '0.wait'")
        .hasMessageContaining("'0.weight' has shape [2, 2] instead of [8, 4]");
  }

  @Test
  void stateDictsLoadByNameAndNothingChangesUnlessAllFits() {
    Map<String, Tensor> state = new LinkedHashMap<>();
    net.stateDict().forEach((name, t) -> state.put(name, t.detach().clone()));
    state.remove("1.num_batches_tracked");
    net.loadStateDict(state, true);

    state.get("0.weight").zero_();
    state.put("extra", x);
    state.remove("3.1.bias");
    state.put("3.1.weight", Init.zeros(3, 9));
    float[] before = run(net, x);
    assertThatThrownBy(() -> net.loadStateDict(state, true))
        .isInstanceOf(OutriggerException.class)
        .hasMessage(
            "These weights do not fit this network: missing: 3.1.bias; unexpected: extra; of another"
                + " shape: 3.1.weight has [3, 9] but needs [3, 8].");
    assertThatThrownBy(() -> net.loadStateDict(state, false))
        .isInstanceOf(OutriggerException.class)
        .hasMessageNotContaining("missing");
    assertThat(run(net, x)).containsExactly(before);
    state.remove("3.1.weight");
    net.loadStateDict(state, false);
    assertThat(run(net, x)).isNotEqualTo(before);
  }

  @Test
  void freezePatternsChooseByPathGlobAndRegex() {
    assertThat(net.freeze("0")).isEqualTo(2);
    assertThat(net.trainable()).containsOnlyKeys("1.weight", "1.bias", "3.1.weight", "3.1.bias");
    assertThat(net.freeze("*.bias")).isEqualTo(3);
    assertThat(net.trainable()).containsOnlyKeys("1.weight", "3.1.weight");
    assertThat(net.unfreeze("regex:\\d\\.weight")).isEqualTo(2);
    assertThat(net.trainable()).containsOnlyKeys("0.weight", "1.weight", "3.1.weight");
    assertThat(net.unfreeze("*")).isEqualTo(6);
    assertThatThrownBy(() -> net.freeze("layer9"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("No parameter matches 'layer9'")
        .hasMessageContaining("0.weight");
    assertThatThrownBy(() -> net.freeze("regex:("))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("not a regular expression");
  }

  @Test
  void convertingKeepsTheIdentityOfTensors() {
    Tensor before = net.parameters().get("0.weight");
    net.to(ScalarType.Double);
    assertThat(before.scalar_type().intern()).isEqualTo(ScalarType.Double);
    assertThat(before.requires_grad()).isTrue();
    assertThat(net.forward(x.to(ScalarType.Double)).scalar_type().intern())
        .isEqualTo(ScalarType.Double);
    assertThat(net.buffers().get("1.num_batches_tracked").scalar_type().intern())
        .isEqualTo(ScalarType.Long);
  }

  @Test
  void layersMadeInAScopeOutliveIt() {
    Linear linear;
    try (PointerScope inner = new PointerScope()) {
      linear = new Linear(4, 2, rng);
    }
    assertThat(linear.forward(x).shape()).containsExactly(6, 2);
    linear.close();
    linear.close();
  }

  @Test
  void aFailureNamesTheInnermostLayer() {
    assertThatThrownBy(() -> net.forward(rng.normal(2, 5)))
        .isInstanceOf(OutriggerException.class)
        .extracting(e -> ((OutriggerException) e).firstLine())
        .isEqualTo("The layer Linear(4 -> 8) cannot take an input of shape [2, 5].");
  }

  @Test
  void valuesBetweenLayersAreReleasedAtOnce() {
    Layer[] layers = new Layer[60];
    for (int i = 0; i < layers.length; i++) {
      layers[i] = Activation.tanh();
    }
    Sequential deep = new Sequential(layers);
    long mebibyte = 1L << 20;
    Tensor large = Init.zeros(8 * mebibyte / 4);
    deep.forward(large);
    long before = Pointer.physicalBytes();
    long[] peak = {0};
    try (OutputHook.Handle hook =
        deep.onOutput(
            "59",
            (layer, out) -> {
              peak[0] = Pointer.physicalBytes() - before;
              return null;
            })) {
      Scopes.tensor(() -> deep.forward(large));
    }
    // Kept, the sixty values would be 480 MiB.
    assertThat(peak[0]).isLessThan(120 * mebibyte);
  }
}
