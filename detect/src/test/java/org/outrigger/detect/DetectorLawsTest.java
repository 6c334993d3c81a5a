package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What every detector promises, on blobs. */
class DetectorLawsTest {
  private static final long ROWS = 120;

  private PointerScope scope;
  private Blobs blobs;
  private Tensor train;
  private Tensor test;

  static List<String> all() {
    return List.of(
        "msp",
        "maxlogit",
        "energy:temperature=2",
        "entropy",
        "gen:m=3",
        "mcm:tau=4",
        "mahalanobis",
        "relative-mahalanobis",
        "ssd-plus",
        "ssd-plus:meanTwice=true",
        "knn:k=5",
        "she",
        "she:metric=COSINE",
        "she:metric=EUCLIDEAN",
        "residual:dim=3",
        "vim:dim=3",
        "nnguide:k=4:alpha=0.5",
        "react",
        "dice:p=50",
        "ash-p:percentile=65",
        "ash-b:percentile=65",
        "ash-s:percentile=65",
        "scale:percentile=65",
        "gradnorm",
        "fdbd",
        "pt-ood:k=5",
        "pt-ood:k=2:bank=0.5:normalise=false",
        "fdbd:distanceAsNormalizer=false",
        "abet",
        "abet:kind=FOREFRONT:background=1",
        "abet:kind=TEMPERATURE",
        "abet:shaping=REACT",
        "abet:shaping=DICE:percentile=50",
        "abet:shaping=ASH_S:percentile=65",
        "abet:shaping=ASH_B:percentile=65");
  }

  static List<String> fittedOnFeatures() {
    return all().stream()
        .filter(name -> Arrays.asList(make(name).card().needs()).contains(Need.FEATURES))
        .toList();
  }

  /** Those that measure how far a feature is from the known ones. */
  static List<String> distances() {
    return List.of(
        "mahalanobis",
        "ssd-plus",
        "knn:k=5",
        "pt-ood",
        "she:metric=EUCLIDEAN",
        "she:metric=COSINE",
        "residual:dim=3");
  }

  private static Detector make(String name) {
    return Methods.parse(Detector.class, name).get(0);
  }

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    blobs = new Blobs(7, 4, 6);
    try (Rng rng = new Rng(7)) {
      blobs.lastLayer = new TemperatureHead(6, 4, rng);
    }
    train = blobs.near(ROWS);
    test = blobs.near(20);
  }

  @AfterEach
  void close() {
    Objects.requireNonNull(blobs.lastLayer).close();
    scope.close();
  }

  private Detector fitted(String name) {
    Detector detector = make(name);
    detector.fit(blobs.known(train));
    return detector;
  }

  private double[] scores(Detector detector, Tensor features) {
    return Tensors.doubles(detector.score(blobs.output(features)));
  }

  @ParameterizedTest
  @MethodSource("distances")
  void farRowsScoreHigherThanNearOnes(String name) {
    try (Detector detector = fitted(name)) {
      double near = Arrays.stream(scores(detector, test)).max().orElseThrow();
      double far = Arrays.stream(scores(detector, blobs.far(20))).min().orElseThrow();
      assertThat(far).isGreaterThan(near);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRestoredOneScoresTheSameToTheLastBit(String name) {
    Tensor single = test.to(ScalarType.Float);
    try (Detector detector = fitted(name);
        Detector other =
            Methods.create(Detector.class, detector.card().slug(), Map.<String, Object>of())) {
      State state = detector.state();
      assertThat(state.type()).isEqualTo("detector/" + detector.card().slug());
      other.restore(state);
      assertThat(other.settings()).isEqualTo(detector.settings());
      assertThat(scores(other, test)).containsExactly(scores(detector, test));
      assertThat(scores(other, single)).containsExactly(scores(detector, single));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRowsScoreDoesNotDependOnItsBatch(String name) {
    try (Detector detector = fitted(name)) {
      double[] together =
          scores(detector, torch.cat(new TensorVector(test, test.mul(new Scalar(3.0))), 0));
      for (int i = 0; i < 20; i++) {
        double alone = scores(detector, test.narrow(0, i, 1))[0];
        assertThat(alone).isCloseTo(together[i], within(1e-9 * (1 + Math.abs(alone))));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void inputsAreNotChanged(String name) {
    Tensor before = test.clone();
    Output output = blobs.output(test);
    Tensor logits = output.logits().clone();
    try (Detector detector = fitted(name)) {
      detector.score(output);
    }
    assertThat(torch.equal(before, test)).isTrue();
    assertThat(torch.equal(logits, output.logits())).isTrue();
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void fittingInBatchesIsFittingAtOnce(String name) {
    try (Detector whole = fitted(name);
        Detector parts = make(name)) {
      parts.fit(blobs.known(train, blobs.labels(ROWS), 17));
      assertThat(scores(parts, test)).containsExactly(scores(whole, test), within(1e-7));
    }
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void rowsThatAreLabelledUnknownAreIgnored(String name) {
    Tensor rows = torch.cat(new TensorVector(train, blobs.far(30)), 0);
    Tensor labels =
        torch.cat(
            new TensorVector(blobs.labels(ROWS), torch.full_like(blobs.labels(30), new Scalar(-1))),
            0);
    try (Detector clean = fitted(name);
        Detector mixed = make(name)) {
      mixed.fit(blobs.known(blobs.output(rows), labels));
      assertThat(scores(mixed, test)).containsExactly(scores(clean, test), within(1e-9));
      Outputs unknown = blobs.known(blobs.output(train), labels(-1));
      assertThatThrownBy(() -> mixed.fit(unknown))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no known row");
      assertThat(scores(mixed, test)).containsExactly(scores(clean, test), within(1e-9));
    }
  }

  private Tensor labels(long value) {
    return torch.full_like(blobs.labels(ROWS), new Scalar(value));
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void aFailedFitLeavesTheEarlierState(String name) {
    try (Detector detector = fitted(name)) {
      double[] before = scores(detector, test);
      Tensor broken = train.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      assertThatThrownBy(() -> detector.fit(blobs.known(broken, blobs.labels(ROWS), 2)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("NaN");
      assertThat(scores(detector, test)).containsExactly(before);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void badRowsAreNamed(String name) {
    try (Detector detector = fitted(name)) {
      Tensor broken = test.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      assertThatThrownBy(() -> detector.score(blobs.output(broken)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("1 of 20 rows");
      assertThatThrownBy(() -> detector.score(blobs.output(test.narrow(0, 0, 0))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("empty");
    }
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void featuresOfAnotherSizeAreRefused(String name) {
    try (Detector detector = fitted(name)) {
      Tensor narrow = test.narrow(1, 0, 5);
      Output output = new Output(blobs.output(test).logits(), narrow);
      assertThatThrownBy(() -> detector.score(output))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("[N, D]");
      Output bare = new Output(blobs.output(test).logits(), null);
      assertThatThrownBy(() -> detector.score(bare))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no features");
    }
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void whatIsMissingIsSaid(String name) {
    try (Detector detector = make(name)) {
      assertThat(detector.fitted()).isFalse();
      assertThatThrownBy(() -> detector.score(blobs.output(test)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("has not been fitted");
      if (detector.needs().contains(Need.LABELS)) {
        Outputs unlabelled = blobs.known(blobs.output(train), null);
        assertThatThrownBy(() -> detector.fit(unlabelled)).hasMessageContaining("class labels");
      }
      if (detector.needs().contains(Need.LEARNED_TEMPERATURE)) {
        Outputs linear = Outputs.of(blobs.output(train), blobs.labels(ROWS), blobs.head);
        assertThatThrownBy(() -> detector.fit(linear)).hasMessageContaining("learned temperature");
      }
      if (detector.needs().contains(Need.LINEAR_HEAD)) {
        Outputs headless = Outputs.of(blobs.output(train), blobs.labels(ROWS), null);
        assertThatThrownBy(() -> detector.fit(headless)).hasMessageContaining("linear layer");
        LinearHead wrong = new LinearHead(blobs.head.weight().narrow(1, 0, 5), blobs.head.bias());
        Outputs other = Outputs.of(blobs.output(train), blobs.labels(ROWS), wrong);
        assertThatThrownBy(() -> detector.fit(other)).isInstanceOf(OutriggerException.class);
      }
      assertThat(detector.fitted()).isFalse();
    }
  }

  @ParameterizedTest
  @MethodSource("fittedOnFeatures")
  void aDamagedStateIsRefusedAndChangesNothing(String name) {
    try (Detector detector = fitted(name)) {
      double[] before = scores(detector, test);
      State good = detector.state();
      State empty = new State(good.type(), 1, good.values(), Map.of());
      assertThatThrownBy(() -> detector.restore(empty)).isInstanceOf(OutriggerException.class);
      State other = new State("detector/other", 1, good.values(), good.tensors());
      assertThatThrownBy(() -> detector.restore(other)).isInstanceOf(OutriggerException.class);
      State newer = new State(good.type(), 99, good.values(), good.tensors());
      assertThatThrownBy(() -> detector.restore(newer)).hasMessageContaining("update");
      assertThat(scores(detector, test)).containsExactly(before);
    }
  }
}
