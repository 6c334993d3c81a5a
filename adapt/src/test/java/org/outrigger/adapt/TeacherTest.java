package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** CoTTA, RoTTA, NOTE and MEMO, and what they change images by. */
class TeacherTest {
  private PointerScope scope;
  private NeuralModel model;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = SmallWorld.model();
    rng = new Rng(5);
  }

  @AfterEach
  void close() {
    rng.close();
    model.close();
    scope.close();
  }

  private static double apart(Tensor a, Tensor b) {
    return a.sub(b).abs().amax().item_double();
  }

  private static Map<String, Tensor> parameters(Model of) {
    return of.as(Capabilities.Differentiable.class).orElseThrow().parameters();
  }

  @Test
  void augmentedImagesStayInRangeAndDependOnTheSeedAlone() {
    for (Augmentation augmentation : List.of(new StrongAugmentation(true), new AugMix(2, true))) {
      for (int channels : new int[] {1, 3}) {
        try (Rng one = new Rng(8);
            Rng two = new Rng(8)) {
          Tensor images = rng.uniform(20, channels, 9, 7);
          Tensor before = images.clone();
          Tensor first = augmentation.apply(images, one);
          assertThat(first.equal(augmentation.apply(images, two))).isTrue();
          assertThat(first.equal(augmentation.apply(images, two))).isFalse();
          assertThat(first.shape()).containsExactly(20, channels, 9, 7);
          assertThat(first.amin().item_float()).isGreaterThanOrEqualTo(0);
          assertThat(first.amax().item_float()).isLessThanOrEqualTo(1);
          assertThat(images.equal(before)).isTrue();
        }
      }
    }
  }

  @Test
  void strongAugmentationMovesImagesByAnEighthAtMostAndRepeatsEdges() {
    // A white image has no edge that could be told from what moves in, but for brightness.
    Tensor white = torch.ones(200, 1, 16, 16);
    Tensor seen = new StrongAugmentation(false).apply(white, rng).select(1, 0);
    Tensor spread = seen.amax(new long[] {1, 2}, false).sub(seen.amin(new long[] {1, 2}, false));
    assertThat(spread.amax().item_double()).isLessThan(0.08);
    // The centre of mass of a dot says how far an image was moved.
    Tensor dot = torch.zeros(400, 1, 16, 16);
    dot.narrow(2, 7, 2).narrow(3, 7, 2).fill_(new Scalar(1.0));
    Tensor moved = new StrongAugmentation(false).apply(dot, rng).select(1, 0);
    Tensor sharp = moved.sub(new Scalar(0.05)).clamp_min(new Scalar(0.0));
    Tensor at = torch.arange(new Scalar(16)).to(ScalarType.Float);
    Tensor centre = sharp.sum(1).mul(at).sum(1).div(sharp.sum(new long[] {1, 2}, false, null));
    Tensor off = centre.sub(new Scalar(7.5)).abs();
    assertThat(off.amax().item_double()).isBetween(1.0, 2.8);
  }

  @Test
  void theChangesOfAugMixAreThoseOfPictures() {
    Tensor ramp = torch.arange(new Scalar(256)).view(1, 1, 16, 16).div(new Scalar(255.0));
    Tensor four = Tensors.of(new double[] {0}, 1);
    double[] posterised = Tensors.doubles(AugMix.posterised(ramp, four).mul(new Scalar(255.0)));
    assertThat(posterised[255]).isCloseTo(240, within(1e-9));
    assertThat(posterised[37]).isCloseTo(32, within(1e-9));
    double[] solarised =
        Tensors.doubles(
            AugMix.solarised(ramp, Tensors.of(new double[] {6}, 1)).mul(new Scalar(255.0)));
    assertThat(solarised[249]).isCloseTo(249, within(1e-4));
    assertThat(solarised[250]).isCloseTo(5, within(1e-4));
    Tensor grey = ramp.mul(new Scalar(0.5)).add(new Scalar(0.2));
    Tensor stretched = AugMix.stretched(grey);
    assertThat(apart(stretched, ramp)).isLessThan(1e-5);
    Tensor flat = torch.full(new long[] {1, 1, 4, 4}, new Scalar(0.3));
    assertThat(AugMix.stretched(flat).equal(flat)).isTrue();
    assertThat(AugMix.equalised(flat).equal(flat)).isTrue();
    // Twice as many dark values as bright ones, each value four times: ranks become even steps.
    Tensor many = torch.cat(new TensorVector(ramp, ramp, ramp, ramp), 2).square();
    Tensor even = AugMix.equalised(many).flatten();
    assertThat(even.sub(AugMix.stretched(ramp).mean()).mean().abs().item_double()).isLessThan(0.02);
  }

  @Test
  void aStudentThatIsRestoredInFullIsTheSource() {
    try (Cotta cotta = (Cotta) Adapters.parse("cotta:ap=0:rst=1:mt=0.5:lr=0.05")) {
      cotta.start(model, null);
      List<Tensor> stream = SmallWorld.stream(2, 8);
      cotta.adapt(stream.get(0)).close();
      parameters(cotta.student())
          .forEach((name, p) -> assertThat(p.equal(parameters(model).get(name))).isTrue());
      assertThat(apart(parameters(cotta.model()).get("n1.bias"), parameters(model).get("n1.bias")))
          .isGreaterThan(0.01);
    }
  }

  @Test
  void viewsAreAveragedOnlyWhereTheSourceIsUnsure() {
    List<Tensor> stream = SmallWorld.stream(1, 8);
    try (Adapter sure = Adapters.parse("cotta:ap=0");
        Adapter unsure = Adapters.parse("cotta:ap=1:views=4");
        Adapter batch = new BatchNormAdaptation()) {
      for (Adapter adapter : List.of(sure, unsure, batch)) {
        adapter.start(model, null);
      }
      try (Output one = sure.adapt(stream.get(0));
          Output two = unsure.adapt(stream.get(0));
          Output plain = batch.adapt(stream.get(0))) {
        assertThat(apart(one.logits(), plain.logits())).isLessThan(1e-6);
        assertThat(apart(two.logits(), plain.logits())).isGreaterThan(1e-3);
      }
    }
  }

  @Test
  void aSymmetricLossIsHalfOfBoth() {
    Tensor a = rng.normal(6, 4);
    Tensor b = rng.normal(6, 4);
    double one = Cotta.loss(a, b, false).item_double();
    double other = Cotta.loss(b, a, false).item_double();
    assertThat(Cotta.loss(a, b, true).item_double()).isCloseTo((one + other) / 2, within(1e-6));
    // Cross-entropy of a distribution with itself is its entropy, and the least there is.
    double least = Cotta.loss(a, a, false).item_double();
    assertThat(least).isCloseTo(Entropies.entropy(a).mean().item_double(), within(1e-6));
    assertThat(least).isLessThan(one);
  }

  @Test
  void rottaPredictsWithTheSourceUntilTheFirstStep() {
    List<Tensor> stream = SmallWorld.stream(3, 8);
    try (Adapter rotta = Adapters.parse("rotta:interval=16:nu=1:lr=0.05:capacity=8")) {
      rotta.start(model, null);
      for (int i = 0; i < 3; i++) {
        try (Output output = rotta.adapt(stream.get(i));
            Output source = model.predict(stream.get(i))) {
          double apart = apart(output.logits(), source.logits());
          if (i < 2) {
            assertThat(apart).isLessThan(1e-5);
          } else {
            assertThat(apart).isGreaterThan(1e-3);
          }
        }
      }
      assertThat(rotta.usage().updates()).isEqualTo(1);
      assertThat(rotta.usage().backward()).isBetween(1L, 8L);
    }
  }

  @Test
  void noteKeepsLayersThatWereTrainedWith() {
    Note note = new Note();
    assertThat(note.convert(model)).isEqualTo(2);
    try (note) {
      note.start(model, null);
      assertThat(note.trained()).containsExactly("n1.weight", "n1.bias", "n2.weight", "n2.bias");
      note.adapt(SmallWorld.stream(1, 16).get(0)).close();
    }
  }

  @Test
  void notesLossIsTheEntropyOverTheClasses() {
    Tensor logits = rng.normal(ScalarType.Double, 7, 4);
    double entropy = Entropies.entropy(logits).mean().item_double();
    assertThat(Note.loss(logits).item_double()).isCloseTo(entropy / 4, within(1e-5));
  }

  @Test
  void memoWithoutAStepIsAlphaBatchNormOfEachImageByItself() {
    Tensor batch = SmallWorld.stream(1, 3).get(0);
    try (Adapter memo = Adapters.parse("memo:lr=1e-12:views=2");
        Adapter alpha = new AlphaBn()) {
      memo.start(model, null);
      alpha.start(model, null);
      try (Output output = memo.adapt(batch)) {
        for (int i = 0; i < 3; i++) {
          try (Output one = alpha.adapt(batch.narrow(0, i, 1))) {
            assertThat(apart(output.logits().narrow(0, i, 1), one.logits())).isLessThan(1e-5);
          }
        }
      }
    }
  }

  @Test
  void memoMakesViewsAgree() {
    Tensor logits = rng.normal(ScalarType.Double, 6, 4);
    double before = Memo.marginalEntropy(logits).item_double();
    assertThat(before).isBetween(0.0, Math.log(4));
    assertThat(Memo.marginalEntropy(torch.zeros(3, 4)).item_double())
        .isCloseTo(Math.log(4), within(1e-6));
    Tensor extreme = Tensors.of(new double[] {2000, -2000, 0, 2000, -2000, 0}, 2, 3);
    assertThat(Memo.marginalEntropy(extreme).item_double()).isCloseTo(0, within(1e-9));
  }

  @Test
  void whatAugmentsNeedsImages() {
    try (Rng draw = new Rng(1);
        NeuralModel rows =
            NeuralModel.of(
                "rows",
                new Sequential(Map.of("fc", new Linear(5, 3, draw))),
                "fc",
                new long[] {5},
                List.of());
        Adapter cotta = new Cotta();
        Adapter memo = new Memo()) {
      for (Adapter adapter : List.of(cotta, memo)) {
        adapter.start(rows, null);
        assertThatThrownBy(() -> adapter.adapt(draw.normal(4, 5)))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("augments images");
      }
    }
  }

  @Test
  void aLongStreamDoesNotTakeMoreAndMoreMemory() {
    List<Tensor> stream = SmallWorld.stream(1, 8);
    for (String stack :
        List.of(
            "tent/unmix-tns:K=4",
            "ema-bn",
            "cotta:ap=1:views=1",
            "note:interval=8:capacity=8",
            "rotta:interval=8:capacity=8")) {
      try (Adapter adapter = Adapters.parse(stack)) {
        adapter.start(model, null);
        walk(adapter, stream.get(0), 100);
        double before = ResidentMemory.megabytes();
        walk(adapter, stream.get(0), 400);
        assertThat(ResidentMemory.megabytes() - before).as(stack).isLessThan(30);
      }
    }
  }

  private static void walk(Adapter adapter, Tensor batch, int times) {
    for (int i = 0; i < times; i++) {
      Scopes.run(() -> adapter.adapt(batch).close());
    }
  }
}
