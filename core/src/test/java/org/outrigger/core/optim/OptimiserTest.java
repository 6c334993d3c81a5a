package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Tensors;

class OptimiserTest {
  /*
   * Expected numbers from PyTorch 1.13, float64:
   *
   * def run(make, steps=4):
   *     a = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
   *     b = torch.tensor([[0.3, -0.7]], dtype=torch.float64, requires_grad=True)
   *     opt = make([a, b])
   *     for t in range(steps):
   *         opt.zero_grad(set_to_none=True)
   *         loss = (a ** 4).sum() + (torch.sin(3 * a)).sum()
   *         if t != 1: loss = loss + (b ** 2).sum() * a[0]
   *         loss.backward(); opt.step()
   *     return a.tolist() + b.flatten().tolist()
   *
   * sgd        SGD(p, 0.02)
   * momentum   SGD(p, 0.02, momentum=0.9, dampening=0.3, weight_decay=0.1)
   * nesterov   SGD(p, 0.02, momentum=0.8, weight_decay=0.05, nesterov=True)
   * adam       Adam(p, 0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)
   * amsgrad    Adam(p, 0.1, betas=(0.5, 0.6), amsgrad=True)
   * adamw      AdamW(p, 0.1, weight_decay=0.3)
   * adamw_ams  AdamW(p, 0.2, betas=(0.5, 0.6), weight_decay=0.3, amsgrad=True)
   */
  static Stream<Arguments> rules() {
    return Stream.of(
        rule(
            "sgd",
            p -> new Sgd(p, Sgd.Settings.of(0.02)),
            0.9130948960847562,
            -0.8465114309239737,
            0.43165534218511686,
            0.26669669159483794,
            -0.6222922803879551),
        rule(
            "momentum",
            p -> new Sgd(p, new Sgd.Settings(0.02, 0.9, 0.3, 0.1, false)),
            0.8177603940552634,
            0.5416041924008972,
            0.37093690846189026,
            0.24403355963145656,
            -0.5694116391400653),
        rule(
            "nesterov",
            p -> new Sgd(p, new Sgd.Settings(0.02, 0.8, 0, 0.05, true)),
            0.8060276634739361,
            0.16477070466837654,
            0.28504746267119113,
            0.22276878654389265,
            -0.5197938352690827),
        rule(
            "adam",
            p -> new Adam(p, new Adam.Settings(0.1, 0.8, 0.95, 1e-6, 0.2, false)),
            0.6846334277559776,
            -1.6078177569431382,
            0.10186540915566149,
            0.02277609864158979,
            -0.40881973953139666),
        rule(
            "amsgrad",
            p -> new Adam(p, new Adam.Settings(0.1, 0.5, 0.6, 1e-8, 0, true)),
            0.7780996417242222,
            -1.6118540284457858,
            0.10120106653187343,
            0.04397833562249685,
            -0.4129012918579383),
        rule(
            "adamw",
            p -> new AdamW(p, Adam.Settings.of(0.1, 0.3)),
            0.6176616585370402,
            -1.39865478037324,
            0.07083852492824849,
            0.006882863523171204,
            -0.3584336330656614),
        rule(
            "adamw with amsgrad",
            p -> new AdamW(p, new Adam.Settings(0.2, 0.5, 0.6, 1e-8, 0.3, true)),
            0.4193256931471848,
            -0.9555811130887639,
            -0.32920044059151715,
            -0.0775837572820024,
            -0.15296934952017177));
  }

  private static Arguments rule(
      String name, Function<Map<String, Tensor>, Optimiser> make, double... expected) {
    return Arguments.of(name, make, expected);
  }

  /** Two leaves and the loss of the snippet above; {@code b} has no gradient in step 1. */
  private static Map<String, Tensor> leaves() {
    Map<String, Tensor> leaves = new LinkedHashMap<>();
    leaves.put("a", Tensors.of(new double[] {1, -2, 0.5}, 3).requires_grad_(true));
    leaves.put("b", Tensors.of(new double[] {0.3, -0.7}, 1, 2).requires_grad_(true));
    return leaves;
  }

  private static void train(Optimiser optimiser, Map<String, Tensor> p, int from, int to) {
    Tensor a = p.get("a");
    Tensor b = p.get("b");
    for (int t = from; t < to; t++) {
      try (PointerScope scope = new PointerScope()) {
        optimiser.clearGradients();
        Tensor loss = a.pow(new Scalar(4)).sum().add(a.mul(new Scalar(3)).sin().sum());
        if (t != 1) {
          loss = loss.add(b.mul(b).sum().mul(a.select(0, 0)));
        }
        loss.backward();
        optimiser.step();
      }
    }
  }

  private static double[] values(Map<String, Tensor> p) {
    return Tensors.doubles(
        torch.cat(new org.bytedeco.pytorch.TensorVector(p.get("a"), p.get("b").flatten()), 0));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("rules")
  void fourStepsEqualPyTorch(
      String name, Function<Map<String, Tensor>, Optimiser> make, double[] expected) {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser optimiser = make.apply(p)) {
        train(optimiser, p, 0, 4);
      }
      assertThat(values(p)).containsExactly(expected, within(1e-13));
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("rules")
  void restoredOptimiserContinuesToTheLastBit(
      String name, Function<Map<String, Tensor>, Optimiser> make, double[] expected) {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> straight = leaves();
      Map<String, Tensor> broken = leaves();
      try (Optimiser one = make.apply(straight);
          Optimiser first = make.apply(broken)) {
        train(one, straight, 0, 4);
        train(first, broken, 0, 2);
        Map<String, Tensor> copy = new LinkedHashMap<>();
        broken.forEach((k, v) -> copy.put(k, v.detach().clone().requires_grad_(true)));
        try (Optimiser second = make.apply(copy)) {
          second.restore(first.state());
          train(second, copy, 2, 4);
          assertThat(values(copy)).containsExactly(values(straight));
          assertThat(second.state().values()).isEqualTo(one.state().values());
        }
      }
    }
  }

  @Test
  void parameterWithoutGradientIsNeitherMovedNorDecayed() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser optimiser = new AdamW(p, Adam.Settings.of(0.1, 0.5))) {
        optimiser.step(Map.of("a", Tensors.of(new double[] {1, 1, 1}, 3)));
        assertThat(Tensors.doubles(p.get("b"))).containsExactly(0.3, -0.7);
        assertThat(optimiser.state().tensors()).containsOnlyKeys("a/mean", "a/square");
        assertThat(optimiser.state().map("steps")).containsEntry("a", 1L).containsEntry("b", 0L);
      }
    }
  }

  @Test
  void maskedEntriesStay() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser optimiser = new Sgd(p, new Sgd.Settings(0.1, 0.9, 0, 0, false))) {
        optimiser.mask("a", Tensors.of(new long[] {1, 0, 1}, 3));
        Map<String, Tensor> g = Map.of("a", Tensors.of(new double[] {1, 1, 1}, 3));
        optimiser.step(g);
        assertThat(Tensors.doubles(p.get("a")))
            .containsExactly(new double[] {0.9, -2, 0.4}, within(1e-15));
        optimiser.mask("a", null);
        optimiser.step(g);
        assertThat(Tensors.doubles(p.get("a"))[1]).isEqualTo(-2.1, within(1e-15));
        assertThatThrownBy(() -> optimiser.mask("a", Tensors.of(new double[2], 2)))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("The mask of 'a' has shape [2]");
      }
    }
  }

  @Test
  void groupsHaveTheirOwnRateAndDecay() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      List<ParameterGroup> groups =
          List.of(
              ParameterGroup.of(Map.of("a", p.get("a"))).withLearningRate(0.5).withWeightDecay(0),
              ParameterGroup.of(Map.of("b", p.get("b"))));
      try (Optimiser optimiser = new Sgd(groups, new Sgd.Settings(0.1, 0, 0, 1, false))) {
        optimiser.pace(0.5);
        optimiser.step(
            Map.of(
                "a", Tensors.of(new double[] {1, 0, 0}, 3),
                "b", Tensors.of(new double[] {0, 0}, 1, 2)));
        assertThat(Tensors.doubles(p.get("a"))).containsExactly(0.75, -2, 0.5);
        assertThat(Tensors.doubles(p.get("b")))
            .containsExactly(new double[] {0.285, -0.665}, within(1e-15));
      }
      assertThat(ParameterGroup.decayMatricesOnly(p).get(0).parameters()).containsOnlyKeys("b");
      assertThat(ParameterGroup.decayMatricesOnly(p).get(1).weightDecay()).hasValue(0);
    }
  }

  @Test
  void resetMakesTheNextStepLikeTheFirst() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser optimiser = new Adam(p, Adam.Settings.of(0.1))) {
        train(optimiser, p, 0, 3);
        optimiser.reset("a");
        assertThat(optimiser.state().tensors()).containsOnlyKeys("b/mean", "b/square");
        double before = Tensors.doubles(p.get("a"))[0];
        optimiser.step(Map.of("a", Tensors.of(new double[] {7, 0, 0}, 3)));
        assertThat(Tensors.doubles(p.get("a"))[0]).isEqualTo(before - 0.1, within(1e-9));
        optimiser.reset();
        assertThat(optimiser.state().tensors()).isEmpty();
      }
    }
  }

  @Test
  void parametersCanBeAddedAndRemovedOnTheWay() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser optimiser = new Sgd(Map.of("a", p.get("a")), Sgd.Settings.of(1))) {
        optimiser.add(ParameterGroup.of(Map.of("b", p.get("b"), "alias", p.get("a"))));
        assertThat(optimiser.parameters()).containsOnlyKeys("a", "b");
        optimiser.remove("a");
        assertThat(optimiser.parameters()).containsOnlyKeys("b");
        assertThatThrownBy(() -> optimiser.reset("a")).hasMessageContaining("no parameter 'a'");
        assertThatThrownBy(() -> optimiser.add(ParameterGroup.of(Map.of("b", p.get("b")))))
            .hasMessageContaining("'b' is in the optimiser already");
      }
    }
  }

  @Test
  void foreignStateChangesNothing() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> p = leaves();
      try (Optimiser adam = new Adam(p, Adam.Settings.of(0.1));
          Optimiser sgd = new Sgd(p, Sgd.Settings.of(0.1))) {
        train(adam, p, 0, 2);
        State before = adam.state();
        assertThatThrownBy(() -> adam.restore(sgd.state()))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("optimiser/sgd, not a optimiser/adam");
        Map<String, Tensor> damaged = new LinkedHashMap<>(before.tensors());
        damaged.put("b/mean", Tensors.of(new double[3], 3));
        State wrong = new State(before.type(), 1, before.values(), damaged);
        assertThatThrownBy(() -> adam.restore(wrong)).hasMessageContaining("of 'b' has shape [3]");
        assertThat(adam.state()).isEqualTo(before);
      }
    }
  }

  @Test
  void badSettingsNameTheParameter() {
    assertThatThrownBy(() -> Sgd.Settings.of(-1)).hasMessageContaining("learningRate = -1.0");
    assertThatThrownBy(() -> new Sgd.Settings(1, 0, 0, 0, true)).hasMessageContaining("Nesterov");
    assertThatThrownBy(() -> new Adam.Settings(1, 1, 0, 1, 0, false))
        .hasMessageContaining("beta1 = 1.0");
    assertThatThrownBy(() -> new Sgd(Map.of(), Sgd.Settings.of(1)))
        .hasMessageContaining("nothing to train");
  }
}
